"""The buttons that keep or drop a result that is only on trial, and the keys that do the same everywhere."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QMainWindow, QPushButton, QShortcut, QWidget

ACCEPT, CANCEL, BACK, FORWARD = "Ctrl+Return", "Esc", "Ctrl+[", "Ctrl+]"


class DecisionBar(QWidget):
    """Accept and Cancel; enabled while a result is provisional."""

    def __init__(self) -> None:
        super().__init__()
        self.accept = QPushButton(with_key("Accept", ACCEPT))
        self.accept.setToolTip(
            "Keep the result on show: it joins the last ten results, with its values. Whatever is saved or copied is "
            "accepted first."
        )
        self.cancel = QPushButton(with_key("Cancel", CANCEL))
        self.cancel.setToolTip("Go back to the result and the values before you began to change them.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.accept, 1)
        row.addWidget(self.cancel, 1)
        self.show_state(accept=False, cancel=False)

    def show_state(self, *, accept: bool, cancel: bool) -> None:
        """Enable what can be done."""
        self.accept.setEnabled(accept)
        self.cancel.setEnabled(cancel)


class Keys:
    """Keys that press buttons from anywhere in the viewer's window, while the buttons are enabled.

    Shortcuts of the window and not napari's key bindings: those do not hear a key that is pressed in
    a box, and a selected layer's own keys go before them.

    Parameters
    ----------
    buttons : dict
        Key sequence to button.
    """

    def __init__(self, buttons: dict[str, QPushButton]) -> None:
        self._buttons = buttons
        self._shortcuts: dict[str, QShortcut] = {}

    def join(self, widget: QWidget) -> None:
        """Listen in the main window that a widget is docked to, also while its dock floats."""
        window: QWidget | None = widget
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if window is None or self._shortcuts:
            return
        for key, button in self._buttons.items():
            shortcut = QShortcut(QKeySequence(key), window)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(button.click)
            self._shortcuts[key] = shortcut
        self.update()

    def update(self) -> None:
        """Leave the keys to others where the buttons are not enabled."""
        for key, shortcut in self._shortcuts.items():
            shortcut.setEnabled(self._buttons[key].isEnabled())

    def remove(self) -> None:
        """Give the keys back."""
        for shortcut in self._shortcuts.values():
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts.clear()


def with_key(text: str, key: str) -> str:
    """Put a key on a button's text, as this system writes it."""
    native = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
    return f"{text} ({native})"
