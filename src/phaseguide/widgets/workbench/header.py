"""The line above the steps: which image, model and device; a click opens the step where they are chosen."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QPushButton, QSizePolicy

from phaseguide.widgets.qt.plain_text import as_plain
from phaseguide.widgets.workbench.state import WorkbenchState

NOTHING = "No image yet: open one, or a project"
BETWEEN = "  ·  "


class Header(QPushButton):
    """Follows a state.

    Parameters
    ----------
    state : WorkbenchState
    """

    def __init__(self, state: WorkbenchState) -> None:
        super().__init__()
        self._state, self._whole = state, ""
        self.setFlat(True)
        self.setStyleSheet("QPushButton { text-align: left; font-weight: bold; padding: 4px 8px; }")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        events = state.events
        for signal in (events.image, events.field, events.model, events.device):
            signal.connect(self._show)
        self._show()

    def whole(self) -> str:
        """The whole line."""
        return self._whole

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show more of the line, or less."""
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """No name makes the dock wider."""
        return QSize(0, super().minimumSizeHint().height())

    def _show(self) -> None:
        state = self._state
        image = f"{state.field}: {state.image}" if state.field and state.image else state.image or state.field
        self._whole = BETWEEN.join(filter(None, (image or NOTHING, state.model, state.device)))
        self.setToolTip(as_plain(f"{self._whole}\nClick to choose another image or model."))
        self._fit()

    def _fit(self) -> None:
        room = max(20, self.width() - 20)
        line = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideMiddle, room)
        self.setText(line.replace("&", "&&"))
