"""What of a row of the phase table takes the brush: the number on the phase's colour, and its name."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent
from qtpy.QtWidgets import QPushButton, QSizePolicy

from phaseguide.phases import Phase
from phaseguide.widgets.qt.plain_text import Label, one_line


class PhaseChip(QPushButton):
    """The number of a phase, which is its key too, on its colour."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(str(phase.label))
        self.setFixedSize(20, 20)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._colour = phase.colour
        self.setAccessibleName(f"Brush with {phase.name}")
        self.show_armed(False)

    def show_armed(self, armed: bool) -> None:
        """Mark the phase that the brush holds."""
        dark = QColor(self._colour).lightnessF() < 0.55
        ink = "white" if dark else "black"
        border = f"2px solid {ink}" if armed else "none"
        self.setStyleSheet(
            f"PhaseChip {{ background: {self._colour}; color: {ink}; border: {border}; border-radius: 4px; "
            "padding: 0px; font-size: 11px; font-weight: bold; }"
        )


class PhaseName(Label):
    """The name of a phase; a click on it is one on the chip."""

    clicked = Signal()

    def __init__(self, phase: Phase) -> None:
        super().__init__(one_line(phase.name))
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take the click."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Tell of it, if the mouse is still here."""
        if (
            event is not None
            and event.button() == Qt.MouseButton.LeftButton
            and self.rect().contains(event.position().toPoint())
        ):
            self.clicked.emit()

    def fit(self) -> None:
        """Ask for room for the longest word, which a wrapping label does not do by itself."""
        self.ensurePolished()
        words = [self.fontMetrics().horizontalAdvance(word) for word in self.text().split()]
        self.setMinimumWidth(max(words, default=0) + 8)

    def changeEvent(self, event: QEvent | None) -> None:
        """Keep the room when the font changes."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self.fit()
