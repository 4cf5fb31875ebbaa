"""The study ``peers`` by name: what it asks, how it runs, and how it reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from phaseguide.events import Finished
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.studies.named.peers.conditions import WHAT
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(given: Given) -> Iterator[Any]:
    """Let every method learn the same strokes; the result is the numbers of the report."""
    from phaseguide.studies.named.peers.matrix import all_judged
    from phaseguide.studies.named.peers.summary import summarise

    for event in all_judged(given):
        if isinstance(event, Finished):
            yield Finished(summarise(event.result, given.told))
        else:
            yield event


def lines(numbers: Numbers) -> list[str]:
    """Return the tables."""
    from phaseguide.studies.named.peers.report import to_lines

    return to_lines(numbers)


def figure(numbers: Numbers) -> Figure | None:
    """Draw Dice by method and ratio."""
    from phaseguide.studies.named.peers.figure import to_figure

    return to_figure(numbers)


STUDY = Study(
    name="peers",
    question="From the same strokes on the same images, how well do a random forest, boosted trees with a "
    "volume-fraction term, a plain network and ours segment, and what is a ratio worth to each?",
    conditions=tuple(WHAT),
    run=run,
    lines=lines,
    figure=figure,
    config=FinetuneConfig,
)
