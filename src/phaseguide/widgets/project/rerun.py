"""Segments the unreviewed fields of a project in a worker thread, and tells the GUI thread by signals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.events import Notice, Progress
from phaseguide.widgets.project.field_list import short
from phaseguide.widgets.qt.dock import later
from phaseguide.widgets.qt.tasks import BREATH_MS, Failed, guarded, let_go
from phaseguide.widgets.segment.preferences import read_preferences

if TYPE_CHECKING:
    from phaseguide.widgets.project.dock import ProjectWidget

ALL_DONE = "Every unreviewed field has a result of the project's model."


class RerunRunner(QObject):
    """One run at a time.

    ``happened`` carries each event. ``ended`` comes last, once for each start, with whether the user
    stopped it, and the error or None.
    """

    happened = Signal(object)
    ended = Signal(bool, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop = threading.Event()
        self._worker: Any = None
        self._error: Any = None
        self.destroyed.connect(self._stop.set)

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def start(self, function: Callable[[], Iterator[Any]]) -> None:
        """Iterate over ``function()`` in a thread."""
        from napari.qt.threading import create_worker

        assert self._worker is None
        self._stop.clear()
        self._error = None
        worker = create_worker(
            guarded(_until), function, self._stop, _ignore_errors=True, _start_thread=False
        )
        worker.yielded.connect(self._on_event)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        worker.start()

    def stop(self) -> None:
        """Ask the run to end at its next event."""
        self._stop.set()

    def abandon(self) -> None:
        """End the run and hear nothing of it any more; for a widget that closes."""
        self._stop.set()
        worker, self._worker = self._worker, None
        if worker is not None:
            let_go(worker)

    def _on_event(self, event: Any) -> None:
        if self._worker is None:
            return
        if isinstance(event, Failed):
            self._error = event.error
        else:
            self.happened.emit(event)

    def _on_finished(self) -> None:
        later(self, self._end, BREATH_MS)

    def _end(self) -> None:
        if self._worker is None:
            return
        self._worker = None
        self.ended.emit(self._stop.is_set(), self._error)


def _until(function: Callable[[], Iterator[Any]], stop: threading.Event) -> Iterator[Any]:
    from phaseguide.widgets.layers.warm_up import warm_up

    warm_up()
    events = function()
    for event in events:
        yield event
        if stop.is_set():
            events.close()  # type: ignore[attr-defined]
            return


class Rerun(QObject):
    """What the Project dock does with the fields that have no result of the project's model.

    Parameters
    ----------
    widget : ProjectWidget
    """

    went_on = Signal()

    def __init__(self, widget: ProjectWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._told: list[str] = []
        self.runner = RerunRunner(self)
        self.runner.happened.connect(self._on_event)
        self.runner.ended.connect(self._on_ended)

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.runner.running

    def due(self) -> list[str]:
        """Fields that a run would segment: unreviewed, and without a result of the project's model."""
        project = self._widget.opened.project
        if project is None or not project.current:
            return []
        return [entry.id for entry in project.fields if entry.is_due(project.current)]

    def start(self) -> None:
        """Segment what is due, with everything that is painted."""
        widget, project = self._widget, self._widget.opened.project
        device = read_preferences()[0].device
        if project is None or self.running:
            return
        if not widget.opened.flush():
            widget.say(
                "Some edits are not saved yet, so nothing is segmented. Try again when they are.", alarm=True
            )
            return
        due, self._told = self.due(), []
        widget.say(f"Segmenting {len(due)} fields with {short(project.current)} …")
        widget.panel.progress.begin()

        def run() -> Iterator[Any]:
            from phaseguide.jobs.project.rerun_project import rerun

            return rerun(project, due, device=device)

        self.runner.start(run)
        widget.refresh()

    def stop(self) -> None:
        """Stop after the field under way."""
        self._widget.panel.stop_button.setEnabled(False)
        self._widget.say("Stopping …")
        self.runner.stop()

    def _on_event(self, event: Any) -> None:
        if isinstance(event, Progress):
            self._widget.panel.progress.show_step(event)
        elif isinstance(event, Notice):
            self._told.append(event.message)
            self._widget.say(event.message)
        else:
            self.went_on.emit()

    def _on_ended(self, stopped: bool, error: BaseException | None) -> None:
        widget, left = self._widget, len(self.due())
        widget.panel.progress.end()
        widget.panel.stop_button.setEnabled(True)
        if error is not None:
            widget.fail(error)
        elif stopped:
            widget.say(f"Stopped. What is done is kept; {left} fields are left.")
        elif left:
            widget.say(" ".join([*self._told[-2:], f"{left} fields are left."]), alarm=True)
        else:
            widget.say(ALL_DONE)
        widget.opened.fields.reload_result()
