"""The progress bar with its stage, how much is done and the time left; the same in napari's activity dock."""

from __future__ import annotations

import time

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar

from phaseguide.events import Progress
from phaseguide.widgets.qt.activity import Activity

TICK_MS = 500
MOST_COUNTED = 1000
"""Larger numbers of steps tell a reader nothing: they are pixels, bytes or milliseconds."""


class ProgressLine(QProgressBar):
    """Shows the last `Progress`; between two the time left runs down by itself.

    Parameters
    ----------
    title : str
        What the work is called in napari's activity dock, where there is other work too.
    """

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.setRange(0, 1000)
        self.setTextVisible(True)
        self.activity = Activity(title)
        self._shown = Progress("", 0, 0)
        self._since = self._begun = 0.0
        self._first = (0.0, 0)  # when the first step of as many was shown, and which it was
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        # Bound to the line and not to this object, which is half gone when it is destroyed.
        self.destroyed.connect(self.activity.end)
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
        before, self._shown, self._since = self._shown, progress, time.monotonic()
        if progress.total != before.total or progress.done < before.done:
            self._first = (self._since, progress.done)
        self._draw()

    def end(self) -> None:
        """Hide the bar."""
        self._timer.stop()
        self.activity.end()
        self.hide()

    @property
    def seconds(self) -> float:
        """Time since `begin`."""
        return time.monotonic() - self._begun

    def _tick(self) -> None:
        self._draw()
        self.activity.show(self._shown.stage, ", ".join(self._state()), self._fraction())

    def _draw(self) -> None:
        self.setValue(round(1000 * (self._fraction() or 0.0)))
        self.setFormat(", ".join([self._shown.stage, *self._state()]))

    def _fraction(self) -> float | None:
        shown, expected = self._shown, self._shown.seconds_left
        if shown.fraction is None and expected:
            return min(0.95, (time.monotonic() - self._since) / expected)
        return shown.fraction

    def _state(self) -> list[str]:
        """How many of how many steps are done, and the time left, as far as they are known."""
        shown, waited = self._shown, time.monotonic() - self._since
        expected, said = self._expected(), []
        if 1 < shown.total <= MOST_COUNTED and " of " not in shown.stage:
            said.append(f"{shown.done} of {shown.total}")
        left = None if expected is None else expected - waited
        if left is not None and left > 0.5:
            said.append(f"about {duration(left)} left")
        elif waited >= 2:
            said.append(f"{duration(waited)} so far")
        return said

    def _expected(self) -> float | None:
        """Seconds from the last step to the end: as it was told, or by the pace of the steps so far."""
        shown, (since, first) = self._shown, self._first
        if shown.seconds_left is not None or shown.done <= first:
            return shown.seconds_left
        return (self._since - since) * (shown.total - shown.done) / (shown.done - first)


def duration(seconds: float) -> str:
    """Write a time as people say it: ``8 s``, ``3 min``, ``1 h 5 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
