"""A part of the workbench in a window of its own, beside the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPoint, Signal
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from phaseguide.widgets.qt.dock import Dock

SIZE = (440, 620)


class OwnWindow(QWidget):
    """Holds a part and its status line in a dock that floats at first.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    title : str
    dock : Dock
        The part.
    beside : QWidget
        The window opens to the left of it.
    """

    closed = Signal()
    """The dock was closed; the part wants its place in the workbench again."""

    def __init__(self, viewer: ViewerModel, title: str, dock: Dock, beside: QWidget) -> None:
        super().__init__()
        self._viewer, self._docked = viewer, False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.addWidget(dock, 1)
        if dock.status is not None:
            column.addWidget(dock.status)
            dock.status.show()
        dock.show()
        self._frame = viewer.window.add_dock_widget(self, name=title)
        self._frame.setFloating(True)
        self._frame.resize(*SIZE)
        self._frame.move(beside.mapToGlobal(QPoint(-SIZE[0] - 8, 0)))

    def bring_up(self) -> None:
        """Show the window in front, also after it was hidden."""
        self._frame.show()
        self._frame.raise_()

    def end(self) -> None:
        """Close the dock."""
        self._viewer.window.remove_dock_widget(self._frame)

    def event(self, event: QEvent | None) -> bool:
        """Notice when the dock is closed: napari then takes this widget out of it."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._docked = False
                self.closed.emit()
                self.deleteLater()
        return bool(super().event(event))
