"""Tables of networks in Markdown: scores with their spread, pairs, sizes; what was not run says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from phaseguide.studies.networks.sam_base import marked
from phaseguide.studies.report import fixed, plain_table

Row = Mapping[str, Any]
Column = Callable[[Row], object]

NOT_RUN = "not run"

FEWEST = 3
"""Images that an interval takes: of two it is 13 times as wide as they lie apart, and tells nothing."""

RATIOS = {"none": "none", "oracle": "true (oracle)", "expert:0.1": "simulated expert's, 10 % off"}
METRIC_TITLES = {
    "dice_mean": "Dice, %",
    "miou": "mIoU, %",
    "micro_iou": "micro-IoU, %",
    "accuracy": "accuracy, %",
    "boundary_f1": "boundary F1 (2 px), %",
    "fraction_mae_pp": "composition error, pp",
}


def cell_of(row: Row) -> str:
    """Write the name of a row's condition."""
    return f"`{marked(row['condition'], row['what'])}`"


def with_spread(value: Mapping[str, Any] | None, scale: float = 100, digits: int = 1) -> str | None:
    """Write a mean, with its standard deviation where there are several networks."""
    if value is None:
        return None
    several = len(value["folds"]) > 1
    mean = fixed(value["mean"], digits, scale)
    return f"{mean} ± {fixed(value['std'], digits, scale)}" if several else mean


def pair(found: Mapping[str, Any] | None, metric: str, scale: float = 100) -> str | None:
    """Write the paired difference of a metric."""
    return None if found is None else difference(found.get(metric), scale)


def difference(one: Mapping[str, Any] | None, scale: float = 100, digits: int = 1) -> str | None:
    """Write what `paired_difference` found; nothing for None."""
    if one is None:
        return None
    mean, low, high = (f"{scale * one[key]:+.{digits}f}" for key in ("mean", "low", "high"))
    if one["n"] < FEWEST:
        return f"{mean} (n = {one['n']})"
    return f"{mean} ({low} to {high}; p = {one['p']:.2g}; n = {one['n']})"


def score_table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the main table: a line for each row, with pairs to its base."""
    columns: dict[str, Column] = {
        "ratio": lambda r: RATIOS.get(r["ratio"], r["ratio"]),
        "acts": lambda r: r["mode"],
        **{METRIC_TITLES[name]: _score(name) for name in METRIC_TITLES},
        "Dice to the base, points": lambda r: pair(r["difference"], "dice_mean"),
        "base": _base,
        "networks": lambda r: r["networks"],
        "images": lambda r: r["images"],
        "parameters, M": lambda r: fixed(r["parameters"], 2, 1e-6),
        "of guidance, M": lambda r: fixed(r["of_guidance"], 2, 1e-6) if r["of_guidance"] else None,
        "training, s": lambda r: fixed(r["seconds"], 0),
    }
    lines: list[list[object]] = []
    shown = ""
    for row in rows:
        name = None if row["condition"] == shown else f"`{row['condition']}`: {row['what']}"
        shown = row["condition"]
        if row["networks"]:
            lines.append([name, *(cell(row) for cell in columns.values())])
        else:
            lines.append([name, row.get("why", NOT_RUN), *[None] * (len(columns) - 1)])
    return plain_table(["condition", *columns], lines)


def phase_table(rows: Sequence[Row]) -> list[str]:
    """Return the IoU of every phase, without a ratio and with the true one."""
    known = [row for row in rows if row["networks"] and row["ratio"] in ("none", "oracle")]
    if not known:
        return []
    phases = list(known[0]["iou"])
    titles = ["condition", "ratio", "acts", *(f"IoU {phase}, %" for phase in phases)]
    return plain_table(
        titles,
        (
            [
                cell_of(row),
                RATIOS[row["ratio"]],
                row["mode"],
                *(with_spread(row["iou"][p]) for p in phases),
            ]
            for row in known
        ),
    )


def _base(row: Row) -> str | None:
    if row["difference"] is None:
        return None
    return "itself" if row["base"] is None else f"`{row['base']}`"


def _score(name: str) -> Column:
    scale = 1 if name.endswith("_pp") else 100
    return lambda row: with_spread(row["scores"][name], scale)
