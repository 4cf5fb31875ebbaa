"""The Segment widget: from an image layer, a model and what the user expects to phases in a Labels layer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QShowEvent

from phaseguide.errors import ModelError, PhaseguideError, RatioError
from phaseguide.events import Progress
from phaseguide.jobs.history import History, Run
from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.results import Labels
from phaseguide.jobs.segment import DeviceFound, PlaneDone, Step, Stopped, run_job
from phaseguide.jobs.session_store import SessionStore
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.network.device import Device
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.edit_tools import edit_tools
from phaseguide.widgets.layers.hub import RatioOffer, hub_of
from phaseguide.widgets.layers.info_bars import InfoBars
from phaseguide.widgets.layers.warm_up import describe_device, find_device, with_colours
from phaseguide.widgets.qt.dock import Dock, later, listen
from phaseguide.widgets.qt.plain_text import as_plain
from phaseguide.widgets.qt.shortcuts import Keys
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import TaskRunner, in_background
from phaseguide.widgets.segment.assistants import SideTools
from phaseguide.widgets.segment.base_weights_follower import BaseWeightsFollower
from phaseguide.widgets.segment.comparable_maps import named_maps
from phaseguide.widgets.segment.decisions import ACCEPT, BACK, CANCEL, FORWARD
from phaseguide.widgets.segment.exporter import Exporter
from phaseguide.widgets.segment.live_mode import LiveMode
from phaseguide.widgets.segment.model_follower import ModelFollower
from phaseguide.widgets.segment.panel import SegmentPanel
from phaseguide.widgets.segment.plan import make_job
from phaseguide.widgets.segment.results import ResultKeeper

if TYPE_CHECKING:
    from phaseguide.segmentation.session import Session

LONGEST = 500
"""Characters of a message that are shown on the status line; the tip has all of them."""


class SegmentWidget(Dock):
    """Dock widget.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.panel = SegmentPanel(napari_viewer)
        self.fill(self.panel)
        self.runner = TaskRunner(self)
        self.store = SessionStore()
        self.exporter = Exporter(self)
        self.results = ResultKeeper(napari_viewer)
        edit_tools(napari_viewer)  # brush keys and a log of edits, with or without a project
        self.bars = InfoBars(self)
        self.live = LiveMode(self)
        self._watched: weakref.WeakSet[Any] = weakref.WeakSet()
        self._dropped = ""
        self._notices: list[str] = []
        self._stopped_after: int | None = None
        decisions, results = self.panel.decisions, self.panel.results
        buttons = (decisions.accept, decisions.cancel, results.back, results.forward)
        self._keys = Keys(dict(zip((ACCEPT, CANCEL, BACK, FORWARD), buttons, strict=True)))
        listen(
            self, hub_of(napari_viewer).ratio_offered, self.take_offer
        )  # what the docks of other tools offer
        self.models = ModelFollower(self)
        self.weights = BaseWeightsFollower(self)
        self.tools = SideTools(self)
        self._connect()
        self._on_model()
        self._on_image()
        self.live.settle()
        self.panel.device_line.setText("looking …")
        later(self, self._find_device, 100)  # importing torch would slow down what is being drawn now

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
        self.tools.reset_choices()

    def segment(self) -> None:
        """Start segmenting, or say why not."""
        if self.runner.running:
            return
        try:
            job, images = make_job(self.viewer, self.panel, self.bars)
        except PhaseguideError as error:
            self.fail(error)
            return
        self.live.pause()
        self.results.begin(images, self.panel.inputs())
        self._dropped, self._notices = "", []
        self.say("Segmenting …")
        self.panel.progress.begin()
        self.runner.start(lambda control: with_colours(run_job)(job, self.store, control))
        self.show_state()

    def stop(self) -> None:
        """Stop after the step under way."""
        self.panel.stop_button.setEnabled(False)
        self.say("Stopping after this step …")
        self.runner.stop()

    def take_offer(self, offer: RatioOffer) -> None:
        """Write an offered ratio into the boxes, as one change: shares, uncertainties, where it comes from."""
        table, spread = self.panel.table, offer.uncertainty
        if table.scheme is None or len(offer.shares) != len(table.scheme):
            known = (
                "no model is chosen" if table.scheme is None else f"the model's are {table.scheme.describe()}"
            )
            self.fail(
                RatioError(f"{offer.title}: has {len(offer.shares)} phases, but {known}. Choose its model.")
            )
            return
        if spread is None:
            spreads = table.spreads()
        else:
            spreads = spread if isinstance(spread, tuple) else (spread,) * len(offer.shares)
        self.panel.take(offer.shares, spreads, offer.title)
        self.live.changed()

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Put a sentence on the status line."""
        super().say(text if len(text) <= LONGEST else f"{text[:LONGEST]} …", alarm=alarm)
        self.panel.status.setToolTip("" if len(text) <= LONGEST else as_plain(text))

    def current_plane(self) -> Index:
        """Plane of the image that is on show."""
        return planes.current_index(self.image, self.viewer.dims.point)

    def current_session(self) -> Session | None:
        """Return the session of the plane on show, if there is one for the chosen model and options.

        Whoever uses it in a thread holds ``store.lock`` meanwhile.
        """
        path = self.panel.model_box.path
        if self.image is None or path is None:
            return None
        place = (self.image.unique_id, self.current_plane())
        return self.store.at(place, path, self.panel.advanced.value().options())

    def named_maps(self) -> dict[str, Callable[[], Labels | None]]:
        """Return functions that give the label maps of the plane on show, for whoever compares them."""
        return named_maps(self)

    def history(self) -> History | None:
        """Results on the chosen image that were kept."""
        return None if self.image is None else self.results.history(self.image)

    def standing(self, index: Index) -> Segmentation | None:
        """Result on show of one plane of the chosen image, with edits on top; None if there is none."""
        return None if self.image is None else self.results.standing(self.image, index)

    # -- while it runs ----------------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        if isinstance(event, Step):
            done, total = (0, 0) if event.fraction is None else (round(1000 * event.fraction), 1000)
            self.panel.progress.show_step(Progress(event.text, done, total, event.seconds_left))
        elif isinstance(event, DeviceFound):
            self._on_device(event.device)
        elif isinstance(event, PlaneDone):
            self._on_plane(event)
        elif isinstance(event, Stopped):
            self._stopped_after = event.done

    def _on_plane(self, event: PlaneDone) -> None:
        self._dropped = self._dropped or self.results.lost()
        if self._dropped:
            self.runner.stop()
            return
        self.results.add(event)
        if self.image is not None and (event.image, event.index) == (
            self.image.unique_id,
            self.current_plane(),
        ):
            self.refresh()

    def _on_ended(self, _: Any, error: BaseException | None) -> None:
        seconds = self.panel.progress.seconds
        self.panel.progress.end()
        dropped = self._dropped or self.results.lost()
        stopped, self._stopped_after = self._stopped_after, None
        done = self.results.end()
        if error is not None:
            self.store.forget()
            if not self.weights.take(error):
                self.fail(error)
        elif dropped:
            self.say(dropped, alarm=True)
        elif stopped is not None:
            kept = f" {stopped} planes are done and kept." if stopped else " Nothing was changed."
            self.say(f"Stopped.{kept}")
        elif done:
            self._finish(done, seconds)
        self.live.run_done(done)
        self.show_state()

    def _finish(self, done: dict[Any, Run], seconds: float) -> None:
        try:
            for image, run in done.items():
                edits = roles.ensure_edits_layer(self.viewer, image, run.scheme)
                self._watch_edits(edits)
            chosen = self.image if self.image in done else next(iter(done))
            edits, scheme = roles.find_layer(self.viewer, chosen, "edits"), done[chosen].scheme
            roles.select_brush(self.viewer, edits, scheme)
        except PhaseguideError as error:
            self.fail(error)
            return
        took = f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
        sentence = f"Segmented in {took}. To correct, just paint: the brush is on {edits.name!r}."
        self.say(" ".join([sentence, *dict.fromkeys(self._notices)]))
        self.refresh()

    # -- keeping up -------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel, runner, live = self.panel, self.runner, self.live
        panel.image_box.changed.connect(self._on_image)
        panel.model_box.changed.connect(self._on_model)
        panel.model_box.failed.connect(lambda message: self.fail(ModelError(message)))
        panel.changed.connect(live.changed)
        panel.advanced.controls["device"].currentIndexChanged.connect(self._find_device)
        panel.bar_check.toggled.connect(lambda wanted: self.bars.want(self.image, wanted))
        panel.segment_button.clicked.connect(self.segment)
        panel.stop_button.clicked.connect(self.stop)
        panel.decisions.accept.clicked.connect(live.accept)
        panel.decisions.cancel.clicked.connect(live.cancel)
        panel.results.stepped.connect(live.step)
        panel.results.copy_table.connect(self.exporter.copy_table)
        panel.results.save_table.connect(self.exporter.save_table)
        panel.results.save_overlay.connect(self.exporter.save_overlay)
        panel.results.save_result.connect(self.exporter.save_result)
        runner.progressed.connect(panel.progress.show_step)
        runner.noticed.connect(self._on_notice)
        runner.happened.connect(self._on_event)
        runner.ended.connect(self._on_ended)
        self.bars.found.connect(self._on_bar)
        listen(self, self.viewer.dims.events.current_step, self.refresh_soon)
        listen(self, self.viewer.layers.events.removed, self._on_removed)

    def _on_notice(self, message: str) -> None:
        self._notices.append(message)
        self.say(message)

    def _on_removed(self, event: Any) -> None:
        self.live.forget(event.value)
        if self.results.works_on(event.value):
            self._dropped = self.results.lost()
            self.runner.stop()
        self.refresh_soon()

    def _on_model(self) -> None:
        self.panel.table.set_scheme(self.scheme)
        self.live.leave()
        later(self, self.panel.fit_width)  # new rows have no style before the next turn
        self.refresh_soon()

    def _on_image(self) -> None:
        image = self.image
        self.live.leave()
        self.panel.offer_planes(0 if image is None else planes.plane_count(image))
        self.panel.offer_margins(*self.bars.proposal(image))
        if image is None:
            self.panel.image_info.setText("Open a micrograph, or a sample from File > Open Sample.")
        else:
            self.panel.image_info.setText(roles.describe_image(image))
            if image not in self._watched:
                self._watched.add(image)
                listen(self, image.events.data, self._on_data)
                listen(self, image.events.scale, self._on_scale)
                self.bars.look(image)
            edits = roles.find_layer(self.viewer, image, "edits")
            if edits is not None:
                self._watch_edits(edits)
        self.refresh()

    def _on_scale(self, event: Any = None) -> None:
        if self.image is not None:
            self.panel.image_info.setText(roles.describe_image(self.image))

    def _on_data(self, event: Any) -> None:
        """Look at an image again whose data were replaced; the results on it belong to the old ones."""
        image = event.source
        self.results.forget(image)
        self.live.forget(image)
        self.bars.forget(image)
        self.bars.look(image)
        if self.image is not None and image.unique_id == self.image.unique_id:
            self._on_image()

    def _watch_edits(self, edits: Any) -> None:
        for event in (edits.events.paint, edits.events.data, edits.events.set_data):
            for call in (self.refresh_soon, self.live.edits_changed):
                listen(self, event, call)

    def _on_bar(self, key: Any) -> None:
        if self.image is not None and self.image.unique_id == key:
            self.panel.offer_margins(*self.bars.proposal(self.image))

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

    def refresh(self) -> None:
        """Bring numbers and the shown map up to date with result, plane and edits."""
        standing = None if self.image is None else self.standing(self.current_plane())
        self.panel.table.show_result(standing)
        if standing is not None:
            layer = roles.find_layer(self.viewer, self.image, "phases")
            roles.update_plane(layer, self.current_plane(), standing.labels)
            self.live.measure(standing)
        self.tools.refresh(standing)
        self.show_state(standing is not None)
        self.store.keep_only({one.unique_id for one in (*self.viewer.layers, *self.results.images())})

    def show_state(self, plane_done: bool | None = None) -> None:
        """Enable what can be done now, buttons and their keys."""
        busy = self.runner.running
        self.panel.segment_button.setEnabled(not busy)
        self.panel.stop_button.setEnabled(busy)
        if plane_done is None:
            shown = None if self.image is None else self.results.shown(self.image)
            plane_done = bool(shown and self.current_plane() in shown.planes)
        can_accept, can_cancel = not busy and self.live.can_accept, not busy and self.live.in_series
        self.panel.decisions.show_state(accept=can_accept, cancel=can_cancel)
        self.panel.results.show_state(
            self.history(), busy=busy, plane_done=plane_done, provisional=self.live.can_accept
        )
        self._keys.update()

    # -- the end ----------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Listen for keys: now this widget stands in a window."""
        super().showEvent(event)
        self._keys.join(self)

    def shut_down(self) -> None:
        """End a run under way; layers stay as they are."""
        self.panel.progress.end()
        self.runner.abandon()
        self.live.worker.end()
        self.weights.shut_down()
        self.tools.shut_down()
        self._keys.remove()
