"""Saves what the user paints soon after each stroke, in a thread, and at once where a window closes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from phaseguide.widgets.qt.dock import quiet_timer
from phaseguide.widgets.qt.serial_worker import SerialWorker

QUIET_MS = 300
"""A stroke is saved when so long nothing was painted ..."""

LONGEST_S = 2.0
"""... but whoever paints without a rest is saved at least so often."""

AGAIN_MS = 10_000
"""What could not be written is tried again after so long."""

Take = Callable[[], Any]
"""Copies the state of a key; called in the GUI thread."""


class Autosave(QObject):
    """Writes the newest state of several things, known by a key.

    What cannot be written stays waiting and is tried again. ``saved`` tells a key; ``failed`` a key and
    the error, once until it succeeds; ``recovered`` a key that succeeded after it had failed; ``left_out`` a
    key and a sentence on what of it was not written.

    Parameters
    ----------
    write : callable
        Writes the state of a key, and returns what it left out; called in the worker's thread.
    """

    saved = Signal(str)
    failed = Signal(str, object)
    recovered = Signal(str)
    left_out = Signal(str, str)

    def __init__(
        self, write: Callable[[str, Any], str], worker: SerialWorker, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._write, self._worker = write, worker
        self._unsaved: dict[str, Take] = {}
        self._due: set[str] = set()
        self._newest: dict[str, tuple[Take, Any]] = {}  # handed to the thread, and not begun yet
        self._handing_over = threading.Lock()
        self._since = 0.0
        self._told: dict[str, str] = {}  # why it could not be written
        self._left: dict[str, str] = {}
        self._timer = quiet_timer(self, QUIET_MS, self.save)

    @property
    def pending(self) -> bool:
        """Whether something is not on the disk yet."""
        return bool(self._unsaved) or not self._worker.idle

    @property
    def failing(self) -> bool:
        """Whether something could not be written, and was not written since."""
        return bool(self._told)

    def reasons(self) -> dict[str, str]:
        """Why what is not on the disk could not be written; nothing of what is still being written."""
        return {key: self._told[key] for key in self._unsaved if key in self._told}

    def changed(self, key: str, take: Take) -> None:
        """Save a key soon; ``take`` then copies its state, in the GUI thread."""
        now = time.monotonic()
        if not self._due:
            self._since = now
        self._unsaved[key] = take
        self._due.add(key)
        if now - self._since < LONGEST_S or not self._timer.isActive():
            self._timer.start(QUIET_MS)

    def save(self) -> None:
        """Hand everything that waits to the thread."""
        due, self._due = self._due, set()
        for key in sorted(due):
            self._save(key)

    def flush(self, within_s: float) -> bool:
        """Block until all is written, at most so long; False if something is not on the disk then."""
        self._timer.stop()
        self.save()
        return self._worker.wait(within_s) and not self._unsaved

    def unsaved(self) -> dict[str, Any]:
        """The newest states of what is not known to be on the disk."""
        return {key: take() for key, take in self._unsaved.items()}

    def save_again(self) -> None:
        """Hand all that is not on the disk to the thread once more, for an end that nobody waits for."""
        self._timer.stop()
        self._due = set(self._unsaved)
        self.save()

    def drop(self, key: str) -> None:
        """Do not write a key any more: what it has to say was written otherwise."""
        self._unsaved.pop(key, None)
        self._due.discard(key)
        self._told.pop(key, None)

    def forget(self) -> None:
        """Drop what waits, for a project that is no longer there."""
        self._timer.stop()
        self._unsaved.clear()
        self._due.clear()
        self._told.clear()
        self._left.clear()

    def _save(self, key: str) -> None:
        take = self._unsaved.get(key)
        if take is None:
            return
        state = take()
        with self._handing_over:
            # While the thread is held up, the newest state takes the place of one that it has not begun to write.
            waits = key in self._newest
            self._newest[key] = (take, state)
        if not waits:
            self._worker.do(
                lambda: self._write_newest(key),
                lambda written: self._on_written(key, *written),
                lambda error: self._on_refused(key, error),
            )

    def _write_newest(self, key: str) -> tuple[Take, str]:
        with self._handing_over:
            take, state = self._newest.pop(key)
        return take, self._write(key, state)

    def _on_written(self, key: str, take: Take, left: str) -> None:
        if self._unsaved.get(key) is take:
            del self._unsaved[key]
        if key in self._told:
            del self._told[key]
            self.recovered.emit(key)
        if left != self._left.get(key, ""):
            self._left[key] = left
            self.left_out.emit(key, left)
        self.saved.emit(key)

    def _on_refused(self, key: str, error: BaseException) -> None:
        if key not in self._unsaved:
            return
        self._due.add(key)
        self._timer.start(AGAIN_MS)
        if key not in self._told:
            self.failed.emit(key, error)
        self._told[key] = str(error)
