"""A line that tells what is going on: its height never changes, so that no text moves what stands around it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPoint, QSize, Qt
from qtpy.QtGui import QMouseEvent, QResizeEvent, QTextLayout
from qtpy.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from phaseguide.widgets.qt.plain_text import Label, as_plain, shown

LINES = 2
PADDING = 8
"""Of napari's style, above and below together."""

DETAILS_HEIGHT = 140
FONT_CHANGES = (QEvent.Type.Polish, QEvent.Type.Show, QEvent.Type.FontChange, QEvent.Type.StyleChange)


class StatusLine(Label):
    """Two lines at most; the whole text is in its tip, and in a small panel when the line is clicked."""

    def __init__(self, lines: int = LINES) -> None:
        self._whole, self._more, self._lines = "", "", lines
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._take_height()

    def text(self) -> str:
        """The whole text."""
        return self._whole

    def setText(self, text: str | None) -> None:
        """Show a text, or as much of it as there is room for."""
        self._whole, self._more = shown(text or ""), ""
        self._fit()

    def explain(self, more: str) -> None:
        """Add to the tip and to the details what is not on the line."""
        self._more = more
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show more of the text, or less."""
        super().resizeEvent(event)
        self._fit()

    def event(self, event: QEvent | None) -> bool:
        """Take the height of another font; the style of a window comes with its own."""
        done = bool(super().event(event))
        if event is not None and event.type() in FONT_CHANGES:
            self._take_height()
            self._fit()
        return done

    def sizeHint(self) -> QSize:
        """The same for every text."""
        return QSize(super().sizeHint().width(), self.maximumHeight())

    def minimumSizeHint(self) -> QSize:
        """No text makes a dock wider."""
        return QSize(0, self.maximumHeight())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Show the whole text in a small panel, where it can be copied."""
        super().mousePressEvent(event)
        if self._whole:
            Details(self._all(), self).show()

    def _all(self) -> str:
        return "\n".join(filter(None, (self._whole, self._more)))

    def _take_height(self) -> None:
        self.setFixedHeight(self._lines * self.fontMetrics().lineSpacing() + PADDING)

    def _fit(self) -> None:
        fitted = fit_lines(self._whole, self, max(20, self.width() - 2 * self.margin() - 4), self._lines)
        super().setText(fitted)
        cut = fitted.replace("\n", " ").split() != self._whole.split()
        self.setToolTip(as_plain(self._all()) if cut or self._more else "")
        self.setCursor(Qt.CursorShape.PointingHandCursor if self._whole else Qt.CursorShape.ArrowCursor)


class Details(QFrame):
    """The whole of a text in a panel above a widget; it goes with the next click elsewhere."""

    def __init__(self, text: str, above: QWidget) -> None:
        super().__init__(above, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.box = QPlainTextEdit(text)
        self.box.setReadOnly(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 2, 2, 2)
        column.addWidget(self.box)
        self.resize(max(above.width(), 280), DETAILS_HEIGHT)
        self.move(above.mapToGlobal(QPoint(0, -self.height())))


def fit_lines(text: str, widget: QWidget, width: int, lines: int) -> str:
    """Break a text into so many lines of a width; the last one ends in an ellipsis where there is more."""
    metrics, paragraphs = widget.fontMetrics(), text.split("\n")
    broken: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        layout = QTextLayout(paragraph, widget.font())
        layout.beginLayout()
        while (line := layout.createLine()).isValid():
            line.setLineWidth(width)
            start = line.textStart()
            if len(broken) == lines - 1:
                more = number < len(paragraphs) - 1
                rest = " ".join([paragraph[start:], *paragraphs[number + 1 :]]) if more else paragraph[start:]
                broken.append(metrics.elidedText(rest, Qt.TextElideMode.ElideRight, width))
                layout.endLayout()
                return "\n".join(broken)
            broken.append(paragraph[start : start + line.textLength()].rstrip())
        layout.endLayout()
    return "\n".join(broken)
