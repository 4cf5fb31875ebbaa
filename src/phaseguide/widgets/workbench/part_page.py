"""A part of the workbench within a step: the part, and a line above it with the way back."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from phaseguide.widgets.qt.dock import Dock
from phaseguide.widgets.qt.panel import button
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.workbench.state import PARTS, STEPS, TORN_OFF, Part


class PartPage(QWidget):
    """Takes the place of the page of a step."""

    closed = Signal()
    """The user wants the page of the step."""
    torn_off = Signal()
    """The user wants the part in a window of its own."""

    def __init__(self, part: Part, dock: Dock) -> None:
        super().__init__()
        step, title = PARTS[part]
        home = STEPS[step][0]
        heading = Label(title)
        heading.setStyleSheet("font-weight: bold;")
        self.back_button = button(f"‹ {home}", f"Show the step {home} again. Nothing is lost.")
        self.tear_button = button("Own window", f"Show {title} beside the steps, in a window of its own.")
        self.back_button.clicked.connect(self.closed)
        self.tear_button.clicked.connect(self.torn_off)
        row = QHBoxLayout()
        row.setContentsMargins(5, 4, 5, 0)
        row.addWidget(self.back_button)
        row.addWidget(heading, 1)
        row.addWidget(self.tear_button)
        self.tear_button.setVisible(part in TORN_OFF)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addLayout(row)
        self.take(dock)

    def take(self, dock: Dock) -> None:
        """Give the part its place."""
        self._column.addWidget(dock, 1)
        dock.show()
