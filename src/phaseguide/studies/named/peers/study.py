"""The study ``peers`` by name: what it asks, how it runs, and how it reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phaseguide.events import Finished
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.studies.named.peers.figure import to_figure
from phaseguide.studies.named.peers.matrix import all_judged
from phaseguide.studies.named.peers.methods import CONDITIONS
from phaseguide.studies.named.peers.report import to_lines
from phaseguide.studies.named.peers.summary import summarise
from phaseguide.studies.study import Given, Study


def run(given: Given) -> Iterator[Any]:
    """Let every method learn the same strokes; the result is the numbers of the report."""
    for event in all_judged(given):
        if isinstance(event, Finished):
            yield Finished(summarise(event.result, given.size))
        else:
            yield event


PEERS = Study(
    name="peers",
    question="From the same strokes on the same images, how well do a random forest, boosted trees with a "
    "volume-fraction term, a plain network and ours segment, and what is a ratio worth to each?",
    conditions=tuple(CONDITIONS),
    run=run,
    lines=to_lines,
    figure=to_figure,
    config=FinetuneConfig,
)
