"""Dice by method and source of the ratio, with intervals over images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phaseguide.studies.named.peers.methods import ASKS
from phaseguide.studies.named.peers.report import TITLE, ask_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#4d4d4d", "#0072b2", "#d55e00", "#e69f00", "#117733", "#66c2a5")
MARKS = "osDd^v"
"""Colours that are told apart by everyone, and marks for a print in grey: one for each ratio."""


def to_figure(numbers: Mapping[str, Any]) -> Figure | None:
    """Draw a panel for each data set that was run; None where there is none."""
    from matplotlib.figure import Figure

    found = [one for one in numbers["data_sets"] if one["images"]]
    if not found:
        return None
    figure = Figure(figsize=(9, 4.6 * len(found)), layout="constrained")
    for axes, one in zip(figure.subplots(len(found), squeeze=False)[:, 0], found, strict=True):
        _panel(axes, one)
    handles, labels = {}, {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles[label], labels[label] = handle, label
    order = [TITLE[ask] for ask in ASKS if TITLE[ask] in handles]
    figure.legend(
        [handles[name] for name in order], order, title="ratio", loc="outside right upper", frameon=False
    )
    return figure


def _panel(axes: Any, found: Mapping[str, Any]) -> None:
    run = [c for c in found["conditions"] if c["run"]]
    for number, condition in enumerate(run):
        rows = condition["rows"]
        for place, row in enumerate(rows):
            ask, dice = ask_of(row), row["dice"]
            at = number + (place - (len(rows) - 1) / 2) * 0.13
            low, high = (dice["mean"] if dice[end] is None else dice[end] for end in ("low", "high"))
            index = ASKS.index(ask)
            axes.errorbar(
                at,
                100 * dice["mean"],
                yerr=[[100 * (dice["mean"] - low)], [100 * (high - dice["mean"])]],
                color=COLOURS[index],
                marker=MARKS[index],
                capsize=3,
                linestyle="none",
                label=TITLE[ask],
            )
    names = [c["name"] + ("\n(other labels too)" if c["name"].endswith("pretrained") else "") for c in run]
    axes.set_xticks(range(len(run)), names)
    axes.set_xlim(-0.6, len(run) - 0.4)
    axes.set_ylabel("Dice on unpainted pixels, %")
    axes.set_xlabel("method")
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(
        f"{found['name']}: {found['images']} images, {found['strokes']:.0f} strokes each "
        f"({100 * found['painted_share']:.1f} % of the pixels); mean and 95 % over images",
        fontsize="medium",
        parse_math=False,
    )
