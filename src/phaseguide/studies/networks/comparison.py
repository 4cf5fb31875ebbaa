"""Studies that compare conditions: every data set's networks trained and judged, then rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phaseguide.events import Finished
from phaseguide.studies.networks.figures import conditions_figure
from phaseguide.studies.networks.published import published_rows, published_table
from phaseguide.studies.networks.run import Starts, judged_networks
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.summary import rows_of
from phaseguide.studies.networks.tables import phase_table, score_table
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.report import section
from phaseguide.studies.study import Given, Numbers


@dataclass(frozen=True)
class Comparison:
    """What is compared on each data set: conditions, reasons for those that cannot be run, and a named baseline."""

    conditions: Mapping[str, Condition]
    baseline: str = ""
    cannot: Mapping[str, str] | None = None
    starts: Starts | None = None


def compare(given: Given, comparison_of: Callable[[StudyData], Comparison]) -> Iterator[Any]:
    """Run a comparison on every data set; the result is numbers with the rows of each under ``data``."""
    found: dict[str, Any] = {}
    for data in given.data:
        comparison = comparison_of(data)
        cannot = comparison.cannot or {}
        conditions = {name: c for name, c in comparison.conditions.items() if name not in cannot}
        results: list[Any] = []
        for event in judged_networks(given, data, conditions, comparison.starts):
            if isinstance(event, Finished):
                results = event.result
            else:
                yield event
        rows = rows_of(results, comparison.conditions, comparison.baseline)
        found[data.name] = {
            "phases": list(data.scheme.names),
            "splits": list(given.splits(data)),
            "rows": [_why(row, cannot) for row in rows],
            "published": published_rows(data),
            "settings": {name: dict(c.settings) for name, c in comparison.conditions.items()},
        }
    yield Finished({"size": given.size, "seeds": list(given.seeds), "data": found})


def _why(row: dict[str, Any], cannot: Mapping[str, str]) -> dict[str, Any]:
    why = cannot.get(row["condition"])
    return row if row["networks"] or why is None else {**row, "why": f"not run: {why}"}


def comparison_lines(
    numbers: Numbers, *, against: str = "to_unguided", title: str = "unguided"
) -> list[str]:
    """Return the tables of every data set: scores, scores by phase, published numbers."""
    lines = [
        f"Size {numbers['size']}, seeds {', '.join(map(str, numbers['seeds']))}. Scores are pooled over the pixels of a "
        "network's test images: mean ± standard deviation over networks (splits and seeds). Differences are image by "
        "image, with a 95 % t interval and Wilcoxon's p. True ratios are those of the test labels (an oracle)."
    ]
    for name, one in numbers["data"].items():
        lines += section(f"{name}, tested on {', '.join(one['splits'])}", score_table(one["rows"], against=against, title=title))
        lines += section(f"{name}: phases", phase_table(one["rows"]))
        lines += section(f"{name}: published", published_table(one["published"]))
    return lines


def comparison_figure(title: str) -> Callable[[Numbers], Any]:
    """Return the figure of a comparison under a title."""
    return lambda numbers: conditions_figure({n: one["rows"] for n, one in numbers["data"].items()}, title)
