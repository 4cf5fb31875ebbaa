"""How the strengths of guidance, gamma and delta, move while a network learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from phaseguide.plain_text import visible
from phaseguide.studies.networks.comparison import Comparison, check_varied, compare, comparison_lines
from phaseguide.studies.networks.figures import curves, new_figure
from phaseguide.studies.networks.kept import Judged
from phaseguide.studies.networks.recipes import recipe
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.summary import networks_by_condition
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.report import plain_table, section
from phaseguide.studies.study import Given, Numbers, Size, Study

CONDITIONS = ("gauges-plm", "gauges-plm-from-features", "gauges-ccrm")
EVERY = 5
"""Epochs between lines of the table."""

PUBLISHED_END = {"gamma": 0.32, "delta": 0.78}
"""Where the publication's own network ended, from 0.5 and 0.5."""

SYMBOLS = {"gamma": "γ", "delta": "δ"}


def conditions_of(size: Size) -> dict[str, Condition]:
    """Return the conditions; in small windows do not overlap, so that there are as many epochs as published."""
    small = {"window_overlap": 0.0, "epochs": 40} if size == "small" else {}
    plm, ccrm = ({**recipe(size, "unet", guidance), **small} for guidance in ("plm", "ccrm"))
    features = {**plm["guidance_options"], "gamma": 1.0, "delta": 0.0}
    return {
        CONDITIONS[0]: Condition("plm, from γ 0.5 and δ 0.5 as published", plm),
        CONDITIONS[1]: Condition("plm, from γ 1 and δ 0", {**plm, "guidance_options": features}),
        CONDITIONS[2]: Condition("ccrm, from δ 0.5; it has no γ", ccrm),
    }


def run(given: Given) -> Iterator[Any]:
    """Train and judge the networks, and read their strengths after every epoch from their records."""
    check_varied(given, "gauges", ("guidance", "guidance_options"))
    comparison = Comparison(conditions_of(given.size))

    def more(data: StudyData, results: Sequence[Judged]) -> Mapping[str, Any]:
        return {"gauges": gauges_by_epoch(results)}

    yield from compare(given, lambda data: comparison, more)


def gauges_by_epoch(results: Sequence[Judged]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return by condition and scalar what it was after each epoch: mean and variance over networks.

    A module at several scales has a scalar at each, of which the mean counts. The variance is the sample's; None for a
    single network.
    """
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for condition, cells in networks_by_condition(results).items():
        epochs = max((len(judged["gauges"]) for judged in cells.values()), default=0)
        for scalar in SYMBOLS:
            lines = []
            for epoch in range(epochs):
                values = [
                    _mean(judged["gauges"][epoch], scalar)
                    for judged in cells.values()
                    if epoch < len(judged["gauges"])
                ]
                known = [value for value in values if value is not None]
                if known:
                    variance = float(np.var(known, ddof=1)) if len(known) > 1 else None
                    lines.append(
                        {
                            "epoch": epoch + 1,
                            "mean": float(np.mean(known)),
                            "variance": variance,
                            "networks": len(known),
                        }
                    )
            if lines:
                found.setdefault(condition, {})[scalar] = lines
    return found


def _mean(gauges: Mapping[str, float], scalar: str) -> float | None:
    values = [value for name, value in gauges.items() if name.rpartition(".")[2] == scalar]
    return float(np.mean(values)) if values else None


def lines(numbers: Numbers) -> list[str]:
    """Return the tables: strengths every five epochs, then scores."""
    ends = ", ".join(f"{SYMBOLS[name]} = {value:g}" for name, value in PUBLISHED_END.items())
    found = [
        f"Mean and variance over splits and seeds after an epoch. The published network ended at {ends} (slides of its "
        "authors; from 0.5 and 0.5, their own network and images, no spread told: not the same protocol)."
    ]
    for name, one in numbers["data"].items():
        found += section(f"{name}: strengths by epoch", _table(one["gauges"]))
    return [*found, "", *comparison_lines(numbers)]


def _table(gauges: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[str]:
    body = []
    for condition, scalars in gauges.items():
        for scalar, points in scalars.items():
            for point in points:
                if point["epoch"] % EVERY == 0 or point is points[0] or point is points[-1]:
                    variance = point["variance"]
                    spread = None if variance is None else f"{variance:.2g}"
                    cells = [point["epoch"], f"{point['mean']:.4f}", spread, point["networks"]]
                    body.append([f"`{condition}`", SYMBOLS[scalar], *cells])
    return (
        plain_table(["condition", "strength", "epoch", "mean", "variance", "networks"], body) if body else []
    )


def figure(numbers: Numbers) -> Any:
    """Draw both strengths over the epochs, a row of axes for each data set."""
    tables = {name: one["gauges"] for name, one in numbers["data"].items() if one["gauges"]}
    if not tables:
        return None
    drawn, axes = new_figure(len(tables), len(SYMBOLS), 11, 3.4 * len(tables) + 1.2)
    for line, (name, gauges) in zip(axes, tables.items(), strict=True):
        for axis, (scalar, symbol) in zip(line, SYMBOLS.items(), strict=True):
            found = {
                condition: [
                    (p["epoch"], p["mean"], float(np.sqrt(p["variance"] or 0.0)))
                    for p in scalars.get(scalar, [])
                ]
                for condition, scalars in gauges.items()
            }
            curves(axis, found, x="epoch", y=f"{symbol} ({scalar})")
            axis.axhline(PUBLISHED_END[scalar], color="0.4", linestyle=":", label="published network, end")
            axis.set_title(visible(name), loc="left", fontsize=10, parse_math=False)
    handles, labels = axes[0][1].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    drawn.suptitle(
        "Strengths of guidance by epoch (bands: standard deviation over splits and seeds)", fontsize=11
    )
    return drawn


STUDY = Study(
    name="gauges",
    question="How do the strengths of guidance, gamma of features and delta of the ratio, move from epoch to epoch?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=figure,
)
