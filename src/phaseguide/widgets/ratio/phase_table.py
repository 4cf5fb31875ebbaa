"""The table of phases: what the user expects, what that means, and what was found."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios import SUM_TOLERANCE, Ratio
from phaseguide.segmentation.request import Segmentation
from phaseguide.segmentation.saving import CONSTRAINED, constraint_note
from phaseguide.widgets.qt.percent_box import ShareBox, shares_of
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.rows_area import RowsArea
from phaseguide.widgets.qt.status_line import StatusLine
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.ratio.phase_row import FOUND_TIP, UNGUIDED_TIP, PhaseLine
from phaseguide.widgets.ratio.range_button import RangeButton

HEADINGS = ("", "Phase", "Expected\narea %", "Range", "In mask\n(±1 px)", "Without\nguidance")
TIPS = {4: FOUND_TIP, 5: UNGUIDED_TIP}
ESTIMATED = "Nothing set: the model finds the ratio itself."
ROUNDING = 0.005

ROWS = 5
"""Phases that are seen at once; the others are scrolled to."""


class PhaseTable(QWidget):
    """One row per phase.

    Boxes change only when the user changes them, presses *Scale to 100 %*, or takes values over
    from elsewhere (`write`). ``changed`` tells of the first two.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.scheme: PhaseScheme | None = None
        self.rows: list[PhaseLine] = []
        self.result: Segmentation | None = None
        self._shares = np.empty(0)
        self._estimated = self._wrong = False
        self._uncertainty = 0.3
        self._remembered: dict[str, float] = {}
        self._area = RowsArea(ROWS)
        self._area.show_rows(QWidget(), 0)
        self.sum_line = StatusLine(1)
        self.scale_button = QPushButton("Scale to 100 %")
        self.scale_button.setToolTip("Multiply all values by the same factor so that they sum to 100 %.")
        self.scale_button.clicked.connect(self._scale)
        self.note = StatusLine(1)
        self.note.setText(f"In mask: {CONSTRAINED}.")
        self.note.setStyleSheet("font-weight: bold;")
        self._outer = QVBoxLayout(self)
        self._outer.setContentsMargins(0, 0, 0, 0)
        self._outer.addWidget(self._area)
        self._outer.setSpacing(2)
        line = QHBoxLayout()
        line.addStrut(self.scale_button.sizeHint().height())
        line.addWidget(self.sum_line, 1)
        line.addWidget(self.scale_button)
        self._outer.addLayout(line)
        self._outer.addWidget(self.note)
        policy = self.note.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.note.setSizePolicy(policy)
        self.note.hide()
        self._update()

    @property
    def boxes(self) -> list[ShareBox]:
        """The boxes of expected shares."""
        return [row.box for row in self.rows]

    @property
    def ranges(self) -> list[RangeButton]:
        """The ranges that the expected shares mean."""
        return [row.range for row in self.rows]

    @property
    def found(self) -> list[QLabel]:
        """Area % in the mask."""
        return [row.found.value for row in self.rows]

    @property
    def unguided(self) -> list[QLabel]:
        """Area % without guidance."""
        return [row.unguided.value for row in self.rows]

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Make the rows; what was typed for a phase of the same name is kept."""
        if scheme == self.scheme:
            return
        if self.scheme is not None:
            for phase, box in zip(self.scheme, self.boxes, strict=True):
                self._remembered[normalise_name(phase.name)] = box.share
        self.scheme, self.rows = scheme, []
        self._shares = np.full(len(scheme or ()), np.nan)  # what new ranges show
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(1, 1)
        for column, heading in enumerate(HEADINGS if scheme else ()):
            label = Label(heading)
            side = Qt.AlignmentFlag.AlignLeft if column < 2 else Qt.AlignmentFlag.AlignRight
            label.setAlignment(side | Qt.AlignmentFlag.AlignBottom)
            label.setToolTip(TIPS.get(column, ""))
            label.setStyleSheet("font-size: 11px;")
            grid.addWidget(label, 0, column)
        for number, phase in enumerate(scheme or ()):
            row = PhaseLine(phase, grid, 1 + 2 * number)
            row.box.share = self._remembered.get(normalise_name(phase.name), np.nan)
            row.box.valueChanged.connect(self._on_change)
            row.range.changed.connect(self._on_change)
            self.rows.append(row)
        self._area.show_rows(body, len(self.rows))
        self.set_uncertainty(self._uncertainty)
        self.show_result(None)

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Expected shares in [0, 1], None where open."""
        return tuple(None if np.isnan(share) else share for share in self._shares.tolist())

    def spreads(self) -> tuple[float | None, ...]:
        """Uncertainty that was set for a phase by itself, None where the source decides."""
        return tuple(row.range.spread for row in self.rows)

    def write(self, shares: Iterable[float], spreads: tuple[float | None, ...]) -> None:
        """Take over shares (NaN for open) and own uncertainties, without telling of a change."""
        blocked = self.blockSignals(True)
        for row, share, spread in zip(self.rows, shares, spreads, strict=True):
            row.box.share = float(share)
            row.range.set_spread(spread)
        self.blockSignals(blocked)
        self._update()

    def set_estimated(self, estimated: bool) -> None:
        """Say of empty boxes that the model finds the ratio, or that there is none."""
        if estimated != self._estimated:
            self._estimated = estimated
            self._update()

    def set_uncertainty(self, uncertainty: float) -> None:
        """Show the ranges that a source means; 0 is exact."""
        self._uncertainty = uncertainty
        for row in self.rows:
            row.range.set_default(uncertainty)
        self._update()

    def fit(self) -> None:
        """Give names and numbers the room they need."""
        for row in self.rows:
            row.fit()

    def show_result(self, result: Segmentation | None) -> None:
        """Show the area shares of a result, or none; the two columns always come together."""
        if result is not None and result.scheme != self.scheme and not self._same_names(result.scheme):
            result = None  # made with another model; its numbers belong to other phases
        self.result = result
        for k, row in enumerate(self.rows):
            if result is None:
                row.show_shares(None, None)
            else:
                row.show_shares(float(result.achieved[k]), float(result.own[k]))
        self.note.setVisible(result is not None and result.constrained)
        if result is None or not result.constrained:
            return
        self.note.setText(f"In mask: {constraint_note(result)}.")
        if result.has_ratio and result.imposed is not None:
            aims = ", ".join(
                f"{p.name} {share * 100:.2f} %"
                for p, share in zip(result.scheme, result.imposed, strict=True)
            )
            self.note.explain(f"Your values, weighed against what the model sees, gave the aim: {aims}.")

    def show_sensitivity(self, achieved: tuple[Ratio, Ratio], own: tuple[Ratio, Ratio]) -> None:
        """Show the lowest and highest shares with all boundaries moved by one pixel."""
        for k, row in enumerate(self.rows):
            row.show_sensitivity((achieved[0][k], achieved[1][k]), (own[0][k], own[1][k]))

    def _same_names(self, scheme: PhaseScheme) -> bool:
        return self.scheme is not None and scheme.names == self.scheme.names

    def _on_change(self) -> None:
        if not self.signalsBlocked():
            self._update()
            self.changed.emit()

    def _update(self) -> None:
        shares, before = shares_of(self.boxes), self._shares
        for k in np.flatnonzero((shares != before) & ~(np.isnan(shares) & np.isnan(before))):
            self.rows[k].range.set_share(float(shares[k]))
        self._shares = shares
        total = float(np.nansum(shares)) * 100
        is_open = np.isnan(shares)
        wrong, scalable = False, False
        if not self.rows or is_open.all():
            text = (
                (ESTIMATED if self._estimated else "Nothing set: segments without guidance.")
                if self.rows
                else "Choose a model to see its phases."
            )
        elif total > 100 + ROUNDING:
            wrong = total > 100 * (1 + SUM_TOLERANCE)
            scalable = not is_open.any()
            rest = "" if scalable else " Lower one of them."
            text = f"Set: {total:.2f} %, more than 100 %.{rest}"
        elif is_open.any():
            text = f"Set: {total:.2f} %, open phases share {max(0.0, 100 - total):.2f} %."
        elif total < 100 - ROUNDING:
            wrong, scalable = total < 100 * (1 - SUM_TOLERANCE), True
            text = f"All phases are set, but they sum to {total:.2f} %. Scale them, or leave one open."
        else:
            text = "Set: 100.00 %."
        self.sum_line.setText(text)
        if wrong != self._wrong:  # a style is costly, also the same one
            self._wrong = wrong
            self.sum_line.setStyleSheet(ALARM if wrong else "")
        self.scale_button.setVisible(scalable and total > 0)

    def _scale(self) -> None:
        """Bring the boxes to exactly 100.00 % by largest remainder, so that the roundings agree too."""
        wanted = self._shares / self._shares.sum() * 10_000
        cents = np.floor(wanted).astype(int)
        for k in np.argsort(cents - wanted, kind="stable")[: 10_000 - cents.sum()]:
            cents[k] += 1
        self.write(cents / 10_000, self.spreads())
        self.changed.emit()
