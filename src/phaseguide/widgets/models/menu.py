"""What can be done with a model: one menu, at the list and behind the button More."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu, QWidget

COMMANDS = (
    ("use", "Use", "Segment with this model from now on; the step Segment takes it."),
    ("save_as", "Save as…", "Copy this model among yours under another name."),
    ("export", "Export…", "Write a copy of this model to a file, byte for byte."),
    ("merge", "Merge…", "Write a copy that holds its base weights too, for a machine that has none. Larger."),
    ("share", "Share…", "Fill in the card and write one file to hand over, or a package for bioimage.io."),
    ("import_", "Import…", "Add a model from a file, after checking it completely."),
    ("delete", "Delete…", "Move this model to the recycle folder."),
    ("restore", "Restore…", "Bring back a model that was deleted."),
)
BEFORE_A_LINE = ("use", "share")
"""After these comes a line: what is done to the chosen model, what makes files of it, what needs none."""


class ModelMenu(QMenu):
    """The menu.

    Parameters
    ----------
    parent : QWidget
    call : callable
        Takes the key of a command that was chosen.

    Attributes
    ----------
    commands : dict of str to QAction
        By key; to be enabled and told why not.
    """

    def __init__(self, parent: QWidget, call: Callable[[str], None]) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)
        self.commands: dict[str, QAction] = {}
        for key, title, tip in COMMANDS:
            action = self.commands[key] = QAction(title, self)
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False, key=key: call(key))
            self.addAction(action)
            if key in BEFORE_A_LINE:
                self.addSeparator()
