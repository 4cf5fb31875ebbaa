"""Studies along a number (images, epochs, rank): its table, and curves of Dice and composition error over it.

The names of their conditions end in the number, as ``plm-16``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from phaseguide.studies.networks.figures import curves, new_figure
from phaseguide.studies.networks.sam_base import marked
from phaseguide.studies.networks.tables import NOT_RUN, with_spread
from phaseguide.studies.report import plain_table, section
from phaseguide.studies.study import Numbers

Row = Mapping[str, Any]

ACTS: tuple[tuple[str, str | None, str], ...] = (
    ("none", None, "no ratio"),
    ("oracle", "matched", "true ratio, matched"),
    ("oracle", "conditioned", "true ratio, conditioned"),
)
"""Which rows a series shows: source of the ratio, where it acts, in words."""


def series_table(numbers: Numbers, what: str, values: Sequence[int], kinds: Sequence[str]) -> list[str]:
    """Return a table of Dice, %, for each data set: a line for each kind and ratio, a column for each value."""
    lines: list[str] = []
    for name, one in numbers["data"].items():
        body = []
        for kind in kinds:
            for source, mode, words in ACTS:
                found = {v: find(one["rows"], f"{kind}-{v}", source, mode) for v in values}
                if any(row is not None for row in found.values()):
                    cells = [
                        with_spread(row["scores"]["dice_mean"]) if row else NOT_RUN for row in found.values()
                    ]
                    body.append([_kind(kind, one["rows"]), words, *cells])
        titles = ["", "ratio", *map(str, values)]
        lines += section(f"{name}: Dice, %, by {what}", plain_table(titles, body) if body else [])
    return lines


def series_figure(title: str, x: str, kinds: Sequence[str]) -> Callable[[Numbers], Any]:
    """Return the figure of a series, a row of axes for each data set; None without networks."""

    def figure(numbers: Numbers) -> Any:
        tables = {n: d["rows"] for n, d in numbers["data"].items() if any(r["networks"] for r in d["rows"])}
        if not tables:
            return None
        drawn, axes = new_figure(len(tables), 2, 11, 3.6 * len(tables) + 1.2)
        for line, (name, rows) in zip(axes, tables.items(), strict=True):
            for axis, metric, scale, y in (
                (line[0], "dice_mean", 100, "Dice, %"),
                (line[1], "fraction_mae_pp", 1, "composition error, pp"),
            ):
                curves(axis, _lines(rows, kinds, metric, scale), x=x, y=y, logarithmic=True)
            line[0].set_title(name, loc="left", fontsize=10, parse_math=False)
        handles, labels = axes[0][0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)
        drawn.suptitle(f"{title} (bands: standard deviation over splits and seeds)", fontsize=11)
        return drawn

    return figure


def find(rows: Iterable[Row], condition: str, source: str, mode: str | None) -> Row | None:
    """Return the row of a condition and ratio; None where it was not run."""
    wanted = (condition, source, mode)
    return next(
        (r for r in rows if r["networks"] and (r["condition"], r["ratio"], r["mode"]) == wanted), None
    )


def _lines(rows: Sequence[Row], kinds: Sequence[str], metric: str, scale: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in kinds:
        for source, mode, words in ACTS:
            points = []
            for row in rows:
                head, _, number = row["condition"].rpartition("-")
                known = row["networks"] and head == kind and (row["ratio"], row["mode"]) == (source, mode)
                if known and (score := row["scores"][metric]):
                    points.append((float(number), scale * score["mean"], scale * score["std"]))
            if points:
                found[f"{_kind(kind, rows)}, {words}"] = sorted(points)
    return found


def _kind(kind: str, rows: Sequence[Row]) -> str:
    """Name of a curve, marked where its conditions are."""
    return marked(kind, next(r["what"] for r in rows if r["condition"].rpartition("-")[0] == kind))
