"""Studies that compare conditions: every data set's networks trained and judged, then rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished
from phaseguide.studies.networks.figures import conditions_figure
from phaseguide.studies.networks.kept import Judged
from phaseguide.studies.networks.published import published_rows, published_table
from phaseguide.studies.networks.recipes import trained_how
from phaseguide.studies.networks.run import Starts, judged_networks, passed
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.summary import rows_of
from phaseguide.studies.networks.tables import phase_table, score_table
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.report import section
from phaseguide.studies.study import Given, Numbers


@dataclass(frozen=True)
class Comparison:
    """What is compared on each data set.

    Attributes
    ----------
    conditions : mapping of str to Condition
    cannot : mapping of str to str
        Conditions that cannot be run, with the reason.
    bases : mapping of str to str or None
        Which condition each is held against; None for its unguided twin.
    starts : callable or None
        Makes the networks that others begin as.
    """

    conditions: Mapping[str, Condition]
    cannot: Mapping[str, str] = field(default_factory=dict)
    bases: Mapping[str, str] | None = None
    starts: Starts | None = None


def check_varied(given: Given, name: str, varied: Collection[str]) -> None:
    """Raise `PhaseguideError` for a setting over all conditions of which a study compares values."""
    if wrong := sorted(set(varied) & set(given.settings)):
        raise PhaseguideError(
            f"--set {wrong[0]}: is what study {name} compares. Choose among it by --conditions."
        )


def judge_all(given: Given, data: StudyData, comparison: Comparison) -> Iterator[Any]:
    """Train and judge the networks of a comparison on one data set."""
    runnable = {name: c for name, c in comparison.conditions.items() if name not in comparison.cannot}
    return judged_networks(given, data, runnable, comparison.starts)


def numbers_of(
    given: Given, data: StudyData, comparison: Comparison, results: Sequence[Judged]
) -> dict[str, Any]:
    """Return what a report holds of one data set."""
    rows = rows_of(results, comparison.conditions, comparison.bases)
    return {
        "phases": list(data.scheme.names),
        "splits": list(given.splits(data)),
        "rows": [_why(row, comparison.cannot) for row in rows],
        "published": published_rows(data),
        "settings": {name: dict(c.settings) for name, c in comparison.conditions.items()},
    }


def compare(
    given: Given,
    comparison_of: Callable[[StudyData], Comparison],
    more: Callable[[StudyData, Sequence[Judged]], Mapping[str, Any]] | None = None,
) -> Iterator[Any]:
    """Run a comparison on every data set; the result is numbers with the rows of each under ``data``.

    ``more`` adds to the numbers of a data set from its judged networks.
    """
    found: dict[str, Any] = {}
    for data in given.data:
        comparison = comparison_of(data)
        results: list[Judged] = yield from passed(judge_all(given, data, comparison))
        added = {} if more is None else more(data, results)
        found[data.name] = {**numbers_of(given, data, comparison, results), **added}
    yield Finished({**given.told, "data": found})


def _why(row: dict[str, Any], cannot: Mapping[str, str]) -> dict[str, Any]:
    why = cannot.get(row["condition"])
    return row if row["networks"] or why is None else {**row, "why": f"not run: {why}"}


def comparison_lines(numbers: Numbers) -> list[str]:
    """Return the tables of every data set: scores, scores by phase, published numbers."""
    lines = [
        *trained_how(numbers),
        "",
        "Scores are pooled over the pixels of "
        "a network's test images: mean ± standard deviation over networks (splits and seeds). Differences are image by "
        "image to the base, which has no ratio, with a 95 % t interval and Wilcoxon's p. True ratios are those of the "
        "test labels (an oracle); an expert is simulated, by an error of 10 % on them that is stated.",
    ]
    for name, one in numbers["data"].items():
        lines += section(f"{name}, tested on {', '.join(one['splits'])}", score_table(one["rows"]))
        lines += section(f"{name}: phases", phase_table(one["rows"]))
        lines += section(f"{name}: published", published_table(one["published"]))
    return lines


def comparison_figure(title: str) -> Callable[[Numbers], Any]:
    """Return the figure of a comparison under a title."""
    return lambda numbers: conditions_figure({n: one["rows"] for n, one in numbers["data"].items()}, title)
