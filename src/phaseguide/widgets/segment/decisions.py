"""The buttons that keep or drop a result that is only on trial, and the names of the keys that do the same."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from phaseguide.widgets.qt.shortcuts import with_key

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
