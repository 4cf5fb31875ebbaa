"""Keeps the small pictures of a project's fields up to date, in a thread of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.jobs.project.thumbnails import Picture, make_pictures
from phaseguide.widgets.qt.dock import quiet_timer
from phaseguide.widgets.qt.latest_worker import LatestWorker
from phaseguide.widgets.qt.tasks import Failed

if TYPE_CHECKING:
    from phaseguide.projects.schema import FieldEntry
    from phaseguide.widgets.project.field_list import FieldModel
    from phaseguide.widgets.project.state import ProjectState

REST_MS = 1500
"""The picture of a field follows its edits when so long nothing was painted."""


class FieldPictures(QObject):
    """Makes pictures of fields that have changed, and hands them to the list.

    ``due`` tells that others may be due by now, ``arrived`` each picture, ``failed`` an error.

    Parameters
    ----------
    state : ProjectState
    fields : FieldModel
        Takes the pictures.
    """

    due = Signal()
    arrived = Signal(object)
    failed = Signal(object)

    def __init__(self, state: ProjectState, fields: FieldModel, parent: QObject) -> None:
        super().__init__(parent)
        self._state, self._fields = state, fields
        self._known: dict[str, Any] = {}  # small images, by field and checksum
        self._signs: dict[str, Any] = {}  # what a picture was made of
        self._strokes: dict[str, int] = {}  # how often edits were saved
        self._painted: set[str] = set()
        self._rest = quiet_timer(self, REST_MS, self._on_rest)
        self._worker = LatestWorker(self)
        self._worker.arrived.connect(self._on_arrived)
        state.events.shown.connect(self.forget)

    @property
    def idle(self) -> bool:
        """Whether none is being made, nor waits for strokes to end."""
        return self._worker.idle and not self._rest.isActive()

    def make(self) -> None:
        """Ask for pictures of fields that have changed."""
        project = self._state.project
        if project is None or not self._worker.idle:
            return  # what arrives asks again
        signs = {entry.id: self._sign(entry) for entry in project.fields}
        due = [field_id for field_id, sign in signs.items() if self._signs.get(field_id) != sign]
        if due:
            self._signs |= {field_id: signs[field_id] for field_id in due}
            self._worker.submit(lambda: make_pictures(project, due, self._known))

    def painted(self, field_id: str) -> None:
        """Note that edits of a field were saved."""
        self._painted.add(field_id)
        self._rest.start()

    def forget(self) -> None:
        """Drop all pictures, for another project or other phases."""
        self._worker.drop()
        self._fields.forget()
        self._known.clear()
        self._signs.clear()

    def end(self) -> None:
        """Make no more."""
        self._worker.end()

    def _sign(self, entry: FieldEntry) -> Any:
        return (entry.result, entry.images, self._strokes.get(entry.id, 0))

    def _on_rest(self) -> None:
        """Make new pictures of what was painted; while strokes go on, the processor is theirs."""
        for field_id in self._painted:
            self._strokes[field_id] = self._strokes.get(field_id, 0) + 1
        self._painted.clear()
        self.due.emit()

    def _on_arrived(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Picture):
                self._fields.take(event)
                self.arrived.emit(event)
            elif isinstance(event, Failed):
                self.failed.emit(event.error)
        self.due.emit()
