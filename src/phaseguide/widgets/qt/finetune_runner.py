"""Runs one fine-tuning in a worker thread and tells the GUI thread about it by signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.control import Control
from phaseguide.events import Finished, Notice, Progress
from phaseguide.widgets.qt.dock import later
from phaseguide.widgets.qt.tasks import BREATH_MS, Failed, guarded, let_go


class FinetuneRunner(QObject):
    """One run at a time.

    ``ended`` comes last, once for each start, with the result or None, and the error or None.
    ``happened`` carries every event that is none of the other kinds.
    """

    progressed = Signal(object)
    noticed = Signal(str)
    happened = Signal(object)
    ended = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.control = Control()
        self._worker: Any = None
        self._result, self._error = None, None

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def start(self, function: Callable[..., Any], *args: Any) -> None:
        """Iterate over ``function(*args)`` in a thread; the function gets ``control`` among its arguments."""
        from napari.qt.threading import create_worker

        assert self._worker is None
        self._result, self._error = None, None
        worker = create_worker(guarded(function), *args, _ignore_errors=True, _start_thread=False)
        worker.yielded.connect(self._on_event)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        worker.start()

    def new_control(self) -> Control:
        """Return the control of the next run; a run that was stopped stays stopped."""
        self.control = Control()
        # Bound to the control and not to this object, which is half gone when it is destroyed.
        self.destroyed.connect(self.control.stop)
        return self.control

    def abandon(self) -> None:
        """Stop the run and hear nothing of it any more; for a widget that closes."""
        self.control.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            let_go(worker)

    def _on_event(self, event: Any) -> None:
        if self._worker is None:
            return
        if isinstance(event, Progress):
            self.progressed.emit(event)
        elif isinstance(event, Notice):
            self.noticed.emit(event.message)
        elif isinstance(event, Finished):
            self._result = event.result
        elif isinstance(event, Failed):
            self._error = event.error
        else:
            self.happened.emit(event)

    def _on_finished(self) -> None:
        later(self, self._end, BREATH_MS)

    def _end(self) -> None:
        if self._worker is None:
            return
        self._worker = None
        self.ended.emit(self._result, self._error)
