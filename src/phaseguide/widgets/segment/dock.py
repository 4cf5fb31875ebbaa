"""Segmentation: from an image layer, a model and what the user expects to phases in a Labels layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSizePolicy

from phaseguide.errors import ModelError, RatioError
from phaseguide.jobs.history import History
from phaseguide.jobs.inputs import FIELD
from phaseguide.jobs.plane_index import Index, plane_name
from phaseguide.jobs.results import Labels
from phaseguide.jobs.segment import DeviceFound
from phaseguide.jobs.session_store import SessionStore
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.edit_tools import edit_tools
from phaseguide.widgets.layers.hub import RatioOffer, hub_of
from phaseguide.widgets.layers.info_bars import InfoBars
from phaseguide.widgets.qt.dock import Dock, later, listen
from phaseguide.widgets.qt.shortcuts import Keys
from phaseguide.widgets.qt.tasks import TaskRunner
from phaseguide.widgets.ratio.palette import Palette
from phaseguide.widgets.segment.assistants import Assistants
from phaseguide.widgets.segment.base_weights import BaseWeightsFollower
from phaseguide.widgets.segment.binding import PanelBinding
from phaseguide.widgets.segment.comparable_maps import named_maps
from phaseguide.widgets.segment.decisions import ACCEPT, BACK, CANCEL, FORWARD
from phaseguide.widgets.segment.exporter import Exporter
from phaseguide.widgets.segment.image_follower import ImageFollower
from phaseguide.widgets.segment.live_mode import LiveMode
from phaseguide.widgets.segment.panel import SegmentPanel
from phaseguide.widgets.segment.plan import Planner
from phaseguide.widgets.segment.results import Results
from phaseguide.widgets.segment.segmenting import Segmenting
from phaseguide.widgets.segment.state import Phase, SegmentState

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.segmentation.session import Session

OTHER_VALUES = (
    "The mask was made with other values than those in the boxes. Press Segment to make it with these, or put its "
    "values back; then copy or save."
)
BAD_VALUES = "The mask was made with other values: mend them, or put its values back; then copy or save."


class SegmentWidget(Dock):
    """The part of the workbench that segments. What is always seen of it stands in it, the pages in its ``panel``.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.state = state = SegmentState()
        self.panel = panel = SegmentPanel(napari_viewer, state)
        self.binding = PanelBinding(panel, state)
        self.fill(panel)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.runner = TaskRunner(self)
        self.store = SessionStore()
        self.results = Results(napari_viewer)
        edit_tools(napari_viewer)  # brush keys and a log of edits, with or without a project
        self.bars = InfoBars(self)
        self.planner = Planner(napari_viewer, state, self.bars, self.store)
        self.live = LiveMode(self, state, self.results, self.planner, self.store, self.say, self.refresh)
        self.exporter = Exporter(self, state, self.results, self.ready, self.say, self.fail)
        self.images = ImageFollower(panel, napari_viewer, state, self.bars, self.results, self.live)
        self.segmenting = Segmenting(
            self.runner,
            napari_viewer,
            state,
            self.planner,
            self.results,
            self.store,
            self.live,
            panel.warnings,
            self.say,
            self.fail,
        )
        self.brush = Palette(panel.table, napari_viewer, lambda: state.image, lambda: state.scheme, self.fail)
        decisions, results = panel.decisions, panel.results
        cancel = (panel.table.away_button, decisions.cancel)  # Esc means the brush first
        buttons = (decisions.accept, cancel, results.back, results.forward)
        self._keys = Keys(dict(zip((ACCEPT, CANCEL, BACK, FORWARD), buttons, strict=True)))
        self.weights = BaseWeightsFollower(
            panel.base_weights, state, self.runner, self.store, self.segmenting.run, self.segment, self.say
        )
        self.tools = Assistants(
            panel, self.binding, napari_viewer, state, self.planner, self.store, self.named_maps
        )
        self._connect()
        self._on_model()
        self.images.look()

    # -- what the user sees and does --------------------------------------------------------------

    @property
    def image(self) -> Image | None:
        """The chosen image layer, or None."""
        return self.state.image

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; napari calls this when they change."""
        self.panel.image_box.reset_choices()
        self.tools.reset_choices()

    def segment(self) -> None:
        """Start segmenting, or say why not."""
        self.finish_typing()
        self._look_at_plane()
        self.segmenting.segment()

    def stop(self) -> None:
        """Stop after the step under way."""
        self.panel.stop_button.setEnabled(False)
        self.segmenting.stop()

    def ready(self) -> str:
        """Finish what is typed and keep what is on trial; return why the result must not leave the dock, or ""."""
        self.finish_typing()
        self.live.accept_now()
        table = self.panel.table
        if not table.stale:
            return ""
        return f"{table.problem} {BAD_VALUES}" if table.problem else OTHER_VALUES

    def finish_typing(self) -> None:
        """Let every number count that is being typed."""
        self.panel.table.finish()
        self.tools.regions.finish()

    def put_back_values(self) -> None:
        """Put the values into the boxes that the mask on show was made with."""
        run = None if self.image is None else self.results.shown(self.image)
        if self.live.in_series:
            self.live.cancel()
        elif run is not None:
            self.state.inputs = run.inputs
            self.live.baseline()
            self.say("The boxes have the values that the mask was made with.")

    def act_on_both(self) -> None:
        """Let the ratio act in the network and on the mask."""
        mode = self.panel.advanced.controls["mode"]
        mode.setCurrentIndex(mode.findData("both"))

    def take_offer(self, offer: RatioOffer) -> None:
        """Write an offered ratio into the boxes, as one change: shares, uncertainties, where it comes from."""
        scheme, spread = self.state.scheme, offer.uncertainty
        if scheme is None or len(offer.shares) != len(scheme):
            known = "no model is chosen" if scheme is None else f"the model's are {scheme.describe()}"
            self.fail(
                RatioError(f"{offer.title}: has {len(offer.shares)} phases, but {known}. Choose its model.")
            )
            return
        if spread is None:
            spreads = self.state.inputs.unlocked().spreads
        else:
            spreads = spread if isinstance(spread, tuple) else (spread,) * len(offer.shares)
        self.binding.choose(offer.source, None if offer.source is None else FIELD)
        self.binding.take(offer.shares, spreads, offer.title)
        self.live.changed()

    def take_model(self, path: Path) -> None:
        """Choose a model that another dock tells of; an image that has a result gets a new one."""
        segmented = self.image is not None and self.current(self.current_plane()) is not None
        self.panel.model_box.open_file(path)
        if segmented:
            self.segment()

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Put a sentence on the status line, with buttons for what it tells to do."""
        super().say(text, alarm=alarm)
        self.panel.next_step.show_for(text)

    def current_plane(self) -> Index:
        """Plane of the image that is on show."""
        return planes.current_index(self.image, self.viewer.dims.point)

    def current_session(self) -> Session | None:
        """Return the session of the plane on show; see `Planner.session`."""
        return self.planner.session()

    def named_maps(self) -> dict[str, Callable[[], Labels | None]]:
        """Return functions that give the label maps of the plane on show, for whoever compares them."""
        return named_maps(self.state, self.results, self.planner, self.store)

    def history(self) -> History | None:
        """Results on the chosen image that were kept."""
        return None if self.image is None else self.results.history(self.image)

    def current(self, index: Index) -> Segmentation | None:
        """Result on show of one plane of the chosen image, with edits on top; None if there is none."""
        return None if self.image is None else self.results.current(self.image, index)

    # -- keeping up -------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel, runner, live, events = self.panel, self.runner, self.live, self.state.events
        events.model.connect(self._on_model)
        events.phase.connect(self._on_phase)
        events.shown.connect(self._on_shown)
        panel.model_box.failed.connect(lambda message: self.fail(ModelError(message)))
        events.image.connect(self.brush.put_away)
        self.brush.changed.connect(self._keys.update)
        self.brush.made_edits.connect(self.images.watch_edits)
        self.binding.changed.connect(live.changed)
        live.measured.connect(self.binding.show_sensitivity)
        self.tools.offered.connect(self.take_offer)
        self.tools.said.connect(self.say)
        self.tools.failed.connect(self.fail)
        panel.segment_button.clicked.connect(self.segment)
        for words, title, tip, action in (
            ("press Segment", "Segment", "Segment with the values in the boxes.", self.segment),
            (
                "put its values back",
                "Put values back",
                "Put back what it was made with.",
                self.put_back_values,
            ),
            ("act on the mask, or on both", "Act on both", "Set it under Advanced.", self.act_on_both),
        ):
            panel.next_step.add(words, title, tip, action)
        panel.stop_button.clicked.connect(self.stop)
        panel.decisions.accept.clicked.connect(live.accept)
        panel.decisions.cancel.clicked.connect(live.cancel)
        panel.results.stepped.connect(live.step)
        panel.results.copy_table.connect(self.exporter.copy_table)
        panel.results.save_table.connect(self.exporter.save_table)
        panel.results.save_overlay.connect(self.exporter.save_overlay)
        panel.results.save_result.connect(self.exporter.save_result)
        runner.progressed.connect(panel.progress.show_step)
        runner.happened.connect(self._on_event)
        runner.ended.connect(self._on_ended)
        self.segmenting.shown.connect(self.refresh)
        self.segmenting.made_edits.connect(self.images.watch_edits)
        self.images.changed.connect(self.refresh)
        self.images.said.connect(self.say)
        self.images.edited.connect(self.refresh_soon)
        hub = hub_of(self.viewer)
        listen(self, hub.ratio_offered, self.take_offer)
        listen(self, hub.model_chosen, self.take_model)
        listen(self, self.viewer.dims.events.current_step, self.refresh_soon)
        listen(self, self.viewer.layers.events.removed, self._on_removed)

    def _on_event(self, event: Any) -> None:
        if isinstance(event, DeviceFound):
            self.state.device = event.device

    def _on_ended(self, _: Any, error: BaseException | None) -> None:
        self.segmenting.ended(error, self._take_error)
        self.show_state()

    def _take_error(self, error: BaseException) -> bool:
        taken = self.weights.take(error)
        if taken:
            self.panel.reveal(self.panel.base_weights)
        return taken

    def refresh_soon(self, event: Any = None) -> None:
        """Follow the plane at once, and refresh when all is quiet."""
        self._look_at_plane()
        super().refresh_soon()

    def _look_at_plane(self) -> None:
        self.state.plane = () if self.image is None else self.current_plane()

    def _on_removed(self, event: Any) -> None:
        self.live.forget(event.value)
        self.segmenting.lose(event.value)
        self.refresh_soon()

    def _on_model(self) -> None:
        if self.state.model is not None:
            hub_of(self.viewer).model = self.state.model.path
        self.brush.follow()  # the rows may be new, and know of no brush
        self.live.leave()
        later(self, self.panel.fit_width)  # new rows have no style before the next turn
        self.refresh_soon()

    def _on_shown(self, shown: Segmentation | None) -> None:
        """List what is to be known of the result on show, whatever brought it there."""
        image = self.image
        if shown is not None and image is not None:
            self.panel.warnings.show_result(plane_name(image.name, self.state.plane), shown.notices)

    def _on_phase(self, phase: Phase) -> None:
        if phase == "running":
            self.panel.progress.begin()
        else:
            self.panel.progress.end()
        self.show_state()

    def refresh(self) -> None:
        """Bring numbers and the shown map up to date with result, plane and edits."""
        state = self.state
        self._look_at_plane()
        state.shown = shown = self.current(state.plane)
        if shown is not None:
            if not self.results.looks_at(self.image, state.plane):
                layer = roles.find_layer(self.viewer, self.image, "phases")
                roles.update_plane(layer, state.plane, shown.labels)
            self.live.measure(shown)
        self.tools.refresh()
        self.live.show_phase()
        self.show_state()
        self.store.keep_only({one.unique_id for one in (*self.viewer.layers, *self.results.images())})

    def show_state(self) -> None:
        """Enable what can be done now, buttons and their keys."""
        state, panel = self.state, self.panel
        busy, on_trial = state.phase == "running", state.phase == "on trial"
        panel.segment_button.setEnabled(not busy)
        panel.stop_button.setEnabled(busy)
        panel.decisions.show_state(accept=on_trial, cancel=on_trial or state.phase == "changed")
        panel.results.show_state(
            self.history(), busy=busy, plane_done=state.shown is not None, provisional=on_trial
        )
        self._keys.update()

    # -- the end ----------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:
        """Listen for keys: now this widget stands in a window."""
        super().showEvent(event)
        self._keys.join(self)

    def shut_down(self) -> None:
        """End a run under way; layers stay as they are."""
        self.panel.progress.end()
        self.runner.abandon()
        self.state.events.disconnect()
        self.live.worker.end()
        self.weights.shut_down()
        self.tools.shut_down()
        self.images.shut_down()
        self._keys.remove()
