"""The small typed events that long work yields: the command line draws them, a widget shows them.

Every long function of the core is a generator of these. It can be stopped between any two
(``generator.close()``), and its last event is one of the ``Finished`` kind that carries the result.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """Work done so far.

    Attributes
    ----------
    stage : str
        What is being done, in words a user reads ("Encoding tiles").
    done, total : int
        Steps done and steps in all; ``total`` 0 means unknown.
    seconds_left : float or None
        Time left, where it can be told.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class Notice:
    """Something the user should know although the work goes on (a fall-back, a doubt)."""

    message: str


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The last event: the work is complete and ``result`` holds its outcome."""

    result: T


Event = Progress | Notice | Finished[T]

Stages = Generator[Any, None, None]


@dataclass(frozen=True)
class Rest:
    """Yielded by stages to wait: what follows is done only if no newer wish comes within so many seconds."""

    seconds: float
