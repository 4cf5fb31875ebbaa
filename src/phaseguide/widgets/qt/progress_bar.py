"""The progress bar with its stage and the time left."""

from __future__ import annotations

import time

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar

from phaseguide.events import Progress


class ProgressLine(QProgressBar):
    """Shows the last `Progress`; between two the time left runs down by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, 1000)
        self.setTextVisible(True)
        self._shown = Progress("", 0, 0)
        self._since = self._begun = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(500)
        self._timer.timeout.connect(self._draw)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # what stands around it does not move
        self.setSizePolicy(policy)
        self.hide()

    def begin(self) -> None:
        """Show an empty bar."""
        self._begun = time.monotonic()
        self.show_step(Progress("Starting", 0, 0))
        self.show()
        self._timer.start()

    def show_step(self, progress: Progress) -> None:
        """Show where the work stands."""
        self._shown, self._since = progress, time.monotonic()
        self._draw()

    def end(self) -> None:
        """Hide the bar."""
        self._timer.stop()
        self.hide()

    @property
    def seconds(self) -> float:
        """Time since `begin`."""
        return time.monotonic() - self._begun

    def _draw(self) -> None:
        shown, waited = self._shown, time.monotonic() - self._since
        expected = shown.seconds_left
        fraction = shown.done / shown.total if shown.total else None
        left = None if expected is None else expected - waited
        if fraction is None and expected:
            fraction = min(0.95, waited / expected)
        self.setValue(round(1000 * (fraction or 0.0)))
        if left is not None and left > 0.5:
            tail = f", about {duration(left)} left"
        elif waited >= 2:
            tail = f", {duration(waited)} so far"
        else:
            tail = ""
        self.setFormat(f"{shown.stage}{tail}")


def duration(seconds: float) -> str:
    """Write a time as people say it: ``8 s``, ``3 min``, ``1 h 5 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
