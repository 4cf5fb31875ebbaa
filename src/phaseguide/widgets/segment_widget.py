"""The Segment widget: from an image layer, a model and what the user expects to phases in a Labels layer."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from phaseguide.errors import MicrographError, ModelError, PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import validate_ratio
from phaseguide.segmentation.device import Device
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.widgets import layers, planes
from phaseguide.widgets.composition import summary, with_edits
from phaseguide.widgets.exporter import Exporter
from phaseguide.widgets.history import History, Run
from phaseguide.widgets.inspection import describe_device, find_bar, find_device
from phaseguide.widgets.job import Job, Plane, PlaneDone, SessionStore, run_job
from phaseguide.widgets.phase_table import ALARM
from phaseguide.widgets.runner import Runner, in_background
from phaseguide.widgets.segment_panel import SegmentPanel

SETTLE_MS = 200
"""Edits and sliders are looked at when they have been quiet for so long."""


LONGEST = 500
"""Characters of a message that are shown on the status line; the tip has all of them."""


class SegmentWidget(QWidget):
    """Dock widget.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.panel = SegmentPanel(napari_viewer)
        # Else napari adds a stretch below, and the panel gets half of the height.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.panel)
        self.runner = Runner(self)
        self.store = SessionStore()
        self.exporter = Exporter(self)
        self._histories: dict[Any, History] = {}
        self._bars: dict[Any, tuple[int, bool]] = {}
        self._watched: set[Any] = set()
        self._running_on: tuple[Any, Any] | None = None  # image layer, and its data at the start
        self._run: Run | None = None
        self._dropped = ""
        self._notices: list[str] = []
        self._docked = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._refresh)
        self._connect()
        self._on_model()
        self._on_image()
        self._find_device()

    # -- what the user sees and does --------------------------------------------------------------

    @property
    def image(self) -> Any:
        """The chosen image layer, or None."""
        return self.panel.image_box.layer

    @property
    def scheme(self) -> PhaseScheme | None:
        """Phases of the chosen model, or None."""
        card = self.panel.model_box.card
        return None if card is None else card.scheme

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; napari calls this when they change."""
        self.panel.image_box.reset_choices()

    def segment(self) -> None:
        """Start segmenting, or say why not."""
        if self.runner.running:
            return
        try:
            job = self._job()
        except PhaseguideError as error:
            self.fail(error)
            return
        self._running_on = (self.image, planes.full_data(self.image))
        self._run, self._dropped, self._notices = None, "", []
        self.say("Segmenting …")
        self.panel.progress.begin()
        self.runner.start(run_job, job, self.store)
        self._show_state()

    def stop(self) -> None:
        """Stop after the step under way."""
        self.panel.stop_button.setEnabled(False)
        self.say("Stopping after this step …")
        self.runner.stop()

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Put a sentence on the status line."""
        self.panel.status.setText(text if len(text) <= LONGEST else f"{text[:LONGEST]} …")
        self.panel.status.setToolTip("" if len(text) <= LONGEST else text)
        self.panel.status.setStyleSheet(ALARM if alarm else "")

    def fail(self, error: BaseException) -> None:
        """Tell of an error: on the status line, where it stays, and as a notification."""
        from napari.utils.notifications import show_error

        self.say(str(error), alarm=True)
        show_error(str(error))

    def current_plane(self) -> planes.Index:
        """Plane of the image that is on show."""
        return planes.current_index(self.image, self.viewer.dims.point)

    def history(self) -> History | None:
        """Runs on the chosen image."""
        return None if self.image is None else self._histories.setdefault(self.image.unique_id, History())

    def standing(self, index: planes.Index) -> Segmentation | None:
        """Result on show of one plane, with the edits as they are now on top; None if there is none."""
        history = self.history()
        result = history.shown.planes.get(index) if history and history.shown else None
        if result is None:
            return None
        edits = layers.find_layer(self.viewer, self.image, "edits")
        try:
            painted = layers.edits_of(edits, self.image, index)
        except MicrographError:  # told when it matters, on the next press of Segment
            painted = None
        fits = painted is None or painted.shape == result.segmentation.labels.shape
        return with_edits(result, painted if fits else None)

    # -- starting ---------------------------------------------------------------------------------

    def _job(self) -> Job:
        image, card, path = self.image, self.panel.model_box.card, self.panel.model_box.path
        if image is None:
            raise MicrographError(
                "There is no image layer. Open a micrograph (File > Open) and press Segment again."
            )
        if card is None or path is None:
            raise ModelError("No model is chosen. Choose one, or open a model file.")
        advanced, asked = self.panel.advanced.value(), self.panel.table.asked()
        if asked is not None:
            asked = validate_ratio(asked, card.scheme)
        shape = planes.data_shape(image)
        if len(shape) < 2:
            raise MicrographError(
                f"{image.name}: has shape {shape}; expected an image. Choose another layer."
            )
        indices = planes.all_indices(image) if self.panel.all_planes else [self.current_plane()]
        edits = layers.find_layer(self.viewer, image, "edits")
        data = planes.full_data(image)
        bar_rows, bar_wanted = self._bars.get(image.unique_id, (0, False))
        return Job(
            path,
            tuple(
                Plane(
                    index,
                    planes.plane_name(image.name, index),
                    planes.plane_reader(data, index, rgb=image.rgb),
                    layers.edits_of(edits, image, index),
                    "" if edits is None else edits.name,
                    bar_rows if bar_wanted and bar_rows < shape[-2] else 0,
                )
                for index in indices
            ),
            Request(
                asked=asked,
                uncertainty=self._uncertainty(),
                mode=advanced.request_mode,
                smoothing_px=advanced.smoothing_px,
                min_island_px=advanced.min_island_px,
            ),
            advanced.options(),
            None if asked is None else self.panel.source.title,
        )

    def _uncertainty(self) -> float:
        return 0.0 if self.panel.advanced.value().exact else self.panel.source.uncertainty

    # -- while it runs ----------------------------------------------------------------------------

    def _on_plane(self, event: PlaneDone) -> None:
        image, data = self._running_on
        reason = self._gone(image, data)
        if reason:
            self._dropped = reason
            self.runner.stop()
            return
        result = event.result
        scheme = result.segmentation.scheme
        history = self._histories.setdefault(image.unique_id, History())
        if self._run is None:
            before = history.shown
            self._run = Run(scheme)
            if before is not None and before.scheme == scheme and self._fits(before, image):
                self._run.planes.update(before.planes)
            self._run.planes[event.index] = result
            history.add(self._run)
            self._write(image, self._run)
        else:
            self._run.planes[event.index] = result
            self._write(image, self._run, only=event.index)
        if event.index == planes.current_index(image, self.viewer.dims.point):
            self._refresh()

    def _gone(self, image: Any, data: Any) -> str:
        """Return why a result has no place to go any more; empty if it has."""
        if not any(layer.unique_id == image.unique_id for layer in self.viewer.layers):
            return f"{image.name!r} was removed meanwhile, so its result was dropped."
        if planes.full_data(image) is not data:
            return f"The data of {image.name!r} were replaced meanwhile, so the result was dropped. Segment again."
        return ""

    def _fits(self, run: Run, image: Any) -> bool:
        shape = planes.data_shape(image)
        return all(
            len(index) == len(shape) - 2 and result.segmentation.labels.shape == shape[-2:]
            for index, result in run.planes.items()
        )

    def _write(self, image: Any, run: Run, only: planes.Index | None = None) -> None:
        """Show a run, or one more plane of it, in the phases layer."""
        done = run.planes if only is None else {only: run.planes[only]}
        marks = {" ".join(map(str, index)): summary(r.segmentation) for index, r in run.planes.items()}
        newest = next(reversed(done.values()))
        mark = {
            "model": newest.made.model_name,
            "source": newest.made.source,
            "note": (newest.segmentation.constrained and marks[next(iter(marks))]["note"]) or "",
            "planes": marks,
        }
        mark.update(summary(newest.segmentation))
        active = self.viewer.layers.selection.active
        layers.show_result(
            self.viewer,
            image,
            run.scheme,
            {index: result.segmentation.labels for index, result in done.items()},
            mark,
            clear=only is None,
        )
        if active is not None and active in self.viewer.layers:
            self.viewer.layers.selection.active = active

    def _on_ended(self, stopped_after: int, error: BaseException | None) -> None:
        image, data = self._running_on
        seconds = self.panel.progress.seconds
        self.panel.progress.end()
        self._running_on = None
        dropped = self._dropped or (self._gone(image, data) if error is None else "")
        if error is not None:
            self.store.forget()
            self.fail(error)
        elif dropped:
            self.say(dropped, alarm=True)
        elif stopped_after >= 0:
            kept = f" {stopped_after} planes are done and kept." if stopped_after else " Nothing was changed."
            self.say(f"Stopped.{kept}")
        else:
            self._finish(image, seconds)
        self._show_state()

    def _finish(self, image: Any, seconds: float) -> None:
        assert self._run is not None
        try:
            edits = layers.ready_edits(self.viewer, image, self._run.scheme)
            self._watch_edits(edits)
            layers.hold_brush(self.viewer, edits, self._run.scheme)
        except PhaseguideError as error:
            self.fail(error)
            return
        took = f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
        sentence = f"Segmented in {took}. To correct, just paint: the brush is on {edits.name!r}."
        self.say(" ".join([sentence, *dict.fromkeys(self._notices)]))
        self._refresh()

    # -- keeping up -------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel, runner = self.panel, self.runner
        panel.image_box.changed.connect(self._on_image)
        panel.model_box.changed.connect(self._on_model)
        panel.model_box.failed.connect(self._on_model_failed)
        panel.source_box.currentIndexChanged.connect(self._on_source)
        panel.advanced.changed.connect(self._on_source)
        panel.advanced.controls["device"].currentIndexChanged.connect(self._find_device)
        panel.bar_check.toggled.connect(self._on_bar_check)
        panel.segment_button.clicked.connect(self.segment)
        panel.stop_button.clicked.connect(self.stop)
        panel.results.stepped.connect(self._step_history)
        panel.results.copy_table.connect(self.exporter.copy_table)
        panel.results.save_table.connect(self.exporter.save_table)
        panel.results.save_overlay.connect(self.exporter.save_overlay)
        panel.results.save_result.connect(self.exporter.save_result)
        runner.stepped.connect(panel.progress.show_step)
        runner.noticed.connect(self._notices_append)
        runner.device_found.connect(self._on_device)
        runner.plane_done.connect(self._on_plane)
        runner.ended.connect(self._on_ended)
        self.viewer.dims.events.current_step.connect(self._settle_later)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self._on_source()

    def _notices_append(self, message: str) -> None:
        self._notices.append(message)
        self.say(message)

    def _settle_later(self, event: Any = None) -> None:
        self._settle.start()

    def _on_removed(self, event: Any) -> None:
        if self._running_on is not None and event.value.unique_id == self._running_on[0].unique_id:
            self._dropped = self._gone(*self._running_on)
            self.runner.stop()
        self._settle_later()

    def _on_model(self) -> None:
        self.panel.table.set_scheme(self.scheme)
        QTimer.singleShot(0, self.panel.fit_width)  # new rows have no style before the next turn
        self._settle_later()

    def _on_model_failed(self, message: str) -> None:
        self.fail(ModelError(message))

    def _on_source(self, *_: Any) -> None:
        self.panel.source_box.setToolTip(self.panel.source.tip)
        self.panel.source_box.setEnabled(not self.panel.advanced.value().exact)
        self.panel.table.set_uncertainty(self._uncertainty())

    def _on_image(self) -> None:
        image = self.image
        self.panel.offer_planes(0 if image is None else planes.plane_count(image))
        if image is None:
            self.panel.image_info.setText("Open a micrograph, or a sample from File > Open Sample.")
            self.panel.offer_bar(0, False)
        else:
            self.panel.image_info.setText(describe_image(image))
            self.panel.offer_bar(*self._bars.get(image.unique_id, (0, True)))
            if image.unique_id not in self._watched:
                self._watched.add(image.unique_id)
                image.events.data.connect(self._on_data)
                image.events.scale.connect(self._on_scale)
                self._find_bar(image)
            edits = layers.find_layer(self.viewer, image, "edits")
            if edits is not None:
                self._watch_edits(edits)
        self._refresh()

    def _on_scale(self, event: Any = None) -> None:
        if self.image is not None:
            self.panel.image_info.setText(describe_image(self.image))

    def _on_data(self, event: Any) -> None:
        """Look at an image again whose data were replaced; results of another shape have no place there."""
        image = event.source
        history = self._histories.get(image.unique_id)
        if history is not None and not all(self._fits(run, image) for run in history.runs):
            del self._histories[image.unique_id]
        self._bars.pop(image.unique_id, None)
        self._find_bar(image)
        if self.image is not None and image.unique_id == self.image.unique_id:
            self._on_image()

    def _watch_edits(self, edits: Any) -> None:
        for event in (edits.events.paint, edits.events.data, edits.events.set_data):
            event.disconnect(self._settle_later)
            event.connect(self._settle_later)

    def _find_bar(self, image: Any) -> None:
        known = image.metadata.get(layers.KEY, {}).get("info_bar_rows")
        data = planes.full_data(image)
        if known is not None:
            self._bar_found((image.unique_id, int(known)))
        elif type(data).__module__ == "numpy" and len(planes.data_shape(image)) >= 2:
            index = (0,) * (len(planes.data_shape(image)) - 2)
            read, key = planes.plane_reader(data, index, rgb=image.rgb), image.unique_id
            in_background(lambda: (key, find_bar(read)), self._bar_found, self._nothing_found)

    def _bar_found(self, found: tuple[Any, int]) -> None:
        key, rows = found
        self._bars[key] = (rows, rows > 0)
        if self.image is not None and self.image.unique_id == key:
            self.panel.offer_bar(*self._bars[key])

    def _nothing_found(self, error: BaseException) -> None:
        """An image that cannot be looked at is reported when it is segmented."""

    def _on_bar_check(self, wanted: bool) -> None:
        if self.image is not None and self.image.unique_id in self._bars:
            self._bars[self.image.unique_id] = (self._bars[self.image.unique_id][0], wanted)

    def _find_device(self, *_: Any) -> None:
        wish = self.panel.advanced.value().device
        self.panel.device_line.setText("looking …")
        in_background(lambda: find_device(wish), self._on_device, self._no_device)

    def _on_device(self, device: Device) -> None:
        self.panel.device_line.setText(describe_device(device))
        self.panel.device_line.setStyleSheet("")

    def _no_device(self, error: BaseException) -> None:
        self.panel.device_line.setText(str(error))
        self.panel.device_line.setStyleSheet(ALARM)

    def _step_history(self, by: int) -> None:
        history = self.history()
        run = history.step(by) if history else None
        if run is not None:
            self._write(self.image, run)
            self.say(f"Result {history.position + 1} of {len(history.runs)}.")
        self._refresh()

    def _refresh(self) -> None:
        """Bring numbers and the shown map up to date with result, plane and edits."""
        standing = None if self.image is None else self.standing(self.current_plane())
        self.panel.table.show_result(standing)
        if standing is not None:
            layer = layers.find_layer(self.viewer, self.image, "phases")
            layers.update_plane(layer, self.current_plane(), standing.labels)
        self._show_state(standing is not None)

    def _show_state(self, plane_done: bool | None = None) -> None:
        busy = self.runner.running
        self.panel.segment_button.setEnabled(not busy)
        self.panel.stop_button.setEnabled(busy)
        if plane_done is None:
            history = self.history()
            plane_done = bool(history and history.shown and self.current_plane() in history.shown.planes)
        self.panel.results.show_state(self.history(), busy=busy, plane_done=plane_done)

    # -- the end ----------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Notice when the dock widget is closed: napari then takes this widget out of it."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.shut_down()
        return super().event(event)

    def shut_down(self) -> None:
        """End a run under way; layers stay as they are."""
        self._settle.stop()
        self.panel.progress.end()
        self.runner.abandon()


def describe_image(image: Any) -> str:
    """Return size, type and pixel size of an image layer in a line."""
    shape = planes.data_shape(image)
    size = " × ".join(map(str, (*shape[:-2], *shape[:-3:-1])))
    pixel = layers.pixel_size_um(image)
    source = image.metadata.get(layers.KEY, {}).get("scale_source", "")
    if pixel is None:
        scale = "scale unknown"
    else:
        scale = f"pixel {pixel:.4g} µm" + (f" ({source})" if source and source != "scale unknown" else "")
    colour = "RGB, " if image.rgb else ""
    return f"{size} px, {colour}{planes.full_data(image).dtype}, {scale}"
