"""Keys that work wherever the focus is in napari's window, and leave no trace when they are released.

Shortcuts of the window, and not key bindings of viewer or layer: they win over the keys of a Labels layer
(1 to 7) and of the layer list (Backspace deletes layers) without replacing any, and still let a text
box have what is typed into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDockWidget, QShortcut, QWidget

Actions = Mapping[str, Callable[[], None]]


class PointKeys:
    """Keys that are held between `hold` and `release`.

    Parameters
    ----------
    widget : QWidget
        The keys work in its window, and in that of napari if it floats.
    """

    def __init__(self, widget: QWidget) -> None:
        self._widget = widget
        self._held: list[QShortcut] = []

    def hold(self, actions: Actions) -> None:
        """Take keys, named as Qt names them ("1", "U", "Backspace", "Escape")."""
        self.release()
        window = self._widget.window()
        if isinstance(window, QDockWidget) and window.parentWidget() is not None:
            window = window.parentWidget().window()
        for key, action in actions.items():
            shortcut = QShortcut(QKeySequence(key), window)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.setAutoRepeat(False)  # a key that is held down names one point
            shortcut.activated.connect(action)
            shortcut.activatedAmbiguously.connect(action)
            self._held.append(shortcut)
        window.activateWindow()  # shortcuts work in an active window only

    def release(self) -> None:
        """Give the keys back."""
        held, self._held = self._held, []
        for shortcut in held:
            try:
                shortcut.setEnabled(False)
                shortcut.deleteLater()
            except RuntimeError:  # gone with its window
                continue
