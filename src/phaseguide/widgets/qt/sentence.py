"""A sentence with the buttons that it names beside it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from phaseguide.widgets.qt.status_line import StatusLine
from phaseguide.widgets.qt.style import ALARM


class Sentence(QWidget):
    """A line of text, and small buttons to its right; whoever owns it shows the buttons that apply.

    Its height is always that of a button, so that nothing moves when one comes or goes.

    Parameters
    ----------
    *buttons : QPushButton
    """

    def __init__(self, *buttons: QPushButton) -> None:
        super().__init__()
        self.label = StatusLine(1)
        self.buttons = buttons
        self._alarm = False
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addStrut(QPushButton("Aj").sizeHint().height())
        row.addWidget(self.label, 1, Qt.AlignmentFlag.AlignVCenter)
        for one in buttons:
            one.setStyleSheet("padding: 2px 6px;")
            one.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            row.addWidget(one, 0, Qt.AlignmentFlag.AlignVCenter)

    def text(self) -> str:
        """Return the sentence."""
        return self.label.text()

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Show a sentence, in red where it must be seen."""
        self.label.setText(text)
        if alarm != self._alarm:  # a style is costly, also the same one
            self._alarm = alarm
            self.label.setStyleSheet(ALARM if alarm else "")

    def offer(self, *applying: QPushButton) -> None:
        """Show those of the buttons that apply."""
        for one in self.buttons:
            one.setVisible(one in applying)
