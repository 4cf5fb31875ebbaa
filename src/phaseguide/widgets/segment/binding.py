"""Between the controls of the step Segment and its state: what the user changes is written there, what others write
there is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal

from phaseguide.jobs.inputs import FIELD, Inputs
from phaseguide.ratios.sources import SOURCES, Source
from phaseguide.widgets.layers.brush_keys import describe_keys
from phaseguide.widgets.qt.plain_text import as_plain
from phaseguide.widgets.segment.preferences import session_options
from phaseguide.widgets.segment.state import ModelChoice, Processing, same_layer

if TYPE_CHECKING:
    from phaseguide.jobs.live import Sensitivity
    from phaseguide.ratios import Ratio
    from phaseguide.segmentation.request import Estimator, Segmentation
    from phaseguide.widgets.segment.panel import SegmentPanel
    from phaseguide.widgets.segment.state import SegmentState

BY_HAND = ", then changed by hand"


class PanelBinding(QObject):
    """Keeps a panel and a state in step.

    Parameters
    ----------
    panel : SegmentPanel
    state : SegmentState
    """

    changed = Signal()
    """The user has changed what a request is made of; it stands in the state by then."""

    def __init__(self, panel: SegmentPanel, state: SegmentState) -> None:
        super().__init__(panel)
        self._panel, self._state, self._written = panel, state, state.inputs
        self._set_inputs(source=panel.source_box.currentData().key)
        self._read_advanced()
        self._on_image()
        self._on_model()
        self._show_source()
        self._show_scope()
        panel.image_box.changed.connect(self._on_image)
        panel.planes_box.currentIndexChanged.connect(self._on_planes)
        panel.model_box.changed.connect(self._on_model)
        panel.live_check.toggled.connect(self._on_live)
        panel.table.changed.connect(self._on_values)
        panel.source_box.currentIndexChanged.connect(self._on_source)
        panel.scope_box.currentIndexChanged.connect(self._on_scope)
        panel.advanced.changed.connect(self._on_advanced)
        state.events.inputs.connect(self._show_inputs)
        state.events.shown.connect(self._show_result)

    def ask_for_estimate(self, estimator: Estimator) -> None:
        """Let the model find the ratio: empties the boxes, and tells of the change."""
        shares = [np.nan] * len(self._panel.table.boxes)
        self._set_inputs(estimator=estimator)
        self._fill(shares, (None,) * len(shares), "", auto=bool(shares))
        self.changed.emit()

    def take(self, shares: Ratio, spreads: tuple[float | None, ...], title: str) -> None:
        """Write values that were offered into the boxes, without telling of a change."""
        self._fill(shares, spreads, title, auto=False)

    def choose(self, source: str | None, scope: str | None) -> None:
        """Choose a source and a scope by their keys, where they are given, without telling of a change."""
        now = self._state.inputs
        self._state.inputs = replace(now, source=source or now.source, scope=scope or now.scope)

    def show_sensitivity(self, measured: Sensitivity) -> None:
        """Show how the areas on show change with the boundaries; those of another result are left out."""
        if self._panel.table.result is measured.segmentation:
            self._panel.table.show_sensitivity(measured.achieved, measured.own)

    # -- from the controls into the state -----------------------------------------------------------

    def _set_inputs(self, **changed: Any) -> None:
        self._written = replace(self._state.inputs, **changed)
        self._state.inputs = self._written

    def _on_image(self) -> None:
        """Choose another image, for which no lock holds that was closed for this one."""
        image = self._panel.image_box.layer
        if not same_layer(image, self._state.image):
            self._state.inputs = self._state.inputs.unlocked()
        self._state.image = image

    def _on_planes(self) -> None:
        self._state.every_plane = (
            not self._panel.planes_box.isHidden() and self._panel.planes_box.currentIndex() == 1
        )

    def _on_live(self, follow: bool) -> None:
        self._state.follow = follow

    def _on_model(self) -> None:
        path, card, table = self._panel.model_box.path, self._panel.model_box.card, self._panel.table
        choice = None if path is None or card is None else ModelChoice(path, card, card.scheme)
        scheme = None if choice is None else choice.scheme
        if scheme != table.scheme:
            table.set_scheme(scheme)
            self._state.shown = None  # the new rows are empty until what is on show is looked at again
        table.set_own_error(np.empty(0) if choice is None else choice.card.own_error)
        names = () if scheme is None else scheme.names
        self._panel.keys_line.setText("" if scheme is None else describe_keys(scheme))
        self._set_inputs(phases=names, shares=table.shares, spreads=table.spreads())
        self._state.model = choice

    def _on_values(self) -> None:
        table, before = self._panel.table, self._state.inputs
        title = before.title
        if title and not title.endswith(BY_HAND):
            title += BY_HAND
        if before.auto:
            table.set_estimated(False)
        self._set_inputs(shares=table.shares, spreads=table.spreads(), title=title, auto=False)
        if title != before.title:
            self._show_source()
        self.changed.emit()

    def _on_source(self) -> None:
        """A source that the user chooses says how sure every value is, and where it comes from."""
        table = self._panel.table
        table.write([box.share for box in table.boxes], (None,) * len(table.boxes))
        source: Source = self._panel.source_box.currentData()
        self._set_inputs(source=source.key, spreads=table.spreads(), title="")
        self._show_source()
        self.changed.emit()

    def _on_scope(self) -> None:
        self._set_inputs(scope=str(self._panel.scope_box.currentData()))
        self._show_scope()
        self.changed.emit()

    def _on_advanced(self) -> None:
        self._read_advanced()
        self.changed.emit()

    def _read_advanced(self) -> None:
        advanced = self._panel.advanced.value()
        self._state.options = session_options(advanced)
        self._state.processing = Processing(
            advanced.request_mode, advanced.smoothing_px, advanced.min_island_px
        )

    def _fill(
        self, shares: Ratio | list[float], spreads: tuple[float | None, ...], title: str, *, auto: bool
    ) -> None:
        table = self._panel.table
        table.write(shares, spreads)
        table.set_estimated(auto)
        self._set_inputs(shares=table.shares, spreads=table.spreads(), title=title, auto=auto)
        self._show_source()

    # -- from the state into the controls -----------------------------------------------------------

    def _show_inputs(self, inputs: Inputs) -> None:
        """Put back what was set, without telling of a change; values for other phases are left out."""
        if inputs is self._written:
            return
        table = self._panel.table
        controls = (self._panel.source_box, self._panel.scope_box, table)
        blocked = [control.blockSignals(True) for control in controls]
        self._panel.source_box.setCurrentIndex([one.key for one in SOURCES].index(inputs.source))
        self._panel.scope_box.setCurrentIndex(self._panel.scope_box.findData(inputs.scope))
        table.set_estimated(inputs.auto)
        names = () if table.scheme is None else table.scheme.names
        if inputs.phases == names:
            table.write([np.nan if share is None else share for share in inputs.shares], inputs.spreads)
        for control, before in zip(controls, blocked, strict=True):
            control.blockSignals(before)
        self._set_inputs(phases=names, shares=table.shares, spreads=table.spreads())
        self._show_source()
        self._show_scope()

    def _show_scope(self) -> None:
        """A specimen is segmented with all its planes, and not live."""
        is_field = self._state.inputs.scope == FIELD
        self._panel.scope_box.setToolTip(self._panel.scope_box.currentData(Qt.ItemDataRole.ToolTipRole))
        self._panel.planes_box.setEnabled(is_field)
        self._panel.live_check.setEnabled(is_field)

    def _show_source(self) -> None:
        """Show what the choice of source means for the ranges."""
        inputs = self._state.inputs
        tip = as_plain(f"Taken from: {inputs.title}.") if inputs.title else self._state.source.tip
        self._panel.source_box.setToolTip(tip)
        self._panel.table.set_uncertainty(self._state.source_uncertainty)

    def _show_result(self, result: Segmentation | None) -> None:
        self._panel.table.show_result(result)
