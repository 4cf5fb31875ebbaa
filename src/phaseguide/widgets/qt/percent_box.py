"""A spin box for an area share in per cent that can be empty, which leaves the phase open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QLocale, Qt, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox

from phaseguide.widgets.qt.dock import quiet_timer

OPEN = -0.01
"""The value that stands for an empty box."""

REST_MS = 600
"""A number counts when nothing was typed for so long."""


class ShareBox(QDoubleSpinBox):
    """0.00 to 100.00 %, or empty. It takes a comma for a point and ignores a wheel that only passes by.

    A number that is being typed counts when it is finished: by Enter, when the focus leaves, by an arrow key or the
    wheel, or after a rest of `REST_MS`. ``valueChanged`` tells of every keystroke, ``finished`` of what counts.
    """

    finished = Signal()
    """Another number counts now."""
    typing = Signal()
    """A number is being typed that does not count yet."""

    def __init__(self, when_empty: str = "open") -> None:
        super().__init__()
        self.pending = False
        self._counts = OPEN
        self._rest = quiet_timer(self, REST_MS, self.finish)
        self.setLocale(QLocale.c())
        self.setDecimals(2)
        self.setRange(OPEN, 100.0)
        self.setSingleStep(1.0)
        self.setValue(OPEN)
        self.setKeyboardTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        # napari's buttons would take half of the box; arrow keys step as well.
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setStyleSheet("QDoubleSpinBox { min-width: 44px; padding: 1px 3px; }")
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        line = self.lineEdit()
        assert line is not None
        line.setPlaceholderText(when_empty)
        line.textEdited.connect(self._on_typed)
        self.valueChanged.connect(self._on_value)
        self.editingFinished.connect(self.finish)

    def finish(self) -> None:
        """Let the number in the box count; the text stays as it was typed until the focus leaves."""
        self._rest.stop()
        self.pending = False
        if self.value() != self._counts:
            self._counts = self.value()
            self.finished.emit()

    @property
    def share(self) -> float:
        """The share in [0, 1], NaN if open."""
        return math.nan if self.value() < 0 else self.value() / 100

    @share.setter
    def share(self, share: float) -> None:
        self.pending = False
        self.setValue(OPEN if math.isnan(share) else share * 100)
        self.finish()

    def textFromValue(self, value: float) -> str:
        """Show nothing for open."""
        return "" if value < 0 else f"{value:.2f}"

    def valueFromText(self, text: str | None) -> float:
        """Read nothing as open."""
        try:
            return float((text or "").replace(",", "."))
        except ValueError:
            return OPEN

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept an empty text and up to two decimals with a point or a comma; refuse a sign."""
        text = text or ""
        plain = text.replace(",", ".").strip()
        if not plain or plain == ".":
            return (
                (QValidator.State.Acceptable if not plain else QValidator.State.Intermediate),
                text,
                position,
            )
        whole, _, decimals = plain.partition(".")
        if not (whole + decimals).isdigit() or len(decimals) > 2 or float(plain) > 100:
            return QValidator.State.Invalid, text, position
        return QValidator.State.Acceptable, text, position

    def stepBy(self, steps: int) -> None:
        """Step from open to 0 first; stepping never empties a box, and finishes what was typed."""
        if self.value() < 0:
            self.setValue(0.0 if steps <= 0 else min(100.0, self.singleStep() * steps))
        else:
            self.setValue(max(0.0, self.value() + steps * self.singleStep()))
        self.finish()

    def wheelEvent(self, event: Any) -> None:
        """Let the wheel scroll the panel unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _on_typed(self) -> None:
        self.pending = True
        self._rest.start()
        self.typing.emit()

    def _on_value(self) -> None:
        if not self.pending:
            self.finish()


def shares_of(boxes: Iterable[ShareBox]) -> NDArray[np.float64]:
    """Shares of several boxes in [0, 1], NaN where open; shape (K,)."""
    return np.array([box.share for box in boxes], dtype=np.float64)
