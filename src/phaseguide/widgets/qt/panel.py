"""A panel of a dock widget, which scrolls where the window is low; and the plain parts that panels are made of."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QLayout, QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.style import ALARM

NARROWEST = 320

LAID_OUT_MS = 50
"""After so long a part that has just appeared has its place."""


class ScrolledPanel(QWidget):
    """A widget whose content is given once by `show_content`."""

    def show_content(self, content: QWidget) -> None:
        """Put the content into a scroll area."""
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self._area, self._content, self._outer = area, content, outer

    def pin(self, row: QLayout) -> None:
        """Put a row below what scrolls, where it is always seen."""
        row.setContentsMargins(5, 2, 5, 2)
        self._outer.addLayout(row)

    def holds(self, part: QWidget) -> bool:
        """Whether a part stands in the content."""
        return bool(self._content.isAncestorOf(part))

    def reveal(self, part: QWidget) -> None:
        """Scroll until a part of the content is seen, once it has its place."""
        later = QTimer(self)
        later.setSingleShot(True)
        later.timeout.connect(lambda: self._area.ensureWidgetVisible(part, 0, 8))
        later.timeout.connect(later.deleteLater)
        later.start(LAID_OUT_MS)

    def fit_width(self) -> None:
        """Be wide enough that nothing is cut; to be called when the content changes."""
        layout, bar = self._content.layout(), self._area.verticalScrollBar()
        assert layout is not None and bar is not None
        layout.activate()
        self.setMinimumWidth(max(NARROWEST, self._content.minimumSizeHint().width() + bar.sizeHint().width()))


class AnswerLabel(Label):
    """What a part of a panel answers: it wraps, can be copied, and is hidden while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.hide()

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Show a text, or nothing."""
        self.setText(text)
        self.setStyleSheet(ALARM if alarm else "")
        self.setVisible(bool(text))


def small_label() -> Label:
    """Return a label for a line of information that may wrap."""
    label = Label()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return label


def rule() -> QFrame:
    """Return a thin horizontal line."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line


def button(text: str, tip: str) -> QPushButton:
    """Return a button with its tip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def lay_out_now(part: QWidget) -> None:
    """Give what stands around a part its place at once; each level would else wait for a turn of the event loop."""
    widget: QWidget | None = part
    while widget is not None and not widget.isWindow():
        layout = widget.layout()
        if layout is not None:
            layout.activate()
        widget = widget.parentWidget()
