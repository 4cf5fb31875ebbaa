"""While a dock is open, cyclic garbage is collected in the GUI thread and in no other.

Python collects it in whichever thread needs memory next. With a layer that was removed or a window that was closed go
objects of Qt and OpenGL; when a worker frees them while the window draws, the process crashes within the driver
(napari issue 1029).
"""

from __future__ import annotations

import gc
import time

from qtpy.QtCore import QCoreApplication, QObject, QTimer

EVERY_MS = 200
ALL_EVERY_S = 30.0
"""A look at all objects takes a third of a second."""

_collectors: list[Collector] = []


def collect_here(dock: QObject) -> None:
    """Collect garbage in this thread alone as long as an object lives; for the GUI thread."""
    if not _collectors:
        _collectors.append(Collector())
    _collectors[0].join(dock)


def collect_anywhere(dock: QObject) -> None:
    """Say that an object needs it no more, though it still lives."""
    if _collectors:
        _collectors[0].leave(id(dock))


class Collector(QObject):
    """Takes the place of Python's automatic collection while anybody needs that."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: set[int] = set()
        self._was_on = False
        self._looked_at_all = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.collect)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.end)

    def join(self, one: QObject) -> None:
        """Begin, if this is the first that needs it."""
        if not self._waiting:
            self._was_on, self._looked_at_all = gc.isenabled(), time.monotonic()
            gc.disable()
            self._timer.start()
        key = id(one)
        self._waiting.add(key)
        one.destroyed.connect(lambda: self.leave(key))

    def leave(self, key: int) -> None:
        """End, if this was the last."""
        if key in self._waiting:
            self._waiting.discard(key)
            if not self._waiting:
                self.end()

    def end(self) -> None:
        """Leave it to Python again."""
        self._waiting.clear()
        self._timer.stop()
        if self._was_on:
            gc.enable()

    def collect(self) -> None:
        """Do what Python would do by itself, by its own thresholds; old objects now and then."""
        counts, limits = gc.get_count(), gc.get_threshold()
        due = max((age for age in range(3) if counts[age] > limits[age] > 0), default=-1)
        if due == 2:
            if time.monotonic() - self._looked_at_all < ALL_EVERY_S:
                due = 1
            else:
                self._looked_at_all = time.monotonic()
        if due >= 0:
            gc.collect(due)
