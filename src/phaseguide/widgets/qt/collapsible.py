"""A heading that opens and closes what is below it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget


class Collapsible(QWidget):
    """Closed at first.

    superqt's QCollapsible holds its content to the height that it hints at, which cuts labels that wrap.
    """

    toggled = Signal(bool)
    """True when it was opened."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self._title, self.content = title, content
        self.heading = QPushButton()
        self.heading.setCheckable(True)
        self.heading.setStyleSheet("QPushButton { text-align: left; padding: 3px 8px; }")
        self.heading.toggled.connect(self._show)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.heading)
        inside = QVBoxLayout()
        inside.setContentsMargins(8, 0, 2, 4)
        inside.addWidget(content)
        column.addLayout(inside)
        self._show(False)

    def isExpanded(self) -> bool:
        """Whether the content is shown."""
        return bool(self.heading.isChecked())

    def expand(self) -> None:
        """Show the content."""
        self.heading.setChecked(True)

    def collapse(self) -> None:
        """Hide the content."""
        self.heading.setChecked(False)

    def _show(self, opened: bool) -> None:
        self.heading.setText(f"{'▼' if opened else '▶'}  {self._title}")
        self.content.setVisible(opened)
        self.toggled.emit(opened)
