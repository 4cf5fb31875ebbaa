"""A button that shows the area-% range that a value means, and opens the setting of how sure it is."""

from __future__ import annotations

import math

from qtpy.QtCore import QLocale, QPoint, Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QFrame, QPushButton

from phaseguide.ratios import LEAST_SURE, SUREST, ratio_range
from phaseguide.widgets.qt.plain_text import Label, one_line

EXACT, BY_HAND = "exactly", "by hand"
LEAST, MOST = SUREST * 100, LEAST_SURE * 100
"""Limits of an uncertainty that is set for one phase, in per cent of the value; a lock makes it exact."""


class RangeButton(QPushButton):
    """The range of one phase.

    Parameters
    ----------
    phase : str
        Its name.
    """

    changed = Signal()

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase
        self.spread: float | None = None
        self.by_hand = False
        self._share, self._default = math.nan, 0.3
        self._popup: SpreadPopup | None = None
        self.setAccessibleName(f"Uncertainty of {phase}")
        self.setFlat(True)
        self.setStyleSheet(
            "RangeButton { padding: 0px 2px; text-align: right; font-size: 10px; }"
            "RangeButton { background: transparent; border: none; }"
            "RangeButton:hover { text-decoration: underline; }"
        )
        self.clicked.connect(self._open)
        self._draw()

    @property
    def uncertainty(self) -> float:
        """Log-ratio standard deviation in force: the phase's own, or that of the source; 0 is exact."""
        return self._default if self.spread is None else self.spread

    def set_share(self, share: float) -> None:
        """Show the range of another share, NaN for none."""
        self._share = share
        self._draw()

    def set_default(self, uncertainty: float) -> None:
        """Take the uncertainty of a source."""
        if uncertainty != self._default:
            self._default = uncertainty
            self._draw()

    def set_spread(self, spread: float | None) -> None:
        """Set the phase's own uncertainty, 0 for exact, or leave it to the source (None)."""
        if spread != self.spread or self.by_hand:
            self.spread, self.by_hand = spread, False
            self._draw()

    def trust_by_hand(self, spread: float) -> None:
        """Take an uncertainty that is no range which the user states, but where the handle of a bar was put."""
        self.spread, self.by_hand = spread, spread > 0
        self._draw()

    def choose(self, spread: float | None) -> None:
        """Take a choice of the user."""
        self.set_spread(spread)
        self.changed.emit()

    def range_text(self) -> str:
        """The range in area %, empty for no value."""
        if math.isnan(self._share):
            return ""
        if self.uncertainty == 0:
            return EXACT
        low, high = ratio_range(self._share, self.uncertainty)
        return f"{low * 100:.1f}–{high * 100:.1f}"

    def _draw(self) -> None:
        self.setText(BY_HAND if self.by_hand and not math.isnan(self._share) else self.range_text())
        font = self.font()
        font.setBold(self.spread is not None)
        self.setFont(font)
        self.setEnabled(not math.isnan(self._share) and self.uncertainty != 0)
        whose = "set for this phase" if font.bold() else "from its source"
        self.setToolTip(
            "What your value means in area %: two times in three the truth lies in this range, with an uncertainty "
            f"of about ±{self.uncertainty * 100:.0f} % ({whose}). Click to change it for this phase."
            if self.uncertainty
            else "The value is imposed exactly; open the lock to give it a range."
        )
        if self._popup is not None:
            self._popup.show_range()

    def _open(self) -> None:
        self._popup = SpreadPopup(self)
        below = self.mapToGlobal(QPoint(self.width(), self.height()))
        self._popup.move(below - QPoint(self._popup.sizeHint().width(), 0))
        self._popup.show()
        self._popup.spin.setFocus()
        self._popup.spin.selectAll()
        self._popup.destroyed.connect(self._closed)

    def _closed(self) -> None:
        self._popup = None

    def source_uncertainty(self) -> float:
        """Log-ratio standard deviation that the source means."""
        return self._default


class SpreadPopup(QFrame):
    """How sure one value is; every change counts at once."""

    def __init__(self, button: RangeButton) -> None:
        super().__init__(button, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._button = button
        self.spin = QDoubleSpinBox()
        self.spin.setLocale(QLocale.c())
        self.spin.setDecimals(0)
        self.spin.setRange(LEAST, MOST)
        self.spin.setSingleStep(5)
        self.spin.setPrefix("± ")
        self.spin.setSuffix(" %")
        self.spin.setValue(button.uncertainty * 100)
        self.spin.setToolTip("One standard deviation, in per cent of the value.")
        self.spin.valueChanged.connect(lambda value: button.choose(value / 100))
        self.meaning = Label()
        self.reset = QPushButton(f"As its source says (± {button.source_uncertainty() * 100:.0f} %)")
        self.reset.clicked.connect(self._reset)
        form = QFormLayout(self)
        form.addRow(Label(f"How sure is your value for {one_line(button.phase)}?"))
        form.addRow("Uncertainty", self.spin)
        form.addRow("Range", self.meaning)
        form.addRow(self.reset)
        self.show_range()

    def show_range(self) -> None:
        """Show what the uncertainty means."""
        self.meaning.setText(f"{self._button.range_text()} area %")
        self.reset.setEnabled(self._button.spread is not None)

    def _reset(self) -> None:
        self._button.choose(None)
        self.close()
