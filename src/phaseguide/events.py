"""The small typed events that long work yields: the command line draws them, a widget shows them.

Every long function of the core is a generator of these. It can be stopped between any two
(``generator.close()``), and its last event is one of the ``Finished`` kind that carries the result.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
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
    seconds_left : float, optional
        How long it will take, where that can be told better than from the steps so far.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None

    @property
    def fraction(self) -> float | None:
        """The part that is done, in [0, 1]; None where that is not known."""
        return self.done / self.total if self.total else None


@dataclass(frozen=True)
class Notice:
    """Something the user should know although the work goes on (a fall-back, a doubt).

    Attributes
    ----------
    message : str
        A sentence.
    where : str
        Name of the field or plane that it is about; "" if it is about all.
    """

    message: str
    where: str = ""

    @property
    def text(self) -> str:
        """The sentence, with the name of what it is about before it."""
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The last event: the work is complete and ``result`` holds its outcome."""

    result: T


Event = Progress | Notice | Finished[T]

Stages = Generator[Any, None, None]


@dataclass(frozen=True)
class Settle:
    """Yielded by stages to wait: what follows is done only if no newer work comes within so many seconds."""

    seconds: float


def run_to_end(events: Iterator[Any]) -> Any:
    """Run a generator of events to its end, for scripts and tests.

    Parameters
    ----------
    events : iterator of Progress, Notice, Finished ...
        What `Session.segment` and every other long function returns.

    Returns
    -------
    object
        The ``result`` of the event `Finished`; for `Session.segment` a `Segmentation`. None if there was none.
    """
    result = None
    for event in events:
        if isinstance(event, Finished):
            result = event.result
    return result
