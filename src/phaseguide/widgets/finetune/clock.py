"""Sentences of the step Teach: what a run will take, and where it stands."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from phaseguide.events import Notice, Progress
from phaseguide.widgets.qt.progress_bar import duration

if TYPE_CHECKING:
    from phaseguide.finetuning.config import FinetuneConfig
    from phaseguide.finetuning.cost_estimate import Plan
    from phaseguide.training.events import EpochDone


def describe_plan(plan: Plan, config: FinetuneConfig) -> str:
    """Say what a run will take, and what judges it."""
    limit = config.minutes * 60
    seconds = limit if limit else plan.seconds
    until = "by the clock" if limit else "at most, less where it stops improving" if config.patience else ""
    memory = plan.memory_bytes / 1e9
    parts = [
        f"About {duration(seconds)}{' ' + until if until else ''}, {memory:.1f} GB of memory; {plan.crops} crops.",
        f"Tested on {plan.validation}.",
        *plan.notes,
    ]
    return " ".join(parts)


class Clock:
    """Adds the time left to the reports of a run, for the progress bar."""

    def __init__(self) -> None:
        self._limit = 0.0
        self.begin(0.0)

    def begin(self, limit: float) -> None:
        """Begin a run; ``limit`` in seconds, 0 for none."""
        self._limit = limit
        self._first: tuple[float, int] | None = None
        self._paused_at: float | None = None
        self._epoch: tuple[float, float] | None = None

    def pause(self) -> None:
        """Stand still."""
        self._paused_at = time.monotonic()

    def go_on(self) -> None:
        """Run again; the time that it stood still does not count."""
        if self._paused_at is not None and self._first is not None:
            waited = time.monotonic() - self._paused_at
            self._first = (self._first[0] + waited, self._first[1])
            self._epoch = None
        self._paused_at = None

    def epoch(self, done: EpochDone) -> None:
        """Take the time left that the run itself reckons with."""
        self._epoch = (time.monotonic(), done.seconds_left)

    def step(self, event: Progress) -> Progress:
        """Return a report with the time left."""
        if not event.stage.startswith("Learning"):
            return event if event.total > 1 else replace(event, done=0, total=0)
        now = time.monotonic()
        if self._first is None:
            self._first = (now, event.done)
        begun, first = self._first
        if self._limit:
            spent = min(now - begun, self._limit)
            text = event.stage.partition(" of ")[0]  # the number of epochs of a run by the clock is no number
            return Progress(f"{text})", round(1000 * spent), round(1000 * self._limit), self._limit - spent)
        left: float | None = None
        if self._epoch is not None:
            left = max(0.0, self._epoch[1] - (now - self._epoch[0]))
        elif event.done > first:
            left = (now - begun) / (event.done - first) * (event.total - event.done)
        return replace(event, total=max(1, event.total), seconds_left=left)


def is_warning(notice: Notice) -> bool:
    """Whether a notice still matters when a run is over: a fall-back, and not how it went on."""
    return not notice.message.startswith("Going on after epoch")
