"""A button, and below it a sentence that says when it is the right one to press."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from phaseguide.widgets.qt.panel import button
from phaseguide.widgets.qt.status_line import StatusLine

ADVICE_LINES = 2


class AdvisedButton(QWidget):
    """Both are always there, ``advice`` also without a text, so that nothing moves when there is something to say."""

    def __init__(self, text: str, tip: str) -> None:
        super().__init__()
        self.advice, self.button = StatusLine(ADVICE_LINES), button(text, tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.button)
        column.addWidget(self.advice)
