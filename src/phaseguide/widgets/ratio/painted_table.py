"""The table of shares from painted labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout

from phaseguide.widgets.qt.plain_text import Label

if TYPE_CHECKING:
    from phaseguide.estimation.painted import PaintedEstimate
    from phaseguide.phases import PhaseScheme

HEADINGS = ("Phase", "Share %", "Painted px", "95 % interval")
"""The last only where there is an interval."""

SMALL = "font-size: 11px;"


class PaintedTable(QGridLayout):
    """A row a phase: its share, what is painted of it, and the interval where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.setHorizontalSpacing(10)
        self.setVerticalSpacing(2)
        self.setColumnStretch(0, 1)

    def show_estimate(self, estimate: PaintedEstimate, scheme: PhaseScheme) -> None:
        """Show an estimate in the place of what was there."""
        self.clear()
        for column, heading in enumerate(HEADINGS if estimate.has_interval else HEADINGS[:-1]):
            self._put(0, column, heading, small=True)
        for k, phase in enumerate(scheme):
            known = not np.isnan(estimate.shares[k])
            low, high = estimate.low[k] * 100, estimate.high[k] * 100
            self._put(k + 1, 0, phase.name)
            self._put(k + 1, 1, f"{estimate.shares[k] * 100:.1f}" if known else "–")
            self._put(k + 1, 2, f"{estimate.pixels[k]:,}")
            if estimate.has_interval:
                self._put(k + 1, 3, f"{low:.1f} – {high:.1f}" if known else "–")

    def clear(self) -> None:
        """Show nothing."""
        while (item := self.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()

    def _put(self, row: int, column: int, text: str, *, small: bool = False) -> None:
        label = Label(text)
        side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        label.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setWordWrap(column == 0)
        if small:
            label.setStyleSheet(SMALL)
        self.addWidget(label, row, column)
