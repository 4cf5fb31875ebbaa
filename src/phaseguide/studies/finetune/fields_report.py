"""The report of the story of other fields: what each method gains over the model before, on the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.studies.finetune.fields import BEFORE, FIELDS
from phaseguide.studies.finetune.scenarios import Row
from phaseguide.studies.report import fixed, table
from phaseguide.studies.statistics import seconds, spread

Numbers = dict[str, Any]

TITLES = {
    "unpainted": "unpainted pixels beside the strokes",
    "field": "other fields of the specimens",
    "others": "other specimens",
    "field_matched": "other fields, 10 % expert",
    "others_matched": "other specimens, 10 % expert",
}


def summarise_fields(rows: Sequence[Row], development: str = "") -> list[Numbers]:
    """Return a row a method: mean Dice before and what is gained on each part, over folds, in [0, 1].

    Tables of a fold's turns are added before Dice is taken, over the phases that the images truly have. Gains are
    also given without the fold ``development``.
    """
    here = [row for row in rows if row["story"] == FIELDS]
    found = []
    for method in dict.fromkeys(row["method"] for row in here):
        mine = [row for row in here if row["method"] == method]
        numbers: Numbers = {
            "method": method,
            "turns": len(mine),
            "painted_px": float(np.mean([row["painted_px"] for row in mine])),
            "cpu_s": seconds(row["cpu_s"] for row in mine),
        }
        for part in TITLES:
            dice = _by_fold(mine, part)
            before = _by_fold([row for row in here if row["method"] == BEFORE], part)
            gain = {fold: value - before[fold] for fold, value in dice.items()}
            rest = {fold: value for fold, value in gain.items() if fold != development}
            numbers[part] = {
                "dice": spread(dice),
                "gain": spread(gain),
                "gain_without_development": spread(rest),
            }
        found.append(numbers)
    return found


def _by_fold(rows: Sequence[Row], part: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for fold in dict.fromkeys(row["fold"] for row in rows):
        total = np.sum([np.array(row[part]) for row in rows if row["fold"] == fold], axis=0)
        there = total.sum(1) > 0
        if there.any():
            found[fold] = float(scores_from_confusion(total).dice[there].mean())
    return found


def fields_lines(found: Sequence[Numbers]) -> list[str]:
    """Return the numbers as lines of Markdown: Dice in percent, and the gain with its folds."""
    if not found:
        return []
    columns = {title: _column(part) for part, title in TITLES.items()}
    lines = table(
        {
            "method": lambda row: row["method"],
            **columns,
            "CPU s": lambda row: row["cpu_s"] and fixed(row["cpu_s"]["median"], 1),
        },
        found,
    )
    return ["## Other fields of the specimen", "", *lines, ""]


def _column(part: str) -> Any:
    def cell(row: Numbers) -> str | None:
        dice, gain = row[part]["dice"], row[part]["gain"]
        if dice is None:
            return None
        folds = ", ".join(f"{fold} {100 * value:+.1f}" for fold, value in gain["folds"].items())
        return f"{100 * dice['mean']:.1f} ({100 * gain['mean']:+.2f}: {folds})"

    return cell
