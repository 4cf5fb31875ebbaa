"""One row of the phase table: the brush, the areas that were found, the expected one, and how far it is followed."""

from __future__ import annotations

import math

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QFont, QFontMetrics
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel

from phaseguide.phases import Phase
from phaseguide.ratios import ratio_range
from phaseguide.widgets.layers.brush_keys import key_of
from phaseguide.widgets.qt.percent_box import ShareBox
from phaseguide.widgets.qt.plain_text import as_plain, one_line
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.ratio.lock_button import LockButton
from phaseguide.widgets.ratio.phase_chip import PhaseChip, PhaseName
from phaseguide.widgets.ratio.range_button import RangeButton
from phaseguide.widgets.ratio.trust_bar import TrustBar

FOUND_TIP = (
    "Area % in the label map, with your edits on top; excluded area left out. Below, small: from all boundaries "
    "one pixel further in to one pixel further out."
)
UNGUIDED_TIP = (
    "Area % that the model finds without your values. Below, small: with boundaries moved by one pixel."
)
NOTHING = "–"
SMALL = "font-size: 10px;"
SMALL_PADDING = 3
"""Of the small numbers, above and below together; a row is as high without them as with them."""
CHIP, NAME, UNGUIDED, TRUST, EXPECTED, LOCK, FOUND = COLUMNS = range(7)
LINES = 2
"""Lines of the grid that a row takes."""

ROUNDING = 0.0005
"""An imposed share so little outside of a range is not outside: ranges are shown in tenths of a per cent."""


class AreaCell:
    """An area share, and small below it what one pixel more or less at the boundaries makes of it."""

    def __init__(self, tip: str) -> None:
        self.value, self.sensitivity = QLabel(NOTHING), QLabel()  # numbers, so no text to be guarded
        for label in (self.value, self.sensitivity):
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setToolTip(tip)
        self.sensitivity.setStyleSheet(SMALL)

    def show_share(self, share: float | None) -> None:
        """Show a share in [0, 1], or none; the sensitivity of the last one goes."""
        self.value.setText(NOTHING if share is None else f"{share * 100:.2f}")
        self.sensitivity.clear()

    def show_sensitivity(self, low: float, high: float) -> None:
        """Show the range of shares in [0, 1]."""
        self.sensitivity.setText(f"{low * 100:.1f}–{high * 100:.1f}")


class PhaseLine(QObject):
    """The widgets of one phase, put into the lines of a grid.

    Parameters
    ----------
    phase : Phase
    grid : QGridLayout
    line : int
        The first of `LINES`.
    """

    armed = Signal(int)
    """The user wants the brush with the phase of this label."""
    changed = Signal()
    """Another share, or another trust in it, counts now."""
    trust_wanted = Signal(int, object)
    """Label, and the share in [0, 1] that the user wants on the mask (float), see `TrustBar`."""

    def __init__(self, phase: Phase, grid: QGridLayout, line: int) -> None:
        super().__init__(grid)
        name, key = as_plain(one_line(phase.name)), key_of(phase.label)
        self.label, self.phase, self._colour, self._armed = phase.label, phase.name, phase.colour, False
        self.back = QFrame()
        self.chip, self.name = PhaseChip(phase), PhaseName(phase)
        for one in (self.chip, self.name):
            one.setToolTip(
                f"Click to paint {name}. {f'Key {key} on the edits layer does the same. ' if key else ''}"
                "Esc puts the brush away."
            )
            one.clicked.connect(self._on_armed)
        self.box = ShareBox()
        self.box.setToolTip(f"Area share of {name} that you expect; empty leaves it open.")
        self.box.setAccessibleName(f"Expected area % of {phase.name}")
        self.range = RangeButton(phase.name)
        self.trust = TrustBar(phase.name)
        self.aim = QLabel()
        self.aim.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.aim.setStyleSheet(SMALL)
        self.aim.setToolTip("Area % that the mask is made with.")
        self.lock = LockButton(
            f"Impose the value of {phase.name} exactly",
            f"Closed: the mask gets your value of {name} exactly, whatever the model sees. It opens again with the "
            "next values, source or image.",
        )
        self.found, self.unguided = AreaCell(FOUND_TIP), AreaCell(UNGUIDED_TIP)
        self.outside = ""
        """Says that the mask is made with a share outside of the range of the user; empty where it is not."""
        self._lay_out(grid, line)
        self.box.finished.connect(self._on_number)
        self.range.changed.connect(self._on_range)
        self.lock.clicked.connect(self._on_lock)
        self.trust.moved.connect(self._on_trust)

    def _lay_out(self, grid: QGridLayout, line: int) -> None:
        centre = Qt.AlignmentFlag.AlignVCenter
        grid.addWidget(self.back, line, 0, LINES, len(COLUMNS))
        self.back.lower()
        for column, widget in ((CHIP, self.chip), (LOCK, self.lock)):
            grid.addWidget(widget, line, column, 2, 1, centre)
        grid.addWidget(self.name, line, NAME, 2, 1, centre)
        grid.addWidget(self.trust, line, TRUST)
        grid.addWidget(self.aim, line + 1, TRUST)
        grid.addWidget(self.box, line, EXPECTED)
        grid.addWidget(self.range, line + 1, EXPECTED)
        for column, cell in ((FOUND, self.found), (UNGUIDED, self.unguided)):
            grid.addWidget(cell.value, line, column)
            grid.addWidget(cell.sensitivity, line + 1, column)

    @property
    def spread(self) -> float | None:
        """Uncertainty that was set for this phase by itself, 0 where it is locked; None where the source decides."""
        return self.range.spread

    def set_spread(self, spread: float | None) -> None:
        """Take an uncertainty of its own, or none, without telling of it."""
        self.range.set_spread(spread)
        self.lock.setChecked(spread == 0)

    def choose(self, spread: float | None) -> None:
        """Take a choice of the user."""
        self.set_spread(spread)
        self.changed.emit()

    def trust_by_hand(self, spread: float) -> None:
        """Take the uncertainty that the handle of the bar means; it is no range that the user states."""
        self.range.trust_by_hand(spread)
        self.lock.setChecked(spread == 0)
        self.changed.emit()

    def show_armed(self, armed: bool) -> None:
        """Mark the row that the brush is on."""
        if armed == self._armed:  # a style is costly, also the same one
            return
        self._armed = armed
        self.chip.show_armed(armed)
        self.back.setStyleSheet(
            f"background: rgba(128, 128, 128, 70); border-left: 3px solid {self._colour};" if armed else ""
        )

    def show_shares(self, found: float | None, unguided: float | None) -> None:
        """Show the area shares of a result, or none; the sensitivities of the last one go."""
        self.found.show_share(found)
        self.unguided.show_share(unguided)

    def show_sensitivity(self, found: tuple[float, float], unguided: tuple[float, float]) -> None:
        """Show the lowest and the highest shares."""
        self.found.show_sensitivity(*found)
        self.unguided.show_sensitivity(*unguided)

    def show_trust(self, own: float, said: float, imposed: float) -> None:
        """Show what the mask is made with between the model's and the user's share; NaN for what is not known."""
        given = not math.isnan(said)
        self.trust.set_shares(own, said, imposed)
        self.aim.setText(f"{imposed * 100:.2f}" if given and not math.isnan(imposed) else "")
        outside = ""
        if given and not math.isnan(imposed) and not (self.spread == 0 or self.range.by_hand):
            low, high = ratio_range(said, self.range.uncertainty)
            if not low - ROUNDING <= imposed <= high + ROUNDING:
                outside = (
                    f"Aimed at {imposed * 100:.1f} %, not at {low * 100:.1f}–{high * 100:.1f} %: "
                    f"{one_line(self.phase)}."
                )
        if bool(outside) != bool(self.outside):  # a style is costly, also the same one
            self.aim.setStyleSheet(f"{SMALL} {ALARM}" if outside else SMALL)
        self.outside = outside

    def fit(self) -> None:
        """Give names and numbers the room they need, so that a result does not move the columns."""
        self.name.fit()
        for label, widest in (
            (self.range, "88.8–88.8"),
            (self.aim, "88.88"),
            (self.found.value, "100.00"),
            (self.unguided.value, "100.00"),
            (self.found.sensitivity, "88.8–88.8"),
            (self.unguided.sensitivity, "88.8–88.8"),
        ):
            label.ensurePolished()
            bold = QFont(label.font())
            bold.setBold(True)  # a range that was set for its phase
            label.setMinimumWidth(QFontMetrics(bold).horizontalAdvance(widest) + 2)
            label.setMinimumHeight(label.fontMetrics().height())
        for small in (self.aim, self.found.sensitivity, self.unguided.sensitivity):
            small.setFixedHeight(small.fontMetrics().height() + SMALL_PADDING)

    def _on_number(self) -> None:
        if self.range.by_hand:  # where the handle stood was about the number before
            self.set_spread(None)
        self.changed.emit()

    def _on_range(self) -> None:
        self.lock.setChecked(self.spread == 0)
        self.changed.emit()

    def _on_lock(self, closed: bool) -> None:
        self.choose(0.0 if closed else None)

    def _on_armed(self) -> None:
        self.armed.emit(self.label)

    def _on_trust(self, wanted: float) -> None:
        self.trust_wanted.emit(self.label, wanted)
