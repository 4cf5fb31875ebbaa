"""A bar from what the model sees to what the user expects, with a handle at what the mask is made with."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

RADIUS = 5.0
STEP = 0.1
"""Part of the way that an arrow key goes."""

SAME = 0.0005
"""Shares closer than this leave nothing to weigh."""

GROOVE, FOLLOWED, HANDLE = QColor(128, 128, 128, 140), QColor("#4b8df8"), QColor("#4b8df8")


class TrustBar(QWidget):
    """One phase: left is the model's own share, right the user's.

    Parameters
    ----------
    phase : str
        Its name.
    """

    moved = Signal(object)
    """Share in [0, 1] that the user wants on the mask (float)."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase
        self._own = self._said = self._imposed = math.nan
        self._at: float | None = None
        self._held = False
        self.setAccessibleName(f"How far the value of {phase} is followed")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumSize(self.minimumSizeHint())
        self.set_shares(math.nan, math.nan, math.nan)

    def sizeHint(self) -> QSize:
        """Wide enough for a hand."""
        return QSize(56, 18)

    def minimumSizeHint(self) -> QSize:
        """Narrower, it could not be moved."""
        return QSize(40, 18)

    @property
    def fraction(self) -> float | None:
        """Where the handle is, from 0 at the model's end to 1 at the user's; None where there is none."""
        return self._at

    def set_shares(self, own: float, said: float, imposed: float) -> None:
        """Show three shares in [0, 1]; NaN for what is not known."""
        self._own, self._said, self._imposed = own, said, imposed
        known = not any(map(math.isnan, (own, said, imposed)))
        movable = known and abs(said - own) > SAME
        if not self._held:
            self._at = min(max((imposed - own) / (said - own), 0.0), 1.0) if movable else None
        self.setEnabled(movable)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if movable else Qt.FocusPolicy.NoFocus)
        if movable:
            tip = (
                f"{self._phase}: the model sees {own * 100:.2f} % (left), you expect {said * 100:.2f} % (right). The "
                f"mask is made with {imposed * 100:.2f} %. Drag the handle to decide how far your value is followed."
            )
        elif known:
            tip = f"{self._phase}: the model sees what you expect."
        else:
            tip = "Shows how far your value is followed, once it is set and there is a result."
        self.setToolTip(tip)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the groove, what of the way is followed, and the handle."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, at = self.height() / 2, self._at
        painter.setPen(QPen(GROOVE, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        if at is not None:
            x = self._place(at)
            painter.drawLine(QPointF(RADIUS, middle), QPointF(self.width() - RADIUS, middle))
            painter.setPen(QPen(FOLLOWED, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(QPointF(RADIUS, middle), QPointF(x, middle))
            painter.setPen(QPen(QColor("white"), 2 if self.hasFocus() else 1))
            painter.setBrush(HANDLE)
            painter.drawEllipse(
                QRectF(x - RADIUS + 0.5, middle - RADIUS + 0.5, 2 * RADIUS - 1, 2 * RADIUS - 1)
            )
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take the handle, and move it to where the mouse is."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton and self._at is not None:
            self._held = True
            self._move_to(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the mouse."""
        if event is not None and self._held:
            self._move_to(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go; the handle then shows what is imposed."""
        self._held = False
        self.set_shares(self._own, self._said, self._imposed)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move by arrow keys."""
        if event is None:
            return
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Down: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: 1}
        step = next((sign for key, sign in steps.items() if event.key() == key), 0)
        if step and self._at is not None:
            self._set(self._at + step * STEP)
        else:
            super().keyPressEvent(event)

    def _place(self, fraction: float) -> float:
        return RADIUS + fraction * (self.width() - 2 * RADIUS)

    def _move_to(self, event: QMouseEvent) -> None:
        self._set((event.position().x() - RADIUS) / max(self.width() - 2 * RADIUS, 1))

    def _set(self, fraction: float) -> None:
        self._at = min(max(fraction, 0.0), 1.0)
        self.update()
        self.moved.emit(self._own + self._at * (self._said - self._own))
