"""The table of phases: the brush, what the user expects, how far that is followed, and what was found."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios import Ratio, uncertainty_for
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.qt.percent_box import ShareBox, shares_of
from phaseguide.widgets.qt.plain_text import Label, as_plain, one_line
from phaseguide.widgets.qt.rows_area import RowsArea
from phaseguide.widgets.qt.sentence import Sentence
from phaseguide.widgets.qt.shortcuts import key_tip
from phaseguide.widgets.qt.status_line import StatusLine
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.ratio.lock_button import LockButton
from phaseguide.widgets.ratio.phase_row import (
    EXPECTED,
    FOUND,
    FOUND_TIP,
    LINES,
    LOCK,
    NAME,
    TRUST,
    UNGUIDED,
    UNGUIDED_TIP,
    PhaseLine,
)
from phaseguide.widgets.ratio.range_button import RangeButton
from phaseguide.widgets.ratio.sums import describe_areas, describe_sum, left_out, scaled_to_100

IN_MASK, NOT_YET = "In mask\n(±1 px)", "Not yet\nupdated"
HEADINGS = {
    NAME: ("Phase", "Click a phase to paint it."),
    UNGUIDED: ("Without\nguidance", UNGUIDED_TIP),
    TRUST: (
        "Aimed\nat %",
        "From what the model sees (left) to what you expect (right): what the mask is made with.",
    ),
    EXPECTED: ("Expected\narea %", ""),
    FOUND: (IN_MASK, FOUND_TIP),
}
BRUSH_OFF = "Brush off: click a phase to paint it."
AWAY = "Esc"
NOT_YET_TIP = "The mask was made with other values than those in the boxes."
SAME = 0.005
"""A full ratio may be scaled by so much (typed roundings such as 3 x 33.3), which makes no other value of it."""

ROWS = 5
"""Phases that are seen at once; the others are scrolled to."""


class PhaseTable(QWidget):
    """One row per phase.

    Boxes change only when the user changes them, presses a button that says so, or takes values over from elsewhere
    (`write`). ``changed`` tells of the first two, once a number is finished.
    """

    changed = Signal()
    armed = Signal(int)
    """The user wants the brush with the phase of this label."""

    def __init__(self) -> None:
        super().__init__()
        self.scheme: PhaseScheme | None = None
        self.rows: list[PhaseLine] = []
        self.result: Segmentation | None = None
        self._shares = np.empty(0)
        self._own_error: Ratio = np.empty(0)
        self._estimated = self._wrong = False
        self._uncertainty = 0.3
        self._remembered: dict[str, float] = {}
        self._brush = ""
        self._area = RowsArea(ROWS)
        self._area.show_rows(QWidget(), 0)
        self._found_heading: Label | None = None
        self.lock_all = _lock_all()
        self.scale_button = QPushButton("Scale to 100 %")
        self.scale_button.setToolTip("Multiply all values by the same factor so that they sum to 100 %.")
        self.scale_button.clicked.connect(self._scale)
        self.absent_button = QPushButton("Enter 0 %")
        self.absent_button.setToolTip("Say that the open phases are absent.")
        self.absent_button.clicked.connect(self._enter_zero)
        self.away_button = QPushButton("Put away")
        self.away_button.setToolTip(
            key_tip("Put the brush away: a click on the image changes nothing any more.", AWAY)
        )
        self.exactly_button = QPushButton("Use exactly mine")
        self.exactly_button.clicked.connect(self._impose_outside)
        self.brush_line = Sentence(self.away_button, self.exactly_button)
        self.sum_line = Sentence(self.scale_button, self.absent_button)
        self.note = StatusLine(1)
        self.note.setStyleSheet("font-weight: bold;")
        self._outer = QVBoxLayout(self)
        self._outer.setContentsMargins(0, 0, 0, 0)
        self._outer.setSpacing(2)
        self._outer.addWidget(self._area)
        self._outer.addWidget(self.brush_line)
        self._outer.addWidget(self.sum_line)
        self._outer.addWidget(self.note)
        policy = self.note.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.note.setSizePolicy(policy)
        self.note.hide()
        self.show_brush(0, "")
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

    @property
    def stale(self) -> bool:
        """Whether the result on show was made with other values than those in the boxes, or another trust in them."""
        if self.result is None:
            return False
        return self.pending or self._has_other_shares() or self._has_other_trust(self.result)

    @property
    def problem(self) -> str:
        """Why the values in the boxes cannot be meant; empty if they can."""
        return self.sum_line.text() if self._wrong else ""

    @property
    def pending(self) -> bool:
        """Whether a number is being typed that does not count yet."""
        return any(box.pending for box in self.boxes)

    def finish(self) -> None:
        """Let every number count that is being typed."""
        for box in self.boxes:
            box.finish()

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Make the rows; what was typed for a phase of the same name is kept."""
        if scheme == self.scheme:
            return
        if self.scheme is not None:
            for phase, box in zip(self.scheme, self.boxes, strict=True):
                self._remembered[normalise_name(phase.name)] = box.share
        self.scheme, self.rows, self.result = scheme, [], None
        self._shares = np.full(len(scheme or ()), np.nan)  # what new ranges show
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(NAME, 2)
        grid.setColumnStretch(TRUST, 1)
        if scheme:
            self._add_headings(grid)
        for number, phase in enumerate(scheme or ()):
            row = PhaseLine(phase, grid, 1 + LINES * number)
            row.box.share = self._remembered.get(normalise_name(phase.name), np.nan)
            row.box.typing.connect(self._show_staleness)
            row.changed.connect(self._on_change)
            row.trust_wanted.connect(self._on_trust)
            row.armed.connect(self.armed)
            self.rows.append(row)
        self._area.show_rows(body, len(self.rows))
        self.set_uncertainty(self._uncertainty)
        self.show_brush(0, "")
        self.show_result(None)

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Expected shares in [0, 1] that count, None where open."""
        return tuple(None if np.isnan(share) else share for share in self._shares.tolist())

    def spreads(self) -> tuple[float | None, ...]:
        """Uncertainty that was set for a phase by itself, 0 where it is locked, None where the source decides."""
        return tuple(row.spread for row in self.rows)

    def write(self, shares: Iterable[float], spreads: tuple[float | None, ...]) -> None:
        """Take over shares (NaN for open) and own uncertainties, without telling of a change."""
        blocked = self.blockSignals(True)
        for row, share, spread in zip(self.rows, shares, spreads, strict=True):
            row.box.share = float(share)
            row.set_spread(spread)
        self.blockSignals(blocked)
        self._update()

    def set_estimated(self, estimated: bool) -> None:
        """Say of empty boxes that the model finds the ratio, or that there is none."""
        if estimated != self._estimated:
            self._estimated = estimated
            self._update()

    def set_uncertainty(self, uncertainty: float) -> None:
        """Show the ranges that a source means."""
        self._uncertainty = uncertainty
        for row in self.rows:
            row.range.set_default(uncertainty)
        self._update()

    def set_own_error(self, own_error: Ratio) -> None:
        """Take the standard deviation of the model's own shares in log-ratio space, shape (K,); empty if not known."""
        self._own_error = own_error

    def show_brush(self, label: int, what: str) -> None:
        """Mark the row of the phase that the brush holds, and say what it does; 0 for no row, empty for no brush."""
        for number, row in enumerate(self.rows, start=1):
            row.show_armed(number == label)
        self._brush = what
        self.away_button.setEnabled(bool(what))
        self._show_brush_line()

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
        self._show_trust()
        self._show_sum()
        told = "" if result is None else describe_areas(result)
        self.note.setText(told)
        self.note.setVisible(bool(told))
        self.note.explain("")
        if result is not None and result.has_ratio and result.imposed is not None:
            aims = ", ".join(
                f"{p.name} {share * 100:.2f} %"
                for p, share in zip(result.scheme, result.imposed, strict=True)
            )
            self.note.explain(f"Your values, weighed against what the model sees, gave the aim: {aims}.")

    def show_sensitivity(self, achieved: tuple[Ratio, Ratio], own: tuple[Ratio, Ratio]) -> None:
        """Show the lowest and highest shares with all boundaries moved by one pixel."""
        for k, row in enumerate(self.rows):
            row.show_sensitivity((achieved[0][k], achieved[1][k]), (own[0][k], own[1][k]))

    # -- within -----------------------------------------------------------------------------------

    def _add_headings(self, grid: QGridLayout) -> None:
        for column, (text, tip) in HEADINGS.items():
            heading = Label(text)
            side = Qt.AlignmentFlag.AlignRight
            if column in (NAME, TRUST):
                side = Qt.AlignmentFlag.AlignLeft if column == NAME else Qt.AlignmentFlag.AlignHCenter
            heading.setAlignment(side | Qt.AlignmentFlag.AlignBottom)
            heading.setToolTip(tip)
            heading.setStyleSheet("font-size: 11px;")
            grid.addWidget(heading, 0, column)
            if column == FOUND:
                self._found_heading = heading
        self.lock_all = _lock_all()
        self.lock_all.clicked.connect(self._on_lock_all)
        grid.addWidget(self.lock_all, 0, LOCK, Qt.AlignmentFlag.AlignBottom)

    def _same_names(self, scheme: PhaseScheme) -> bool:
        return self.scheme is not None and scheme.names == self.scheme.names

    def _has_other_shares(self) -> bool:
        asked = None if self.result is None else self.result.asked
        made = np.full(len(self.rows), np.nan) if asked is None else asked
        return not np.allclose(shares_of(self.boxes), made, rtol=0, atol=SAME, equal_nan=True)

    def _has_other_trust(self, result: Segmentation) -> bool:
        if result.uncertainty is None:
            return False
        made = np.broadcast_to(np.asarray(result.uncertainty), len(self.rows))
        now, given = np.array([one.uncertainty for one in self.ranges]), ~np.isnan(self._shares)
        return not np.allclose(now[given], made[given])

    def _on_change(self) -> None:
        if not self.signalsBlocked():
            self._update()
            self.changed.emit()

    def _on_trust(self, label: int, wanted: float) -> None:
        """Find the uncertainty that imposes the share which the hand has chosen."""
        k, result = label - 1, self.result
        if result is None or len(self._own_error) != len(self.rows) or np.nansum(self._shares) > 1 + SAME:
            return
        unsure = [one.uncertainty for one in self.ranges]
        self.rows[k].trust_by_hand(
            uncertainty_for(wanted, k, self._shares, result.own, unsure, self._own_error)
        )

    def _on_lock_all(self, closed: bool) -> None:
        for row in self.rows:
            row.set_spread(0.0 if closed else None)
        self._on_change()

    def _update(self) -> None:
        shares, before = shares_of(self.boxes), self._shares
        for k in np.flatnonzero((shares != before) & ~(np.isnan(shares) & np.isnan(before))):
            self.rows[k].range.set_share(float(shares[k]))
        self._shares = shares
        self.lock_all.setChecked(bool(self.rows) and all(spread == 0 for spread in self.spreads()))
        self._show_trust()
        self._show_sum()

    def _show_sum(self) -> None:
        own = None if self.result is None else self.result.own
        open_names = left_out(self._shares, self.spreads(), self.scheme, own)
        text, wrong, scalable = describe_sum(self._shares, self.scheme, open_names, estimated=self._estimated)
        self._wrong = wrong
        self.sum_line.say(text, alarm=wrong)
        applying = [self.scale_button] if scalable else [self.absent_button] if open_names else []
        self.sum_line.offer(*applying)
        self._show_staleness()

    def _show_trust(self) -> None:
        result = self.result
        shown = result is not None and result.asked is not None and not self._has_other_shares()
        for k, row in enumerate(self.rows):
            imposed = float("nan")
            if shown and result is not None and result.imposed is not None:
                imposed = float(result.imposed[k])
            own = float("nan") if result is None else float(result.own[k])
            row.show_trust(own, float(self._shares[k]), imposed)
        self._show_brush_line()

    def _show_brush_line(self) -> None:
        """Say what the brush does; while it is away, that the mask is made with less or more than the user's range.

        Both on one line that is always there, so that no row moves under the hand that drags a handle.
        """
        outside = self._outside()
        if self._brush:
            self.brush_line.say(self._brush)
            self.brush_line.offer(self.away_button)
        elif outside is not None:
            self.brush_line.say(outside.outside)
            self.exactly_button.setToolTip(f"Close the lock of {as_plain(one_line(outside.phase))}.")
            self.brush_line.offer(self.exactly_button)
        else:
            self.brush_line.say(BRUSH_OFF if self.rows else "")
            self.brush_line.offer()

    def _outside(self) -> PhaseLine | None:
        return next((row for row in self.rows if row.outside), None)

    def _impose_outside(self) -> None:
        row = self._outside()
        if row is not None:
            row.choose(0.0)

    def _show_staleness(self) -> None:
        heading, stale = self._found_heading, self.stale
        if heading is None or not self.rows:
            return
        text = NOT_YET if stale else IN_MASK
        if heading.text() != text:
            heading.setText(text)
            heading.setToolTip(NOT_YET_TIP if stale else FOUND_TIP)
            heading.setStyleSheet(f"font-size: 11px; {ALARM if stale else ''}")

    def _scale(self) -> None:
        """Bring the boxes to exactly 100.00 %."""
        self.write(scaled_to_100(self._shares), self.spreads())
        self.changed.emit()

    def _enter_zero(self) -> None:
        """Say of every open phase that it is absent."""
        self.write(np.nan_to_num(self._shares), self.spreads())
        self.changed.emit()


def _lock_all() -> LockButton:
    return LockButton(
        "Impose all values exactly",
        "Close or open the locks of all phases. Closed: the mask gets your values exactly, whatever the model sees.",
    )
