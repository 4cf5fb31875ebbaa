"""The parts of the Segment widget around the table: sources of ratios, regions, disputed islands, look inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from phaseguide.ratios import Ratio
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.inside.box import InsideBox
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.ratio.painted import PaintedBox
from phaseguide.widgets.ratio.prompts import PromptsBox
from phaseguide.widgets.ratio.ratio_tools import RatioTools
from phaseguide.widgets.ratio.regions import RegionsBox
from phaseguide.widgets.segment.flipped_islands import DisputesBox
from phaseguide.widgets.segment.plan import make_wish

if TYPE_CHECKING:
    from phaseguide.widgets.segment.dock import SegmentWidget


class SideTools(QObject):
    """Makes the parts, puts them into the panel and connects them.

    Parameters
    ----------
    widget : SegmentWidget
    """

    def __init__(self, widget: SegmentWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        panel, viewer = widget.panel, widget.viewer
        self.ratio = RatioTools(
            panel.table.asked, self._own, lambda: widget.scheme, self._model_name, self._state
        )
        self.painted = PaintedBox(viewer, lambda: widget.image, widget.current_session, lambda: widget.scheme)
        self.regions = RegionsBox(viewer, lambda: widget.image)
        self.disputes = DisputesBox(viewer, lambda: widget.image, lambda: widget.scheme, widget.named_maps)
        self.inside = InsideBox(viewer, lambda: make_wish(viewer, panel), lambda: widget.image, widget.store)
        self.prompts = PromptsBox(viewer, lambda: widget.image)
        panel.regions_of, panel.prompts_of = self.regions.regions, self.prompts.prompts
        panel.advanced.form.rows.addRow(self.prompts)
        panel.sources.addWidget(self.ratio)
        self.painted_fold = Collapsible("From painted labels", self.painted)
        self.regions_fold = Collapsible("Regions with their own ratio", self.regions)
        self.disputes_fold = Collapsible("Islands that flip", self.disputes)
        panel.sources.addWidget(self.painted_fold)
        panel.sources.addWidget(self.regions_fold)
        self.inside_fold = Collapsible("Inside the network", self.inside)
        panel.judging.addWidget(self.disputes_fold)
        panel.judging.addWidget(self.inside_fold)
        self.painted.set_active(False)
        self.painted_fold.toggled.connect(self.painted.set_active)
        self.ratio.offered.connect(widget.take_offer)
        self.ratio.state_wanted.connect(self._take_state)
        self.ratio.auto_wanted.connect(panel.ask_for_estimate)
        self.ratio.said.connect(widget.say)
        self.ratio.failed.connect(widget.fail)
        self.painted.offered.connect(widget.take_offer)
        self.regions.changed.connect(panel.changed)
        self.prompts.changed.connect(panel.changed)
        panel.model_box.changed.connect(self._on_model)
        self.disputes.working.connect(lambda _: widget.show_state())
        panel.source_box.currentIndexChanged.connect(self._on_source)
        panel.advanced.changed.connect(self._on_source)
        self._on_source()
        self._on_model()

    def refresh(self, standing: Segmentation | None) -> None:
        """Follow the chosen image, model and plane, and the result on show."""
        self.regions.set_scheme(self._widget.scheme)
        self.regions.show_shares(() if standing is None else standing.regions)
        self.ratio.refresh()
        self.disputes.refresh()
        if self.painted_fold.isExpanded():
            self.painted.refresh()

    def answered(self, result: Segmentation) -> None:
        """Show what a changed value has led to."""
        self.regions.show_shares(result.regions)
        self.disputes.refresh()

    def reset_choices(self) -> None:
        """Read the viewer's layers again."""
        self.painted.reset_choices()
        self.regions.reset_choices()
        self.prompts.reset_choices()

    def shut_down(self) -> None:
        """Hear nothing more of layers."""
        self.painted.shut_down()
        self.inside.shut_down()

    def _own(self) -> Ratio | None:
        standing = self._widget.standing(self._widget.current_plane()) if self._widget.image else None
        return None if standing is None or standing.scheme != self._widget.scheme else standing.own

    def _model_name(self) -> str:
        card = self._widget.panel.model_box.card
        return "" if card is None else card.name

    def _state(self) -> Mapping[str, Any]:
        panel = self._widget.panel
        return {"source": panel.source.key, "scope": panel.scope, "uncertainty": panel.table.spreads()}

    def _take_state(self, state: dict[str, Any]) -> None:
        self._widget.panel.choose(state.get("source"), state.get("scope"))

    def _on_model(self) -> None:
        """Offer boxes and points where the model takes them."""
        card = self._widget.panel.model_box.card
        takes = card is not None and card.backbone.takes_prompts
        self.prompts.set_scheme(card.scheme if takes else None)
        self._widget.panel.advanced.form.rows.setRowVisible(self.prompts, takes)

    def _on_source(self, *_: Any) -> None:
        panel = self._widget.panel
        self.regions.set_uncertainty(0.0 if panel.advanced.value().exact else panel.source.uncertainty)
