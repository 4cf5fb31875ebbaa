"""Long work in a worker thread, of which the GUI thread is told by signals; and quick calls in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.control import Control
from phaseguide.errors import PhaseguideError, UnexpectedError, describe_refusal
from phaseguide.events import Finished, Notice, Progress
from phaseguide.widgets.qt.dock import later
from phaseguide.widgets.qt.plain_text import as_plain

logger = logging.getLogger(__name__)

BREATH_MS = 20
"""The last result and the end of a run arrive together; between the two the window gets a turn to draw."""

Work = Callable[[Control], Iterator[Any]]
"""Returns what is to be gone through, a generator of `phaseguide.events`; steered by the control."""


@dataclass(frozen=True)
class Failed:
    """An error in a worker.

    It travels as a value: a worker that raises makes napari with PySide6 fail itself (0.9.2), and a
    RuntimeError, which torch raises for most things, would vanish and leave the worker running for ever.
    """

    error: PhaseguideError


def as_user_error(error: Exception) -> PhaseguideError:
    """Return an error that is meant for the user; others are logged and put into a sentence."""
    if isinstance(error, PhaseguideError):
        return error
    if (message := describe_refusal(error)) is not None:
        return PhaseguideError(message)
    logger.error("unexpected error in a worker", exc_info=error)
    return UnexpectedError(
        f"Something went wrong inside Phase Guide ({type(error).__name__}: {error}). Your layers are unchanged. "
        "Try again; if it stays, report it with the log."
    )


class TaskRunner(QObject):
    """Goes through one generator at a time in a thread, and emits in the GUI thread what that yields.

    ``ended`` comes last, once for each start, with the result or None, and the error or None.
    ``noticed`` carries each `Notice`, which names what it is about; ``happened`` every event that is none of the
    other kinds.
    """

    progressed = Signal(object)
    noticed = Signal(object)
    happened = Signal(object)
    ended = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.control = Control()
        self._worker: Any = None
        self._result: Any = None
        self._error: PhaseguideError | None = None

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._worker is not None

    def start(self, work: Work) -> None:
        """Go through ``work(control)``, which is called in the thread, with a control of its own."""
        from napari.qt.threading import create_worker

        assert self._worker is None
        self._result, self._error = None, None
        self.control = Control()  # a run that was stopped stays stopped
        # Bound to the control and not to this object, which is half gone when it is destroyed.
        self.destroyed.connect(self.control.stop)
        worker = create_worker(_guarded, work, self.control, _ignore_errors=True, _start_thread=False)
        worker.yielded.connect(self._on_event)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        worker.start()

    def stop(self) -> None:
        """Ask the run to end at its next event."""
        self.control.stop()

    def abandon(self) -> None:
        """End the run and hear nothing of it any more; for a widget that closes."""
        self.control.stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            _let_go(worker)

    def _on_event(self, event: Any) -> None:
        if self._worker is None:
            return
        if isinstance(event, Progress):
            self.progressed.emit(event)
        elif isinstance(event, Notice):
            self.noticed.emit(event)
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


def _guarded(work: Work, control: Control) -> Iterator[Any]:
    """Go through some work; yield `Failed` where that raises."""
    try:
        yield from work(control)
    except Exception as error:
        yield Failed(as_user_error(error))


def _let_go(worker: Any) -> None:
    """Hear nothing of a worker any more."""
    for signal in (worker.yielded, worker.finished):
        with suppress(TypeError, RuntimeError):  # nothing connected any more
            signal.disconnect()


class _Call(QObject):
    """Hands the outcome of a call in a thread to its owner, unless that is gone by then."""

    def __init__(
        self, owner: QObject, done: Callable[[Any], None], failed: Callable[[BaseException], None]
    ) -> None:
        super().__init__(owner)
        self._done, self._failed = done, failed

    def receive(self, outcome: Any) -> None:
        """Call ``done`` or ``failed``."""
        if self.signalsBlocked():  # silenced with its owner
            if isinstance(outcome, Failed):
                from napari.utils.notifications import show_error

                show_error(as_plain(str(outcome.error)))
        elif isinstance(outcome, Failed):
            self._failed(outcome.error)
        else:
            self._done(outcome)
        self.deleteLater()


def in_background(
    owner: QObject,
    function: Callable[[], Any],
    done: Callable[[Any], None],
    failed: Callable[[BaseException], None],
) -> None:
    """Call a quick function in a thread, then ``done`` or ``failed`` in the GUI thread if ``owner`` still lives."""
    from napari.qt.threading import create_worker

    once = [function]  # napari keeps a worker for longer than what that was to work on is wanted

    def run() -> Any:
        try:
            return once.pop()()
        except Exception as error:
            return Failed(as_user_error(error))

    worker = create_worker(run, _ignore_errors=True, _start_thread=False)
    worker.returned.connect(_Call(owner, done, failed).receive)
    worker.start()
