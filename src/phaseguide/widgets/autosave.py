"""Saves what the user paints soon after each stroke, in a thread, and at once where a window closes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from phaseguide.widgets.serial_worker import SerialWorker

QUIET_MS = 300
"""A stroke is saved when so long nothing was painted ..."""

LONGEST_S = 2.0
"""... but whoever paints without a rest is saved at least so often."""

AGAIN_MS = 10_000
"""What could not be written is tried again after so long."""

Take = Callable[[], NDArray[np.uint8]]


class Autosave(QObject):
    """Writes the newest state of several things, known by a key.

    What cannot be written stays waiting and is tried again. ``saved`` tells a key; ``failed`` a key and
    the error, once until it succeeds.

    Parameters
    ----------
    write : callable
        Writes the state of a key; called in the worker's thread.
    worker : SerialWorker
    parent : QObject, optional
    """

    saved = Signal(str)
    failed = Signal(str, object)

    def __init__(
        self,
        write: Callable[[str, NDArray[np.uint8]], None],
        worker: SerialWorker,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._write, self._worker = write, worker
        self._waiting: dict[str, Take] = {}
        self._since = 0.0
        self._told: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.save)

    @property
    def pending(self) -> bool:
        """Whether something is not on the disk yet."""
        return bool(self._waiting) or not self._worker.idle

    def changed(self, key: str, take: Take) -> None:
        """Save a key soon; ``take`` then copies its state, in the GUI thread."""
        now = time.monotonic()
        if not self._waiting:
            self._since = now
        self._waiting[key] = take
        if now - self._since < LONGEST_S or not self._timer.isActive():
            self._timer.start(QUIET_MS)

    def save(self) -> None:
        """Hand everything that waits to the thread."""
        waiting, self._waiting = self._waiting, {}
        for key, take in waiting.items():
            self._save(key, take)

    def flush(self) -> bool:
        """Block until all is written; False if something could not be."""
        self._timer.stop()
        self.save()
        self._worker.wait()
        return not self._waiting

    def drop(self, key: str) -> None:
        """Do not write a key any more: what it has to say was written otherwise."""
        self._waiting.pop(key, None)
        self._told.discard(key)

    def forget(self) -> None:
        """Drop what waits, for a project that is no longer there."""
        self._timer.stop()
        self._waiting.clear()
        self._told.clear()

    def _save(self, key: str, take: Take) -> None:
        state = take()

        def done(_: Any) -> None:
            self._told.discard(key)
            self.saved.emit(key)

        def refused(error: BaseException) -> None:
            self._waiting.setdefault(key, take)
            self._timer.start(AGAIN_MS)
            if key not in self._told:
                self._told.add(key)
                self.failed.emit(key, error)

        self._worker.do(lambda: self._write(key, state), done, refused)
