"""What stands below the steps: the phase table with its buttons, and what is going on."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from phaseguide.widgets.qt.dock import Dock
from phaseguide.widgets.qt.panel import lay_out_now, rule
from phaseguide.widgets.segment.dock import SegmentWidget
from phaseguide.widgets.workbench.state import WorkbenchState


class Footer(QWidget):
    """Holds what is always seen of the segmentation, and the status line of whoever spoke last.

    Parameters
    ----------
    segment : SegmentWidget
    state : WorkbenchState
    """

    def __init__(self, segment: SegmentWidget, state: WorkbenchState) -> None:
        super().__init__()
        self._segment, self._state = segment, state
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.table_button = QToolButton()
        self.table_button.setAutoRaise(True)
        self.table_button.clicked.connect(state.turn_table)
        self.statuses = QStackedWidget()
        self.statuses.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line = QHBoxLayout()
        line.setContentsMargins(5, 0, 5, 2)
        line.addWidget(self.statuses, 1)
        line.addWidget(segment.panel.next_step)
        line.addWidget(self.table_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(rule())
        column.addWidget(segment)
        column.addLayout(line)
        for signal in (state.events.step, state.events.within, state.events.table_hidden):
            signal.connect(self._show)
        self._show()

    def take_status(self, dock: Dock) -> None:
        """Give the status line of a part its place; it is seen when the part speaks."""
        if dock.status is not None:
            self.statuses.addWidget(dock.status)

    def follow(self, dock: Dock) -> None:
        """Take the status line of a part, and bring it to the front whenever the part speaks."""
        self.take_status(dock)
        dock.spoke.connect(lambda: self._raise(dock))

    def _raise(self, dock: Dock) -> None:
        if dock is not self._segment:
            self._segment.panel.next_step.hide()  # its buttons are for a sentence that is not seen any more
        if dock.status is not None and self.statuses.indexOf(dock.status) >= 0:
            self.statuses.setCurrentWidget(dock.status)

    def _show(self) -> None:
        state, shown = self._state, self._state.table_shown
        self._segment.panel.fold.setVisible(shown)
        lay_out_now(self._segment.panel)
        self.table_button.setVisible(state.part in (None, "project"))
        self.table_button.setText("▾ Phases" if shown else "▸ Phases")
        self.table_button.setToolTip(
            "Hide the phase table in this step." if shown else "Show the phase table."
        )
