"""Scores by magnification, or by any other group of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from phaseguide.plain_text import visible
from phaseguide.studies.networks.comparison import Comparison, check_varied, compare, comparison_lines
from phaseguide.studies.networks.figures import KINDS, new_figure
from phaseguide.studies.networks.groups import FORMAT, group_rows, group_table, need_groups
from phaseguide.studies.networks.kept import Judged
from phaseguide.studies.networks.recipes import GUIDED, pair_of
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.report import section
from phaseguide.studies.study import Given, Numbers, Study

CONDITIONS = tuple(f"unet-{guidance}" for guidance in GUIDED)


def run(given: Given) -> Iterator[Any]:
    """Train and judge the U-Net with each guidance, then sort the images by group."""
    check_varied(given, "magnification", ("guidance",))
    groups = {data.name: need_groups(data) for data in given.data}  # before anything is trained
    comparison = Comparison(pair_of(given.size, "unet", {}))

    def more(data: StudyData, results: Sequence[Judged]) -> Mapping[str, Any]:
        return {"groups": group_rows(results, comparison.conditions, groups[data.name])}

    yield from compare(given, lambda data: comparison, more)


def lines(numbers: Numbers) -> list[str]:
    """Return the tables, the one by group first."""
    found = ["Networks learn from images of all groups; scores by group are image by image."]
    for name, one in numbers["data"].items():
        found += section(f"{name}: by group", group_table(one["groups"]))
    return [*found, "", *comparison_lines(numbers)]


def figure(numbers: Numbers) -> Any:
    """Draw Dice by group, a row of axes for each data set and an axis for each condition."""
    tables = {name: one["groups"] for name, one in numbers["data"].items() if one["groups"]}
    if not tables:
        return None
    run_ones = [
        c for c in CONDITIONS if any(row["condition"] == c for rows in tables.values() for row in rows)
    ]
    drawn, axes = new_figure(len(tables), len(run_ones), 12, 3.2 * len(tables) + 1.0)
    for line, (name, rows) in zip(axes, tables.items(), strict=True):
        groups = list(dict.fromkeys(row["group"] for row in rows))
        for axis, condition in zip(line, run_ones, strict=True):
            _bars(axis, [row for row in rows if row["condition"] == condition], groups)
            axis.set_title(f"{visible(name)}: {condition}", fontsize=10, parse_math=False)
            axis.set_ylabel("Dice of an image, %")
            axis.set_xlabel("group")
    drawn.legend(*axes[0][-1].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    drawn.suptitle("Dice by group (bars: standard deviation over images)", fontsize=11)
    return drawn


def _bars(axis: Any, rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> None:
    for number, ((source, mode), (words, marker, colour)) in enumerate(KINDS.items()):
        found = [r for r in rows if (r["ratio"], r["mode"]) == (source, mode) and r["scores"]["dice_mean"]]
        axis.errorbar(
            [groups.index(row["group"]) + 0.12 * (number - 1.5) for row in found],
            [100 * row["scores"]["dice_mean"]["mean"] for row in found],
            yerr=[100 * row["scores"]["dice_mean"]["std"] for row in found],
            fmt=marker,
            color=colour,
            capsize=2,
            markersize=5,
            label=words,
        )
    axis.set_xticks(range(len(groups)), [visible(group) for group in groups], rotation=30)
    axis.set_xlim(-0.5, len(groups) - 0.5)
    axis.grid(axis="y", alpha=0.3)


STUDY = Study(
    name="magnification",
    question=f"How do scores depend on the magnification? groups.csv in the data set's folder says it: {FORMAT}.",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=figure,
)
