"""Runs a job in a worker thread and tells the GUI thread about it by signals."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import PhaseguideError, UnexpectedError, describe_refusal
from phaseguide.events import Notice, Progress
from phaseguide.jobs.segment import DeviceFound, PlaneDone, Stopped
from phaseguide.widgets.qt.dock import later
from phaseguide.widgets.qt.plain_text import as_plain

logger = logging.getLogger(__name__)

BREATH_MS = 20


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


def guarded(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Wrap a generator function so that it yields `Failed` where it would raise."""

    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from function(*args, **kwargs)
        except Exception as error:
            yield Failed(as_user_error(error))

    return run


def let_go(worker: Any) -> None:
    """Hear nothing of a worker any more."""
    for signal in (worker.yielded, worker.finished):
        try:
            signal.disconnect()
        except (TypeError, RuntimeError):  # nothing connected any more
            continue


class Runner(QObject):
    """One job at a time.

    Signals are emitted in the GUI thread. ``ended`` comes last, once for each start, with the number
    of planes done if the user stopped the job (else -1) and the error if there was one.
    """

    stepped = Signal(object)
    device_found = Signal(object)
    noticed = Signal(str)
    plane_done = Signal(object)
    ended = Signal(int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop = threading.Event()
        self._worker: Any = None
        self._stopped_after, self._error = -1, None
        # Bound to the event and not to this object, which is half gone when it is destroyed.
        self.destroyed.connect(self._stop.set)

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._worker is not None

    def start(self, function: Callable[..., Iterator[Any]], *args: Any) -> None:
        """Run ``function(*args, stop)`` in a thread."""
        from napari.qt.threading import create_worker

        assert self._worker is None
        self._stop.clear()
        self._stopped_after, self._error = -1, None
        worker = create_worker(guarded(function), *args, self._stop, _ignore_errors=True, _start_thread=False)
        worker.yielded.connect(self._on_event)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        worker.start()

    def stop(self) -> None:
        """Ask the job to end at its next event."""
        self._stop.set()

    def abandon(self) -> None:
        """End the job and hear nothing of it any more; for a widget that closes."""
        self._stop.set()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.quit()
            let_go(worker)

    def _on_event(self, event: Any) -> None:
        if self._worker is None:
            return
        if isinstance(event, Progress):
            self.stepped.emit(event)
        elif isinstance(event, DeviceFound):
            self.device_found.emit(event.device)
        elif isinstance(event, Notice):
            self.noticed.emit(event.message)
        elif isinstance(event, PlaneDone):
            self.plane_done.emit(event)
        elif isinstance(event, Stopped):
            self._stopped_after = event.done
        elif isinstance(event, Failed):
            self._error = event.error

    def _on_finished(self) -> None:
        # The last result and the end arrive together; between the two the window gets a turn to draw.
        later(self, self._end, BREATH_MS)

    def _end(self) -> None:
        if self._worker is None:
            return
        self._worker = None
        self.ended.emit(self._stopped_after, self._error)


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
