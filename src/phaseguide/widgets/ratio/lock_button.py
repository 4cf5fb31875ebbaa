"""A padlock that is drawn: closed where a value is imposed exactly."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QAbstractButton

CLOSED = QColor("#f5a623")
"""Seen on napari's dark and light themes."""


class LockButton(QAbstractButton):
    """Checked is closed.

    Parameters
    ----------
    what : str
        What it locks, for those who cannot see it.
    tip : str
    """

    def __init__(self, what: str, tip: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setAccessibleName(what)
        self.setToolTip(tip)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFixedSize(self.sizeHint())

    def sizeHint(self) -> QSize:
        """As large as a finger of a mouse wants it."""
        return QSize(18, 22)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw body and shackle; an open one is pale, and its shackle stands aside."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor(CLOSED) if self.isChecked() else QColor(128, 128, 128)
        if not self.isEnabled():
            colour.setAlpha(70)
        painter.setPen(QPen(colour, 1.8))
        left = self.width() / 2 - 5
        aside = 0.0 if self.isChecked() else 4.0
        painter.drawArc(QRectF(left + 2 + aside, 3, 6, 10), 0, 180 * 16)
        painter.drawLine(int(left + 2 + aside), 8, int(left + 2 + aside), 10)
        if self.isChecked():
            painter.drawLine(int(left + 8), 8, int(left + 8), 10)
        painter.setBrush(colour if self.isChecked() else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(left, 10, 10, 8), 1.5, 1.5)
        if self.hasFocus():
            painter.setPen(QPen(colour, 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
