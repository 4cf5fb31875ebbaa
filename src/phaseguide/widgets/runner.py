"""Runs a job in a worker thread and tells the GUI thread about it by signals."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice
from phaseguide.widgets.job import DeviceFound, PlaneDone, Step, Stopped

logger = logging.getLogger(__name__)


class UnexpectedError(PhaseguideError):
    """A fault that no user caused."""


def guarded(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Wrap a generator function so that any exception reaches the ``errored`` signal, as a sentence.

    A RuntimeError (torch raises it for most things) would otherwise vanish in the thread and leave
    the worker running for ever.
    """

    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from function(*args, **kwargs)
        except PhaseguideError:
            raise
        except Exception as error:
            logger.exception("unexpected error in a worker")
            raise UnexpectedError(
                f"Something went wrong inside Phase Guide ({type(error).__name__}: {error}). Your layers are "
                "unchanged. Try again; if it stays, report it with the log."
            ) from error

    return run


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
        worker.errored.connect(self._on_error)
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
            for signal in (worker.yielded, worker.errored, worker.finished):
                try:
                    signal.disconnect()
                except (TypeError, RuntimeError):  # nothing connected any more
                    continue

    def _on_event(self, event: Any) -> None:
        if self._worker is None:
            return
        if isinstance(event, Step):
            self.stepped.emit(event)
        elif isinstance(event, DeviceFound):
            self.device_found.emit(event.device)
        elif isinstance(event, Notice):
            self.noticed.emit(event.message)
        elif isinstance(event, PlaneDone):
            self.plane_done.emit(event)
        elif isinstance(event, Stopped):
            self._stopped_after = event.done

    def _on_error(self, error: BaseException) -> None:
        self._error = error

    def _on_finished(self) -> None:
        if self._worker is None:
            return
        self._worker = None
        self.ended.emit(self._stopped_after, self._error)


def in_background(
    function: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None]
) -> Any:
    """Call a quick function in a thread; ``done`` or ``failed`` is called in the GUI thread.

    Both must be methods of a QObject: Qt then calls them in its thread, and not at all once it is gone.
    """
    from napari.qt.threading import create_worker

    def run() -> Any:
        try:
            return function()
        except PhaseguideError:
            raise
        except Exception as error:
            logger.exception("unexpected error in a worker")
            raise UnexpectedError(f"{type(error).__name__}: {error}") from error

    worker = create_worker(run, _ignore_errors=True, _start_thread=False)
    worker.returned.connect(done)
    worker.errored.connect(failed)
    worker.start()
    return worker
