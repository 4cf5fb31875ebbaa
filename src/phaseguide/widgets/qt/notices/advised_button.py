"""A button, and above it a sentence that says when it is the right one to press."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from phaseguide.widgets.qt.panel import AnswerLabel, button


class AdvisedButton(QWidget):
    """``button`` is always there; ``advice`` only while there is something to say."""

    def __init__(self, text: str, tip: str) -> None:
        super().__init__()
        self.advice, self.button = AnswerLabel(), button(text, tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.advice)
        column.addWidget(self.button)
