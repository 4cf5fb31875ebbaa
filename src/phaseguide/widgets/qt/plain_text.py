"""Texts that a file or a user brings, shown as they are: Qt would take some for HTML, and an ampersand for a key."""

from __future__ import annotations

import re
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel, QMessageBox, QWidget

LONGEST = 2000
"""Characters of a text that are shown; nobody reads more."""

LONGEST_NAME = 48

WIDEST_WORD = 260
"""Pixels."""

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_JOINER = "\u2060"  # has no width, and is no part of any tag
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def shown(text: str) -> str:
    """Return a text of bearable length, without characters that turn the direction of what follows."""
    text = _TURNING.sub("", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def as_plain(text: str) -> str:
    """Return a text in which Qt finds no tags, for tool tips, notifications and questions, where it looks for them."""
    return _TAG.sub(f"<{_JOINER}", shown(text))


def one_line(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a name for a line of its own, a row of a list or an axis; a long one loses its middle."""
    text = _CONTROLS.sub(" ", _TURNING.sub("", text)).strip()
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"


def on_button(text: str) -> str:
    """Return a name for a button or an entry of a menu, where an ampersand would become a key."""
    return one_line(text).replace("&", "&&")


def on_plot(text: str) -> str:
    """Return a name for a legend of matplotlib, which leaves out those that begin with an underscore."""
    name = one_line(text)
    return f" {name}" if name.startswith("_") else name


class Label(QLabel):
    """A label that shows its text as it is."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(shown(text or ""))

    def minimumSizeHint(self) -> QSize:
        """Let no word of a text that wraps, such as a long path, make the dock wider."""
        hint = super().minimumSizeHint()
        return hint.boundedTo(QSize(WIDEST_WORD, hint.height())) if self.wordWrap() else hint


def asks(parent: QWidget, title: str, question: str) -> bool:
    """Ask yes or no; no is what Enter answers."""
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    answer: Any = QMessageBox.question(parent, title, as_plain(question), yes | no, no)
    return bool(answer == yes)
