"""One row of the phase table: swatch, name, expected share, its range, and the areas that were found."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QFont, QFontMetrics
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy

from phaseguide.phases import Phase
from phaseguide.widgets.layers.brush_keys import key_of
from phaseguide.widgets.qt.percent_box import ShareBox
from phaseguide.widgets.qt.plain_text import Label, as_plain, one_line
from phaseguide.widgets.ratio.range_button import NOTHING, RangeButton

FOUND_TIP = (
    "Area % in the label map, with your edits on top; excluded area left out. Below, small: from all boundaries "
    "one pixel further in to one pixel further out."
)
UNGUIDED_TIP = (
    "Area % that the model finds without your values. Below, small: with boundaries moved by one pixel."
)


class AreaCell:
    """An area share, and small below it what one pixel more or less at the boundaries makes of it."""

    def __init__(self, tip: str) -> None:
        self.value, self.sensitivity = QLabel(NOTHING), QLabel()  # numbers, so no text to be guarded
        for label in (self.value, self.sensitivity):
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setToolTip(tip)
        self.sensitivity.setStyleSheet("font-size: 10px;")

    def show_share(self, share: float | None) -> None:
        """Show a share in [0, 1], or none; the sensitivity of the last one goes."""
        self.value.setText(NOTHING if share is None else f"{share * 100:.2f}")
        self.sensitivity.clear()

    def show_sensitivity(self, low: float, high: float) -> None:
        """Show the range of shares in [0, 1]."""
        self.sensitivity.setText(f"{low * 100:.1f}–{high * 100:.1f}")


class PhaseLine:
    """The widgets of one phase, put into two lines of a grid.

    Parameters
    ----------
    line : int
        The first of the two.
    """

    def __init__(self, phase: Phase, grid: QGridLayout, line: int) -> None:
        name = as_plain(one_line(phase.name))
        swatch = Label()
        swatch.setFixedSize(14, 14)
        swatch.setStyleSheet(f"background: {phase.colour}; border-radius: 2px;")
        swatch.setToolTip(f"Label {phase.label}")
        self.name = Label(one_line(phase.name))
        key = key_of(phase.label)
        self.name.setToolTip(f"Key {key} on the edits layer: brush with {name}." if key else "")
        self.name.setWordWrap(True)
        self.name.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.box = ShareBox()
        self.box.setToolTip(f"Area share of {name} that you expect; empty leaves it open.")
        self.box.setAccessibleName(f"Expected area % of {phase.name}")
        self.range = RangeButton(phase.name)
        self.found, self.unguided = AreaCell(FOUND_TIP), AreaCell(UNGUIDED_TIP)
        for column, widget in enumerate((swatch, self.name, self.box, self.range)):
            grid.addWidget(widget, line, column, 2, 1, Qt.AlignmentFlag.AlignVCenter)
        for column, cell in ((4, self.found), (5, self.unguided)):
            grid.addWidget(cell.value, line, column)
            grid.addWidget(cell.sensitivity, line + 1, column)

    def show_shares(self, found: float | None, unguided: float | None) -> None:
        """Show the area shares of a result, or none; the sensitivities of the last one go."""
        self.found.show_share(found)
        self.unguided.show_share(unguided)

    def show_sensitivity(self, found: tuple[float, float], unguided: tuple[float, float]) -> None:
        """Show the lowest and the highest shares."""
        self.found.show_sensitivity(*found)
        self.unguided.show_sensitivity(*unguided)

    def fit(self) -> None:
        """Ask for enough room; a wrapping label does not ask for its longest word by itself."""
        self.name.ensurePolished()
        words = [self.name.fontMetrics().horizontalAdvance(word) for word in self.name.text().split()]
        self.name.setMinimumWidth(max(words, default=0) + 8)
        # Room for the widest numbers, so that a result does not move the columns.
        for label, widest in (
            (self.range, "88.8–88.8"),
            (self.found.value, "100.00"),
            (self.unguided.value, "100.00"),
            (self.found.sensitivity, "88.8–88.8"),
            (self.unguided.sensitivity, "88.8–88.8"),
        ):
            label.ensurePolished()
            bold = QFont(label.font())
            bold.setBold(True)  # a range that was set for its phase
            label.setMinimumWidth(QFontMetrics(bold).horizontalAdvance(widest) + 6)
            label.setMinimumHeight(label.fontMetrics().height())
