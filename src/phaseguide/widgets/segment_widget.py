"""The Segment widget: from an image layer, a model and what the user expects to phases in a Labels layer."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from phaseguide.errors import ModelError, PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.device import Device
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets import layers, planes
from phaseguide.widgets.exporter import Exporter
from phaseguide.widgets.history import History
from phaseguide.widgets.inspection import describe_device, find_bar, find_device
from phaseguide.widgets.job import PlaneDone, SessionStore, run_job
from phaseguide.widgets.job_maker import make_job
from phaseguide.widgets.phase_table import ALARM
from phaseguide.widgets.result_keeper import ResultKeeper
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
        self.results = ResultKeeper(napari_viewer)
        self._bars: dict[Any, tuple[int, bool]] = {}
        self._watched: set[Any] = set()
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
        self.panel.device_line.setText("looking …")
        QTimer.singleShot(100, self._find_device)  # importing torch would slow down what is being drawn now

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
            job = make_job(self.viewer, self.panel, self._bar_rows())
        except PhaseguideError as error:
            self.fail(error)
            return
        self.results.begin(self.image)
        self._dropped, self._notices = "", []
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
        return None if self.image is None else self.results.history(self.image)

    def standing(self, index: planes.Index) -> Segmentation | None:
        """Result on show of one plane of the chosen image, with edits on top; None if there is none."""
        return None if self.image is None else self.results.standing(self.image, index)

    # -- while it runs ----------------------------------------------------------------------------

    def _on_plane(self, event: PlaneDone) -> None:
        self._dropped = self._dropped or self.results.lost()
        if self._dropped:
            self.runner.stop()
            return
        self.results.add(event)
        if self.image is not None and event.index == self.current_plane():
            self._refresh()

    def _on_ended(self, stopped_after: int, error: BaseException | None) -> None:
        seconds = self.panel.progress.seconds
        self.panel.progress.end()
        dropped = self._dropped or self.results.lost()
        image = self.results.image
        run = self.results.end()
        if error is not None:
            self.store.forget()
            self.fail(error)
        elif dropped:
            self.say(dropped, alarm=True)
        elif stopped_after >= 0:
            kept = f" {stopped_after} planes are done and kept." if stopped_after else " Nothing was changed."
            self.say(f"Stopped.{kept}")
        elif run is not None:
            self._finish(image, run.scheme, seconds)
        self._show_state()

    def _finish(self, image: Any, scheme: PhaseScheme, seconds: float) -> None:
        try:
            edits = layers.ready_edits(self.viewer, image, scheme)
            self._watch_edits(edits)
            layers.hold_brush(self.viewer, edits, scheme)
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
        panel.table.changed.connect(self._on_values)
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
        if self.results.image is not None and event.value.unique_id == self.results.image.unique_id:
            self._dropped = self.results.lost()
            self.runner.stop()
        self._settle_later()

    def _on_model(self) -> None:
        self.panel.table.set_scheme(self.scheme)
        QTimer.singleShot(0, self.panel.fit_width)  # new rows have no style before the next turn
        self._settle_later()

    def _on_model_failed(self, message: str) -> None:
        self.fail(ModelError(message))

    def _on_values(self) -> None:
        history = self.history()
        if history is not None and history.shown is not None and not self.runner.running:
            self.say("Values changed. Press Segment to apply them.")

    def _on_source(self, *_: Any) -> None:
        self.panel.source_box.setToolTip(self.panel.source.tip)
        self.panel.source_box.setEnabled(not self.panel.advanced.value().exact)
        self.panel.table.set_uncertainty(self.panel.uncertainty)

    def _on_image(self) -> None:
        image = self.image
        self.panel.offer_planes(0 if image is None else planes.plane_count(image))
        if image is None:
            self.panel.image_info.setText("Open a micrograph, or a sample from File > Open Sample.")
            self.panel.offer_bar(0, False)
        else:
            self.panel.image_info.setText(layers.describe_image(image))
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
            self.panel.image_info.setText(layers.describe_image(self.image))

    def _on_data(self, event: Any) -> None:
        """Look at an image again whose data were replaced; the results on it belong to the old ones."""
        image = event.source
        self.results.forget(image)
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
            in_background(self, lambda: (key, find_bar(read)), self._bar_found, self._nothing_found)

    def _bar_found(self, found: tuple[Any, int]) -> None:
        key, rows = found
        self._bars[key] = (rows, rows > 0)
        if self.image is not None and self.image.unique_id == key:
            self.panel.offer_bar(*self._bars[key])

    def _nothing_found(self, error: BaseException) -> None:
        """An image that cannot be looked at is reported when it is segmented."""

    def _bar_rows(self) -> int:
        """Rows to exclude at the bottom of the chosen image."""
        rows, wanted = (
            self._bars.get(self.image.unique_id, (0, False)) if self.image is not None else (0, False)
        )
        return rows if wanted else 0

    def _on_bar_check(self, wanted: bool) -> None:
        if self.image is not None and self.image.unique_id in self._bars:
            self._bars[self.image.unique_id] = (self._bars[self.image.unique_id][0], wanted)

    def _find_device(self, *_: Any) -> None:
        wish = self.panel.advanced.value().device
        self.panel.device_line.setText("looking …")
        in_background(self, lambda: find_device(wish), self._on_device, self._no_device)

    def _on_device(self, device: Device) -> None:
        self.panel.device_line.setText(describe_device(device))
        self.panel.device_line.setStyleSheet("")

    def _no_device(self, error: BaseException) -> None:
        self.panel.device_line.setText(str(error))
        self.panel.device_line.setStyleSheet(ALARM)

    def _step_history(self, by: int) -> None:
        if self.image is not None:
            self.say(self.results.step(self.image, by))
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
