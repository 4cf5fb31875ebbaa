"""The parts of the step Segment around the table: sources of ratios, regions, what changes phase, look inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.ratios import Ratio
from phaseguide.segmentation.review.out_of_distribution import UNLIKE
from phaseguide.widgets.inside.box import InsideBox
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.ratio.painted import PaintedBox
from phaseguide.widgets.ratio.prompts import PromptsBox
from phaseguide.widgets.ratio.ratio_tools import RatioTools
from phaseguide.widgets.ratio.regions import RegionsBox
from phaseguide.widgets.segment.flipped_islands import FlippedIslandsBox, Maps
from phaseguide.widgets.segment.plan import no_prompts

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.jobs.inputs import Inputs
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.segmentation.request import Segmentation
    from phaseguide.widgets.segment.binding import PanelBinding
    from phaseguide.widgets.segment.panel import SegmentPanel
    from phaseguide.widgets.segment.plan import Planner
    from phaseguide.widgets.segment.state import SegmentState

STRANGE = "This image is unlike those that the model has learnt from. A few strokes make a model for it."


class Assistants(QObject):
    """Makes the parts, puts them into the panel and connects them.

    Parameters
    ----------
    panel : SegmentPanel
    binding : PanelBinding
        Tells of changes of regions and prompts, as of those of the controls.
    viewer : napari.viewer.Viewer
    state : SegmentState
    planner : Planner
        Learns here where regions and prompts come from.
    store : SessionStore
    maps : callable
        Returns the maps of the plane on show that can be compared.
    """

    offered = Signal(object)
    """A `RatioOffer` for the boxes."""
    said = Signal(str)
    """A sentence for the status line."""
    failed = Signal(object)
    """A `PhaseguideError`: what was tried cannot be done."""

    def __init__(
        self,
        panel: SegmentPanel,
        binding: PanelBinding,
        viewer: ViewerModel,
        state: SegmentState,
        planner: Planner,
        store: SessionStore,
        maps: Callable[[], Maps],
    ) -> None:
        super().__init__(panel)
        self._panel, self._binding, self._state, self._planner = panel, binding, state, planner
        self._compares = False
        self.ratio = RatioTools(
            lambda: state.asked, self._own, lambda: state.scheme, self._model_name, self._preset_state
        )
        self.painted = PaintedBox(viewer, self._image, planner.session, lambda: state.scheme)
        self.regions = RegionsBox(viewer, self._image)
        self.flipped = FlippedIslandsBox(viewer, self._image, lambda: state.scheme, maps)
        self.inside = InsideBox(viewer, planner.look_inside, self._image, store)
        self.prompts = PromptsBox(viewer, self._image)
        planner.regions_of = self.regions.regions
        panel.advanced.form.rows.addRow(self.prompts)
        panel.sources.addWidget(self.ratio)
        self.painted_fold = Collapsible("From painted labels", self.painted)
        self.regions_fold = Collapsible("Regions with their own ratio", self.regions)
        self.flipped_fold = Collapsible("Islands that change phase", self.flipped)
        panel.sources.addWidget(self.painted_fold)
        panel.sources.addWidget(self.regions_fold)
        self.inside_fold = Collapsible("Inside the network", self.inside)
        panel.judging.addWidget(self.flipped_fold)
        panel.judging.addWidget(self.inside_fold)
        self.painted.set_active(False)
        self.painted_fold.toggled.connect(self.painted.set_active)
        self.flipped_fold.toggled.connect(self._on_flipped)
        self.ratio.offered.connect(self.offered)
        self.ratio.state_wanted.connect(self._take_state)
        self.ratio.auto_wanted.connect(binding.ask_for_estimate)
        self.ratio.said.connect(self.said)
        self.ratio.failed.connect(self.failed)
        self.painted.offered.connect(self.offered)
        self.regions.changed.connect(binding.changed)
        self.prompts.changed.connect(binding.changed)
        state.events.image.connect(self.regions.follow_image)
        state.events.image.connect(self.prompts.follow_image)
        state.events.model.connect(self._on_model)
        state.events.inputs.connect(self._on_inputs)
        state.events.shown.connect(self._on_shown)
        self.regions.set_uncertainty(state.source_uncertainty)
        self._on_model()

    def refresh(self) -> None:
        """Follow the chosen image, model and plane, and the edits."""
        shown = self._state.shown
        self.regions.set_scheme(self._state.scheme)
        self.regions.show_shares(() if shown is None else shown.regions)
        self.ratio.refresh()
        self._compare()
        if self.painted_fold.isExpanded():
            self.painted.refresh()

    def reset_choices(self) -> None:
        """Read the viewer's layers again."""
        self.painted.reset_choices()
        self.regions.reset_choices()
        self.prompts.reset_choices()

    def shut_down(self) -> None:
        """Hear nothing more of layers."""
        self.painted.shut_down()
        self.inside.shut_down()

    def _image(self) -> Image | None:
        return self._state.image

    def _own(self) -> Ratio | None:
        shown = self._state.shown
        return None if shown is None or shown.scheme != self._state.scheme else shown.own

    def _model_name(self) -> str:
        return "" if self._state.model is None else self._state.model.card.name

    def _preset_state(self) -> Mapping[str, Any]:
        inputs = self._state.inputs
        return {"source": inputs.source, "scope": inputs.scope, "uncertainty": inputs.spreads}

    def _take_state(self, state: dict[str, Any]) -> None:
        self._binding.choose(state.get("source"), state.get("scope"))

    def _on_model(self) -> None:
        """Offer boxes and points where the model takes them."""
        model = self._state.model
        takes = model is not None and model.card.backbone.takes_prompts
        self.prompts.set_scheme(self._state.scheme if takes else None)
        self._planner.prompts_of = self.prompts.prompts if takes else no_prompts
        self._panel.advanced.form.rows.setRowVisible(self.prompts, takes)

    def _on_inputs(self, new: Inputs, old: Inputs) -> None:
        if new.source != old.source:
            self.regions.set_uncertainty(self._state.source_uncertainty)

    def _on_shown(self, result: Segmentation | None) -> None:
        """Show what a changed value has led to."""
        self.regions.show_shares(() if result is None else result.regions)
        strange = result is not None and any(notice.startswith(UNLIKE) for notice in result.notices)
        self._panel.new_material.advice.setText(STRANGE if strange else "")
        self._compare()

    def _on_flipped(self, opened: bool) -> None:
        self._compares = opened
        self._compare()

    def _compare(self) -> None:
        if self._compares:
            self.flipped.refresh()
