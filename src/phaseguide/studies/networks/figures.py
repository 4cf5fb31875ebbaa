"""Figures of networks: scores with their spread, condition by condition, drawn without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phaseguide.plain_text import visible
from phaseguide.studies.networks.sam_base import marked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

KINDS: dict[tuple[str, str | None], tuple[str, str, str]] = {
    ("none", None): ("no ratio", "o", "#0072b2"),
    ("oracle", "matched"): ("true ratio, matched", "s", "#009e73"),
    ("oracle", "conditioned"): ("true ratio, conditioned", "^", "#e69f00"),
    ("oracle", "both"): ("true ratio, both", "D", "#d55e00"),
}
"""Which rows are drawn, by source of the ratio and where it acts: words, marker, colour."""


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with axes, sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[list[Axes]] = figure.subplots(rows, columns, squeeze=False).tolist()
    return figure, axes


def conditions_figure(tables: Mapping[str, Sequence[Row]], title: str) -> Figure | None:
    """Draw Dice and composition error of the conditions, a row of axes for each data set; None without networks."""
    tables = {name: [row for row in rows if row["networks"]] for name, rows in tables.items()}
    tables = {name: rows for name, rows in tables.items() if rows}
    if not tables:
        return None
    most = max(len({row["condition"] for row in rows}) for rows in tables.values())
    figure, axes = new_figure(len(tables), 2, 11, len(tables) * (1.6 + 0.32 * most) + 0.8)
    for line, (name, rows) in zip(axes, tables.items(), strict=True):
        labels = {row["condition"]: visible(marked(row["condition"], row["what"])) for row in rows}
        conditions = list(labels)
        for axis, metric, scale, words in (
            (line[0], "dice_mean", 100, "Dice, % (mean of phases, pooled)"),
            (line[1], "fraction_mae_pp", 1, "composition error, percentage points"),
        ):
            _points(axis, rows, conditions, metric, scale)
            axis.set_xlabel(words)
        line[0].set_yticks(range(len(conditions)), list(labels.values()))
        line[1].set_yticks(range(len(conditions)), [""] * len(conditions))
        line[0].set_title(visible(name), loc="left", fontsize=10, parse_math=False)
    handles, words_of = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, words_of, loc="outside lower center", ncols=len(KINDS), frameon=False)
    figure.suptitle(f"{title} (bars: standard deviation over splits and seeds)", fontsize=11)
    return figure


def _points(axis: Axes, rows: Sequence[Row], conditions: Sequence[str], metric: str, scale: float) -> None:
    for number, ((source, mode), (words, marker, colour)) in enumerate(KINDS.items()):
        found = [r for r in rows if (r["ratio"], r["mode"]) == (source, mode) and r["scores"][metric]]
        shift = 0.15 * (number - (len(KINDS) - 1) / 2)
        axis.errorbar(
            [scale * row["scores"][metric]["mean"] for row in found],
            [conditions.index(row["condition"]) + shift for row in found],
            xerr=[scale * row["scores"][metric]["std"] for row in found],
            fmt=marker,
            color=colour,
            markersize=5,
            capsize=2,
            label=words,
        )
    axis.set_ylim(len(conditions) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)


def curves(
    axis: Axes,
    lines: Mapping[str, Sequence[tuple[float, float, float]]],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
) -> None:
    """Draw lines of (x, mean, deviation) by name, with bands of the deviation."""
    for number, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        xs, means, deviations = (list(values) for values in zip(*points, strict=True))
        colour = f"C{number % 10}"
        axis.plot(xs, means, marker="o", markersize=4, color=colour, label=visible(name))
        low, high = zip(*((m - d, m + d) for m, d in zip(means, deviations, strict=True)), strict=True)
        axis.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
    if logarithmic:
        axis.set_xscale("log", base=2)
        ticks = sorted({point[0] for points in lines.values() for point in points})
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.3)
