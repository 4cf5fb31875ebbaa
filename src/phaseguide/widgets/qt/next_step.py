"""Buttons for what the sentence on the status line tells the user to do."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget


class NextStep(QWidget):
    """Shows the buttons whose words stand in a sentence; hidden without any."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, QPushButton] = {}
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addStretch(1)
        self.hide()

    def add(self, words: str, title: str, tip: str, action: Callable[[], object]) -> QPushButton:
        """Offer a button beside every sentence that has certain words in it, in whatever case."""
        button = self.buttons[words.casefold()] = QPushButton(title)
        button.setToolTip(tip)
        button.setStyleSheet("padding: 2px 6px;")
        button.clicked.connect(lambda: action())
        button.hide()
        self._row.insertWidget(self._row.count() - 1, button)
        return button

    def show_for(self, sentence: str) -> None:
        """Show the buttons that a sentence names."""
        said = sentence.casefold()
        wanted = [words in said for words in self.buttons]
        for button, shown in zip(self.buttons.values(), wanted, strict=True):
            button.setVisible(shown)
        self.setVisible(any(wanted))
