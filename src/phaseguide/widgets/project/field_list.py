"""The list of a project's fields: thumbnail, state, area %, model version, flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFont,
    QImage,
    QPainter,
    QPaintEvent,
    QPalette,
    QPixmap,
)
from qtpy.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from phaseguide.jobs.project.thumbnails import LARGEST, Picture
from phaseguide.models.zoo import SUFFIX
from phaseguide.segmentation.saving import CONSTRAINED
from phaseguide.widgets.qt.plain_text import as_plain

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

Index = QModelIndex | QPersistentModelIndex
ROLE = Qt.ItemDataRole.UserRole
STATE_COLOURS = {"reviewed": "#30a46c", "rejected": "#e5484d"}
FLAG = "#f5a623"
WARNED = "⚠"
MARGIN = 5
LEFT = Qt.AlignmentFlag.AlignLeft
LOWEST = 110
EMPTY = "Drop micrographs here, or folders of them."


@dataclass(frozen=True)
class FieldRow:
    """One field as the list shows it.

    Attributes
    ----------
    entry : FieldEntry
    stale : bool
        Segmented by another model than the project's.
    picture : Picture or None
        None while it is being made.
    warnings : tuple of str
        What is to be known of its result, or of why it has none.
    """

    entry: FieldEntry
    stale: bool
    picture: Picture | None
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Specimen and name."""
        name = self.entry.name or self.entry.id
        return f"{self.entry.specimen} / {name}" if self.entry.specimen else name

    @property
    def state(self) -> str:
        """State, and the reason of a rejection."""
        return f"{self.entry.state}: {self.entry.reason}" if self.entry.reason else self.entry.state

    @property
    def version(self) -> str:
        """Model version of the result, as it is shown; empty without one."""
        return short(self.entry.result.version) if self.entry.result is not None else ""

    @property
    def problem(self) -> str:
        """Why the files cannot be read."""
        return self.picture.problem if self.picture is not None else ""

    @property
    def shares(self) -> tuple[float, ...] | None:
        """Area shares of what the field shows."""
        if self.picture is not None and self.picture.shares is not None:
            return self.picture.shares
        return tuple(self.entry.result.achieved) if self.entry.result is not None else None

    def areas(self, scheme: PhaseScheme) -> str:
        """Area % of each phase, in words."""
        if self.shares is None:
            return "not segmented yet"
        return ", ".join(
            f"{phase.name} {share * 100:.1f} %" for phase, share in zip(scheme, self.shares, strict=False)
        )

    def text(self, scheme: PhaseScheme) -> str:
        """Everything in a line, for screen readers and tests."""
        version = (
            f"model {self.version}{' (not the current one)' if self.stale else ''}" if self.version else ""
        )
        warned = f"warnings: {len(self.warnings)}" if self.warnings else ""
        parts = (self.title, self.state, self.problem or self.areas(scheme), version, warned)
        return "; ".join(part for part in parts if part)

    def tip(self, scheme: PhaseScheme) -> str:
        """Everything, one line each."""
        constrained = self.entry.result is not None and self.entry.result.constrained
        painted = f"{self.picture.edited * 100:.2f} % painted" if self.picture is not None else ""
        note = f"Area %: {CONSTRAINED}." if constrained else ""
        warned = [f"{WARNED} {message}" for message in self.warnings]
        return "\n".join(part for part in (*self.text(scheme).split("; "), painted, note, *warned) if part)


def short(version: str) -> str:
    """Name a model by version, zoo name, or the name of its file."""
    return PurePath(version).stem if version.endswith(SUFFIX) else version


class FieldModel(QAbstractListModel):
    """The fields of a project."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.rows: list[FieldRow] = []
        self.scheme: PhaseScheme | None = None
        self._pictures: dict[str, Picture] = {}
        self._warnings_of: Callable[[str], tuple[str, ...]] = lambda _: ()

    def show(self, project: Project | None) -> None:
        """Take over the fields as they are now; pictures stay."""
        rows = []
        if project is not None:
            stale = {entry.id for entry in project.stale_fields()}
            rows = [
                FieldRow(e, e.id in stale, self._pictures.get(e.id), self._warnings_of(e.id))
                for e in project.fields
            ]
        scheme = None if project is None else project.scheme
        if [row.entry.id for row in rows] == [row.entry.id for row in self.rows] and scheme == self.scheme:
            self.rows = rows
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self.rows, self.scheme = rows, scheme
        self.endResetModel()

    def forget(self) -> None:
        """Drop all pictures, for another project."""
        self._pictures.clear()

    def take(self, picture: Picture) -> None:
        """Show a picture that was made."""
        self._pictures[picture.field_id] = picture
        for number, row in enumerate(self.rows):
            if row.entry.id == picture.field_id:
                self.rows[number] = replace(row, picture=picture)
                self.dataChanged.emit(self.index(number), self.index(number))

    def show_warnings(self, warnings_of: Callable[[str], tuple[str, ...]]) -> None:
        """Mark the fields of which something was warned; the function gives the sentences, by the field's id."""
        self._warnings_of = warnings_of
        for number, row in enumerate(self.rows):
            if row.warnings != (now := warnings_of(row.entry.id)):
                self.rows[number] = replace(row, warnings=now)
                self.dataChanged.emit(self.index(number), self.index(number))

    def row_of(self, field_id: str) -> int:
        """Return the line of a field, -1 if it is not there."""
        return next((n for n, row in enumerate(self.rows) if row.entry.id == field_id), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        """Return the number of fields."""
        return len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return text, tip or the row itself."""
        if not index.isValid() or self.scheme is None:
            return None
        row = self.rows[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return row.text(self.scheme)
        if role == Qt.ItemDataRole.ToolTipRole:
            return as_plain(row.tip(self.scheme))
        return row if role == ROLE else None


class FieldDelegate(QStyledItemDelegate):
    """Paints a field: picture, name, state, a bar of its areas with numbers, model version."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return the room for the picture."""
        return QSize(LARGEST[0] + 160, LARGEST[1] + 2 * MARGIN)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one field."""
        row, model = index.data(ROLE), index.model()
        if painter is None or row is None or not isinstance(model, FieldModel) or model.scheme is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(option.rect, option.palette.color(QPalette.ColorRole.Highlight))
        box = option.rect.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        self._paint_picture(painter, QRect(box.topLeft(), QSize(*LARGEST)), row)
        text = box.adjusted(LARGEST[0] + 2 * MARGIN, 0, 0, 0)
        line = text.height() // 4
        ink = option.palette.color(QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text)
        lines = [QRect(text.left(), text.top() + n * line, text.width(), line) for n in range(4)]
        bold = QFont(option.font)
        bold.setBold(True)
        title = lines[0]
        if row.warnings:
            mark = f"{WARNED} {len(row.warnings)}"
            width = painter.fontMetrics().horizontalAdvance(mark) + MARGIN
            _write(painter, title, mark, ink, option.font, Qt.AlignmentFlag.AlignRight)
            title = title.adjusted(0, 0, -width, 0)
        _write(painter, title, row.title, ink, bold)
        state = STATE_COLOURS.get(row.entry.state)
        _write(painter, lines[1], row.state, ink if state is None else QColor(state), option.font)
        if row.version:
            version = f"⚠ {row.version}" if row.stale else row.version
            colour = QColor(FLAG) if row.stale else ink
            half = lines[1].adjusted(lines[1].width() // 2, 0, 0, 0)
            _write(painter, half, version, colour, option.font, Qt.AlignmentFlag.AlignRight)
        if row.problem:
            problem = QRect(lines[2].topLeft(), lines[3].bottomRight())
            _write_wrapped(painter, problem, row.problem, QColor(STATE_COLOURS["rejected"]), option.font)
        elif row.shares is None:
            _write(painter, lines[2], "not segmented yet", ink, option.font)
        else:
            _paint_bar(painter, lines[2].adjusted(0, 4, 0, -4), row.shares, model.scheme)
            _paint_numbers(painter, lines[3], row.shares, model.scheme, ink, option.font)
        painter.restore()

    def _paint_picture(self, painter: QPainter, box: QRect, row: FieldRow) -> None:
        thumbnail = None if row.picture is None else row.picture.thumbnail
        if thumbnail is None:
            painter.setPen(QColor("#8d9199"))
            painter.drawRect(box)
            return
        height, width = thumbnail.shape[:2]
        image = QImage(thumbnail.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        picture = QPixmap.fromImage(image).scaled(
            box.size(), Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        left = box.left() + (box.width() - picture.width()) // 2
        painter.drawPixmap(left, box.top() + (box.height() - picture.height()) // 2, picture)


class FieldList(QListView):
    """The list; ``chosen`` tells the id of a field that the user wants to see.

    ``dropped`` carries the files and folders, a list of paths, that were dropped on it.
    """

    chosen = Signal(str)
    dropped = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.fields = FieldModel(self)
        self.setModel(self.fields)
        self.setItemDelegate(FieldDelegate(self))
        self.setUniformItemSizes(True)
        self.setMinimumHeight(LOWEST)
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Fields of the project")
        self.setAcceptDrops(True)
        self.clicked.connect(self._choose)
        self.activated.connect(self._choose)

    def mark(self, field_id: str) -> None:
        """Mark the field on show and bring it into sight."""
        number = self.fields.row_of(field_id)
        if number < 0:
            self.clearSelection()
            return
        self.setCurrentIndex(self.fields.index(number))
        self.scrollTo(self.fields.index(number))

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files and folders."""
        if event is not None and _paths_in(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Take them anywhere on the list."""
        if event is not None and _paths_in(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Tell of what was dropped."""
        paths = [] if event is None else _paths_in(event)
        if event is not None and paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Say what can be done with an empty list."""
        super().paintEvent(event)
        view = self.viewport()
        if view is not None and not self.fields.rows:
            painter = QPainter(view)
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            wrapped = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(view.rect().adjusted(20, 0, -20, 0), wrapped, EMPTY)
            painter.end()

    def _choose(self, index: QModelIndex) -> None:
        row = index.data(ROLE)
        if row is not None:
            self.chosen.emit(row.entry.id)


def _paths_in(event: QDropEvent) -> list[Path]:
    """Files and folders of this machine that an event carries."""
    data = event.mimeData()
    urls = [] if data is None or not data.hasUrls() else data.urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def _write(
    painter: QPainter, box: QRect, text: str, colour: QColor, font: QFont, side: Qt.AlignmentFlag = LEFT
) -> None:
    """Write a line, cut where there is no more room."""
    painter.setFont(font)
    painter.setPen(colour)
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, box.width())
    painter.drawText(box, int(side | Qt.AlignmentFlag.AlignVCenter), shown)


def _write_wrapped(painter: QPainter, box: QRect, text: str, colour: QColor, font: QFont) -> None:
    painter.setFont(font)
    painter.setPen(colour)
    painter.drawText(box, int(LEFT | Qt.AlignmentFlag.AlignTop) | int(Qt.TextFlag.TextWordWrap), text)


def _paint_bar(painter: QPainter, box: QRect, shares: tuple[float, ...], scheme: PhaseScheme) -> None:
    """Paint area shares as one bar in the colours of the phases."""
    edge, total = float(box.left()), 0.0
    for phase, share in zip(scheme, shares, strict=False):
        total += share
        until = box.left() + box.width() * min(total, 1.0)
        painter.fillRect(
            QRect(round(edge), box.top(), round(until) - round(edge), box.height()), QColor(phase.colour)
        )
        edge = until


def _paint_numbers(
    painter: QPainter, box: QRect, shares: tuple[float, ...], scheme: PhaseScheme, ink: QColor, font: QFont
) -> None:
    """Write area % beside squares in the colours of the phases, as many as there is room for."""
    painter.setFont(font)
    left, side = box.left(), 9
    for phase, share in zip(scheme, shares, strict=False):
        text = f"{share * 100:.1f}"
        width = painter.fontMetrics().horizontalAdvance(text)
        if left + side + 4 + width > box.right():
            painter.setPen(ink)
            painter.drawText(left, box.bottom() - 3, "…")
            return
        painter.fillRect(QRect(left, box.center().y() - side // 2, side, side), QColor(phase.colour))
        painter.setPen(ink)
        painter.drawText(
            QRect(left + side + 4, box.top(), width + 2, box.height()),
            int(Qt.AlignmentFlag.AlignVCenter),
            text,
        )
        left += side + width + 12
