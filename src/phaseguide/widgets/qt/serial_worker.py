"""One thread that does one thing after the other, so that what was saved last is what lies on the disk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.widgets.qt.tasks import as_user_error

Done = Callable[[Any], None]
Refused = Callable[[BaseException], None]


class SerialWorker(QObject):
    """Calls functions in a thread in the order in which they were given, and tells in the GUI thread how they ended.

    Python waits for its thread before it ends, so that what was begun is finished.
    """

    _woken = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="phaseguide project")
        self._open: list[Future[Any]] = []
        self._ended: deque[tuple[Future[Any], Done | None, Refused]] = deque()
        self._woken.connect(self._deliver)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and everything was told."""
        return not self._open

    def do(self, function: Callable[[], Any], done: Done | None, failed: Refused) -> None:
        """Call a function in the thread, then ``done`` with what it returns or ``failed`` with its error."""
        future = self._pool.submit(function)
        self._open.append(future)

        def tell(ended: Future[Any]) -> None:
            self._ended.append((ended, done, failed))
            with suppress(RuntimeError):  # the Qt object is being destroyed
                self._woken.emit()

        future.add_done_callback(tell)

    def wait(self, within_s: float) -> bool:
        """Block until everything is done and told, at most so long; return whether it is."""
        end = time.monotonic() + within_s
        while self._open:
            done, _ = wait(self._open, max(end - time.monotonic(), 0.0), return_when=FIRST_COMPLETED)
            if not done:
                return False
            self._deliver()
        return True

    def _deliver(self) -> None:
        while self._ended:
            future, done, failed = self._ended.popleft()
            self._open.remove(future)
            error = future.exception()
            if isinstance(error, Exception):
                failed(as_user_error(error))
            elif done is not None:
                done(future.result())
