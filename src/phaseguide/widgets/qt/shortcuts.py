"""Keys that work wherever the focus is in napari's window, and leave no trace when they are given back.

Shortcuts of the window and not napari's key bindings of viewer or layer: those do not hear a key that is pressed in
a box, and a selected layer's own keys go before them (1 to 7 on a Labels layer; Backspace deletes layers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDockWidget, QMainWindow, QPushButton, QShortcut, QWidget


class Keys:
    """Keys that press buttons from anywhere in the viewer's window, while the buttons are enabled.

    Parameters
    ----------
    buttons : mapping
        Key sequence to a button, or to several: the first of them that is enabled is pressed.
    """

    def __init__(self, buttons: Mapping[str, QPushButton | tuple[QPushButton, ...]]) -> None:
        self._buttons = {key: one if isinstance(one, tuple) else (one,) for key, one in buttons.items()}
        self._shortcuts: dict[str, QShortcut] = {}

    def join(self, widget: QWidget) -> None:
        """Listen in the main window that a widget is docked to, also while its dock floats."""
        window = main_window(widget)
        if window is None or self._shortcuts:
            return
        self._shortcuts = {
            key: _shortcut(key, window, partial(_press_first, those)) for key, those in self._buttons.items()
        }
        self.update()

    def update(self) -> None:
        """Leave the keys to others where the buttons are not enabled."""
        for key, shortcut in self._shortcuts.items():
            shortcut.setEnabled(any(one.isEnabled() for one in self._buttons[key]))

    def remove(self) -> None:
        """Give the keys back."""
        _give_back(self._shortcuts.values())
        self._shortcuts.clear()


class HeldKeys:
    """Keys that are held between `hold` and `release`; a text box still gets what is typed into it.

    Parameters
    ----------
    widget : QWidget
        The keys work in its window, and in that of napari if it floats.
    """

    def __init__(self, widget: QWidget) -> None:
        self._widget = widget
        self._held: list[QShortcut] = []

    def hold(self, actions: Mapping[str, Callable[[], None]]) -> None:
        """Take keys, named as Qt names them ("1", "U", "Backspace", "Escape")."""
        self.release()
        window = self._widget.window()
        parent = window.parentWidget() if isinstance(window, QDockWidget) else None
        if parent is not None:
            window = parent.window()
        if window is None:
            return
        for key, action in actions.items():
            shortcut = _shortcut(key, window, action)
            shortcut.setAutoRepeat(False)  # a key that is held down names one point
            shortcut.activatedAmbiguously.connect(action)
            self._held.append(shortcut)
        window.activateWindow()  # shortcuts work in an active window only

    def release(self) -> None:
        """Give the keys back."""
        held, self._held = self._held, []
        _give_back(held)


def main_window(widget: QWidget) -> QMainWindow | None:
    """Return the main window that a widget stands in, also while its dock floats; None while it stands in none."""
    window: QWidget | None = widget
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parentWidget()
    return window


def with_key(text: str, key: str) -> str:
    """Put a key on a button's text, as this system writes it."""
    return f"{text} ({_native(key)})"


def key_tip(tip: str, key: str) -> str:
    """Put a key before a tip, as this system writes it."""
    return f"{_native(key)}: {tip}"


def _native(key: str) -> str:
    return str(QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText))


def _press_first(buttons: tuple[QPushButton, ...]) -> None:
    enabled = next((one for one in buttons if one.isEnabled()), None)
    if enabled is not None:
        enabled.click()


def _shortcut(key: str, window: QWidget, action: Callable[..., object]) -> QShortcut:
    shortcut = QShortcut(QKeySequence(key), window)
    shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
    shortcut.activated.connect(action)
    return shortcut


def _give_back(shortcuts: Iterable[QShortcut]) -> None:
    for shortcut in shortcuts:
        with suppress(RuntimeError):  # gone with its window
            shortcut.setEnabled(False)
            shortcut.deleteLater()
