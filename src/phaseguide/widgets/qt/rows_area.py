"""An area that shows a few rows of a table and scrolls to the others."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QGridLayout, QScrollArea, QSizePolicy, QWidget


class RowsArea(QScrollArea):
    """As high as its content, but for a content of more than ``most`` rows, which scrolls.

    Parameters
    ----------
    most : int
        Rows that are seen at once.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self._rows = most, 0
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def show_rows(self, content: QWidget, rows: int) -> None:
        """Show a content with so many rows below its headings; the one before is deleted."""
        self._rows, before = rows, self.takeWidget()
        if before is not None:
            before.hide()
            before.deleteLater()  # one of its controls may have asked for the change
        self.setWidget(content)
        content.installEventFilter(self)
        self.updateGeometry()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the content when its rows get another height."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Names that wrap take another height with another width."""
        super().resizeEvent(event)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """As wide as the content, and as high as the rows that are seen."""
        content = self.widget()
        if content is None:
            return super().sizeHint()
        hint, layout, bar = content.sizeHint(), content.layout(), self.verticalScrollBar()
        width, height = max(hint.width(), content.minimumSizeHint().width()), hint.height()
        if content.hasHeightForWidth():  # names that wrap
            height = content.heightForWidth(max(self.width(), content.minimumSizeHint().width()))
        if self._rows > self._most:
            head = _row_height(layout) if isinstance(layout, QGridLayout) else 0
            height = head + round((height - head) * self._most / self._rows)
            width += 0 if bar is None else bar.sizeHint().width()
        frame = 2 * self.frameWidth()
        return QSize(width + frame, height + frame)

    def minimumSizeHint(self) -> QSize:
        """The same: it is the window that scrolls no more."""
        return self.sizeHint()


def _row_height(grid: QGridLayout) -> int:
    """Height of the first row, also before it is laid out."""
    cells = (grid.itemAtPosition(0, column) for column in range(grid.columnCount()))
    return max((cell.sizeHint().height() for cell in cells if cell is not None), default=0)
