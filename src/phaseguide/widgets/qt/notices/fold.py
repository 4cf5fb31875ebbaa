"""Warnings in a panel: one line that tells the newest, and opens to all of them."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QGuiApplication, QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from phaseguide.events import Notice
from phaseguide.widgets.qt.notices.log import NAMED, NoticeLog
from phaseguide.widgets.qt.panel import button
from phaseguide.widgets.qt.plain_text import as_plain, shown

LINES = 6


class WarningsFold(QWidget):
    """Hidden while there is nothing to say. ``changed`` tells that other warnings are listed."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.log = NoticeLog()
        self.heading = _Heading()
        self.heading.setCheckable(True)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Warnings")
        self.text.setFixedHeight(self.text.fontMetrics().lineSpacing() * LINES + 12)
        self.copy_button = button(
            "Copy", "Copy all warnings as text, each with the fields or planes that it is about."
        )
        self.clear_button = button("Clear", "Empty the list. A warning that is said again comes back.")
        self.content = QWidget()
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        for one in (self.copy_button, self.clear_button):
            buttons.addWidget(one)
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(8, 0, 2, 4)
        inside.addWidget(self.text)
        inside.addLayout(buttons)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.heading)
        column.addWidget(self.content)
        self.content.hide()
        self.hide()
        self.heading.toggled.connect(self._open)
        self.copy_button.clicked.connect(self.copy)
        self.clear_button.clicked.connect(self.clear)

    def add(self, notice: Notice) -> None:
        """List what a run warns of."""
        self.log.add(notice)
        self._show()

    def show_result(self, where: str, messages: Iterable[str]) -> None:
        """List what is to be known of the result that a field or plane has now."""
        self.log.show_result(where, messages)
        self._show()

    def forget(self, places: Iterable[str]) -> None:
        """Drop what was said of fields or planes that are about to be worked on again."""
        self.log.forget(places)
        self._show()

    def clear(self) -> None:
        """Empty the list."""
        self.log.clear()
        self._show()

    def copy(self) -> None:
        """Put all warnings on the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n".join(one.line() for one in self.log.entries))

    def hint(self, places: Iterable[str] | None = None) -> str:
        """Return what a status line says of the list: " See Warnings (2)."; "" with nothing about these places."""
        about = self.log.places if places is None else places
        count = len({message for where in about for message in self.log.of(where)})
        return f" See Warnings ({count})." if count else ""

    def _open(self, opened: bool) -> None:
        self.content.setVisible(opened)
        self._show()

    def _show(self) -> None:
        entries = self.log.entries
        text = shown("\n".join(f"• {one.line(NAMED)}" for one in entries))
        mark = "▼" if self.heading.isChecked() else "▶"
        newest = "" if not entries or self.heading.isChecked() else f": {entries[-1].line(1)}"
        self.heading.say(f"{mark}  ⚠ Warnings ({len(entries)}){newest}")
        self.heading.setToolTip(as_plain(text))
        if text != self.text.toPlainText():
            self.text.setPlainText(text)
            self.changed.emit()
        self.setVisible(bool(entries))


class _Heading(QPushButton):
    """A button whose text is cut at the end where it is too long; it makes no panel wider."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self.setStyleSheet("QPushButton { text-align: left; padding: 3px 8px; }")

    def say(self, text: str) -> None:
        self._text = text.replace("\n", " ")
        self._cut()

    def sizeHint(self) -> QSize:
        return QSize(80, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._cut()

    def _cut(self) -> None:
        room = max(self.width() - 24, 40)
        cut = self.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, room)
        if cut.replace("&", "&&") != self.text():
            self.setText(cut.replace("&", "&&"))
