"""How many ranks the adapters of Segment Anything need, for all images and by magnification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from phaseguide.studies.named.series import series_figure, series_table
from phaseguide.studies.networks.comparison import Comparison, check_varied, compare, comparison_lines
from phaseguide.studies.networks.groups import FORMAT, group_rows, group_table, read_groups
from phaseguide.studies.networks.kept import Judged
from phaseguide.studies.networks.recipes import recipe, steps
from phaseguide.studies.networks.sam_base import SamBase, base_for
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.report import section
from phaseguide.studies.study import Given, Numbers, Size, Study

RANKS = (4, 16, 64, 256, 512, 1024, 2048)
SMALL_RANKS = RANKS[:3]
GUIDANCES = ("none", "plm")
CONDITIONS = tuple(f"{guidance}-{rank}" for rank in RANKS for guidance in GUIDANCES)


def conditions_of(size: Size, base: SamBase) -> dict[str, Condition]:
    """Return the conditions on a base."""
    return {
        f"{guidance}-{rank}": Condition(
            f"rank {rank}, {'unguided' if guidance == 'none' else guidance}{base.note}",
            {**recipe(size, "sam", guidance), **base.settings(rank)},
            "" if guidance == "none" else f"none-{rank}",
            steps=steps(size),
        )
        for rank in RANKS
        for guidance in GUIDANCES
    }


def run(given: Given) -> Iterator[Any]:
    """Train and judge a network for each rank on every data set; scores by group where there are groups."""
    check_varied(given, "rank", ("architecture", "adapter", "guidance"))
    groups = {data.name: read_groups(data) for data in given.data}
    large = () if given.size == "full" else RANKS[len(SMALL_RANKS) :]
    cannot = {f"{guidance}-{rank}": "at full size only" for rank in large for guidance in GUIDANCES}

    def more(data: StudyData, results: Sequence[Judged]) -> Mapping[str, Any]:
        known = groups[data.name]
        return {"groups": None if known is None else group_rows(results, comparison.conditions, known)}

    with base_for(given, [name for name in CONDITIONS if name not in cannot]) as base:
        comparison = Comparison(conditions_of(given.size, base), cannot)
        yield from compare(given, lambda data: comparison, more)


def lines(numbers: Numbers) -> list[str]:
    """Return the tables: Dice by rank, scores by group, all scores."""
    found = series_table(numbers, "rank", RANKS, GUIDANCES)
    for name, one in numbers["data"].items():
        if one["groups"] is None:
            found += [
                "",
                f"{name}: not told by magnification, since the folder has no groups.csv ({FORMAT}).",
            ]
        else:
            found += section(f"{name}: by group", group_table(one["groups"]))
    return [*found, "", *comparison_lines(numbers)]


STUDY = Study(
    name="rank",
    question="Which rank of adapters does Segment Anything need, and does it depend on the magnification?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=series_figure("Dice by rank of the adapters", "rank", GUIDANCES),
)
