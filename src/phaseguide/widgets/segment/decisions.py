"""The buttons for a result, and the keys that press them: keep it or drop it, earlier and later ones, copy, save."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from phaseguide.jobs.history import History
from phaseguide.widgets.qt.panel import button
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.shortcuts import key_tip

ACCEPT, CANCEL, BACK, FORWARD = "Ctrl+Return", "Esc", "Ctrl+[", "Ctrl+]"


class DecisionBar(QWidget):
    """Accept and Cancel; enabled while a result is provisional."""

    def __init__(self) -> None:
        super().__init__()
        self.accept = button(
            "Accept",
            key_tip(
                "Keep the result on show: it joins the last ten results, with its values. Whatever is saved or copied "
                "is accepted first.",
                ACCEPT,
            ),
        )
        self.cancel = button(
            "Cancel", key_tip("Go back to the result and the values before you began to change them.", CANCEL)
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.accept, 1)
        row.addWidget(self.cancel, 1)
        self.show_state(accept=False, cancel=False)

    def show_state(self, *, accept: bool, cancel: bool) -> None:
        """Enable what can be done."""
        self.accept.setEnabled(accept)
        self.cancel.setEnabled(cancel)


class ResultBar(QWidget):
    """Emits what the user wants done with the result on show.

    ``exports`` holds the buttons that write files, for another place than those that stand in the bar.
    """

    stepped = Signal(int)
    copy_table = Signal()
    save_table = Signal()
    save_overlay = Signal()
    save_result = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.back = button(
            "‹ Back",
            key_tip(
                "Show the result before this one, and put its values into the boxes. None of the last ten is lost.",
                BACK,
            ),
        )
        self.forward = button(
            "Forward ›", key_tip("Show the result after this one, and its values.", FORWARD)
        )
        self.position = Label()
        self.copy = button(
            "Copy table", "Copy the table to the clipboard, ready to paste into a spreadsheet."
        )
        self.csv = button("Table as CSV…", "Save the table as a CSV file.")
        self.png = button(
            "Overlay as PNG…",
            "Save the phases of this plane over the micrograph as a picture, with a legend and area % below it.",
        )
        self.save = button(
            "Save result…", "Save the label map, and a record of how it was made, into a folder."
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget in (self.back, self.position, self.forward, self.copy):
            row.addWidget(widget)
        self.exports = QWidget()
        grid = QGridLayout(self.exports)
        grid.setContentsMargins(0, 0, 0, 0)
        for place, widget in enumerate((self.csv, self.png, self.save)):
            grid.addWidget(widget, *divmod(place, 2))
        self.back.clicked.connect(lambda: self.stepped.emit(-1))
        self.forward.clicked.connect(lambda: self.stepped.emit(1))
        self.copy.clicked.connect(self.copy_table)
        self.csv.clicked.connect(self.save_table)
        self.png.clicked.connect(self.save_overlay)
        self.save.clicked.connect(self.save_result)
        self.show_state(None, busy=False, plane_done=False)

    def show_state(
        self, history: History | None, *, busy: bool, plane_done: bool, provisional: bool = False
    ) -> None:
        """Enable what can be done. Back from a provisional result keeps it, so there is always a way back."""
        count = len(history.runs) if history else 0
        at = history.position if history else -1
        self.back.setEnabled(not busy and (at > 0 or (provisional and count > 0)))
        self.forward.setEnabled(not busy and not provisional and at < count - 1)
        where = f"{at + 1} of {count}" if count else "no result"
        self.position.setText("not kept" if provisional else where)
        for one in (self.copy, self.csv, self.save):
            one.setEnabled(count > 0 and not busy)
        self.png.setEnabled(plane_done and not busy)
