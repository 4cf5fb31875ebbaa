"""One thread that does only the newest piece of work: what is outdated is dropped, nothing is queued."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.events import Settle, Stages
from phaseguide.widgets.qt.tasks import Failed, as_user_error

FINISH_S = 20.0
"""Longest time that the end of the program waits for a stage under way."""


class LatestWorker(QObject):
    """Runs the stages of one piece of work after the other in a thread of its own.

    Work is a function that returns a generator. What that yields is emitted by ``arrived`` in the
    thread of this object, as a list of all events since the last time. Work that was not begun when
    a newer one comes is forgotten; one under way is closed at its next event, which still arrives, so
    that a hand that never rests sees something. An exception arrives as `Failed`.
    """

    arrived = Signal(object)
    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = _State(self._woken.emit)
        self._thread: threading.Thread | None = None
        self._woken.connect(self._deliver)
        # Bound to the state and not to this object, which is half gone when it is destroyed.
        self.destroyed.connect(self._state.end)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waits; what waits for its rest to pass counts as under way."""
        return self._state.idle

    def submit(self, work: Callable[[], Stages]) -> None:
        """Make this the newest piece of work."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._state.work, name="phaseguide live", daemon=True)
            self._thread.start()
            # Python kills daemon threads when it ends; one in the midst of torch would take the process down.
            atexit.register(_finish, self._state, self._thread)
        self._state.submit(work)

    def wait(self, seconds: float) -> bool:
        """Block until something arrives, which is delivered at once; False if nothing did in time."""
        arrived = self._state.wait(seconds)
        self._deliver()
        return arrived

    def drop(self) -> None:
        """Forget all work, and what of it has not arrived."""
        self._state.drop()

    def end(self) -> None:
        """Drop everything and let the thread end; nothing arrives afterwards."""
        self._state.end()

    def _deliver(self) -> None:
        events = self._state.take()
        if events:
            self.arrived.emit(events)


def _finish(state: _State, thread: threading.Thread) -> None:
    """Let a thread end at its next event, and wait for that."""
    state.end()
    thread.join(FINISH_S)


class _State:
    """What the two threads share. It outlives the Qt object, so that the thread can end in peace."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._changed = threading.Condition()
        self._work: Callable[[], Stages] | None = None
        self._number = 0  # of the newest piece of work; dropping counts too
        self._busy = self._ended = False
        self._arrived: deque[tuple[int, Any]] = deque()
        self._oldest = 0  # events of pieces before this one are not delivered
        self._wake = wake

    @property
    def idle(self) -> bool:
        with self._changed:
            return not self._busy and self._work is None and not self._arrived

    def submit(self, work: Callable[[], Stages]) -> None:
        with self._changed:
            self._work, self._number = work, self._number + 1
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._arrived), seconds)

    def drop(self) -> None:
        with self._changed:
            self._work, self._number = None, self._number + 1
            self._oldest = self._number
            self._arrived.clear()
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended, self._work = True, None
            self._number += 1
            self._arrived.clear()
            self._changed.notify_all()

    def take(self) -> list[Any]:
        with self._changed:
            taken = [event for number, event in self._arrived if number >= self._oldest]
            self._arrived.clear()
            return taken

    def work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.wait_for(lambda: self._ended or self._work is not None)
                if self._ended:
                    return
                work, self._work, number, self._busy = self._work, None, self._number, True
            assert work is not None
            self._go_through(work, number)
            work = None  # with all that it holds on to, while this waits for the next

    def _go_through(self, work: Callable[[], Stages], number: int) -> None:
        stages = work()
        try:
            for event in stages:
                if isinstance(event, Settle):
                    with self._changed:
                        self._changed.wait_for(lambda: self._number != number, event.seconds)
                else:
                    self._put(number, event)
                if self._number != number:
                    break
        except Exception as error:
            self._put(number, Failed(as_user_error(error)))
        finally:
            stages.close()

    def _put(self, number: int, event: Any) -> None:
        with self._changed:
            if self._ended or number < self._oldest:
                return
            self._arrived.append((number, event))
            self._changed.notify_all()
            with suppress(RuntimeError):  # the Qt object is being destroyed
                self._wake()
