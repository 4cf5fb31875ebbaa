"""Segments the unreviewed fields of the open project that have no result of its model, in a worker thread."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.control import Control
from phaseguide.widgets.project.field_list import short
from phaseguide.widgets.qt.tasks import TaskRunner
from phaseguide.widgets.segment.preferences import read_preferences

if TYPE_CHECKING:
    from phaseguide.widgets.project.open_project import OpenProject
    from phaseguide.widgets.project.state import ProjectState

ALL_DONE = "Every unreviewed field has a result of the project's model."


class Rerun(QObject):
    """One run at a time.

    ``begun`` tells which fields a run is about to segment, ``went_on`` of each that has a new result, ``said`` a
    sentence, ``warned`` one that must be seen, ``failed`` an error. What ``runner.noticed`` tells is of one field.

    Parameters
    ----------
    opened : OpenProject
    state : ProjectState
        Is told whether a run is under way.
    """

    begun = Signal(object)
    went_on = Signal()
    said = Signal(str)
    warned = Signal(str)
    failed = Signal(object)

    def __init__(self, opened: OpenProject, state: ProjectState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._opened, self._state = opened, state
        self.runner = TaskRunner(self)
        self.runner.happened.connect(lambda _: self.went_on.emit())
        self.runner.ended.connect(self._on_ended)

    def due(self) -> list[str]:
        """Fields that a run would segment: unreviewed, and without a result of the project's model."""
        project = self._opened.project
        if project is None or not project.current:
            return []
        return [entry.id for entry in project.fields if entry.is_due(project.current)]

    def start(self) -> None:
        """Segment what is due, with everything that is painted."""
        project = self._opened.project
        device = read_preferences()[0].device
        if project is None or self._state.running:
            return
        if not self._opened.flush():
            self.warned.emit(
                "Some edits are not saved yet, so nothing is segmented. Try again when they are."
            )
            return
        due = self.due()
        self.begun.emit(due)
        self.said.emit(f"Segmenting {len(due)} fields with {short(project.current)} …")

        def run(control: Control) -> Iterator[Any]:
            from phaseguide.jobs.project.rerun_project import rerun
            from phaseguide.widgets.layers.warm_up import warm_up

            warm_up()
            return _until_stopped(rerun(project, due, device=device), control)

        self.runner.start(run)
        self._state.running = True

    def stop(self) -> None:
        """Stop after the field under way."""
        self.said.emit("Stopping …")
        self.runner.stop()

    def _on_ended(self, _: Any, error: BaseException | None) -> None:
        left = len(self.due())
        if error is not None:
            self.failed.emit(error)
        elif self.runner.control.stopping:
            self.said.emit(f"Stopped. What is done is kept; {_count(left)}.")
        elif left:
            self.warned.emit(f"{_count(left)}.")
        else:
            self.said.emit(ALL_DONE)
        self._opened.fields.reload_result()
        self._state.running = False


def _count(left: int) -> str:
    return f"{left} fields are left" if left != 1 else "1 field is left"


def _until_stopped(events: Iterator[Any], control: Control) -> Generator[Any, None, None]:
    for event in events:
        yield event
        if control.stopping:
            if isinstance(events, Generator):
                events.close()
            return
