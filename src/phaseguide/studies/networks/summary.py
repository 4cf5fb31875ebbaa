"""From judged networks to rows: means with their spread over splits and seeds, and pairs image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from phaseguide.evaluation.tables import mean_known
from phaseguide.studies.networks.judging import ASKS, SCORES, WITHOUT, Ask
from phaseguide.studies.networks.kept import Judged
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.statistics import paired_difference, spread

METRICS = (*SCORES, "boundary_f1", "fraction_mae_pp")
PAIRED = ("dice_mean", "miou", "fraction_mae_pp")
Cells = Mapping[tuple[str, int], Judged]
Row = dict[str, Any]


def rows_of(
    results: Iterable[Judged], conditions: Mapping[str, Condition], bases: Mapping[str, str] | None = None
) -> list[Row]:
    """Return a row for each condition and each way in which it was given a ratio, in their order.

    ``scores`` has mean, deviation and 95 % interval of every metric over networks (splits and seeds), each pooled over
    the pixels of its test images. ``difference`` are pairs with ``base`` without a ratio: image by image, mean over
    seeds, of networks of the same splits and seeds. The base is that of ``bases``, else the condition's unguided twin,
    else the condition itself. A condition without a network has one row, ``networks`` 0.
    """
    by_condition = networks_by_condition(results)
    rows: list[Row] = []
    for name, condition in conditions.items():
        cells = by_condition.get(name, {})
        about = {"condition": name, "what": condition.what, "networks": len(cells)}
        if not cells:
            rows.append(about)
            continue
        base = condition.unguided if bases is None else bases.get(name, "")
        for ask in ASKS:
            if all(str(ask) in judged["scores"] for judged in cells.values()):
                others = by_condition.get(base, {}) if base else {} if ask == WITHOUT else cells
                rows.append(
                    {
                        **about,
                        **_row(cells, ask),
                        "base": base or None,
                        "difference": pairs(cells, ask, others),
                    }
                )
    return rows


def networks_by_condition(results: Iterable[Judged]) -> dict[str, dict[tuple[str, int], Judged]]:
    """Sort judged networks by condition, then by split and seed."""
    found: dict[str, dict[tuple[str, int], Judged]] = {}
    for one in results:
        found.setdefault(one["condition"], {})[(one["split"], one["seed"])] = one
    return found


def _row(cells: Cells, ask: Ask) -> Row:
    first = next(iter(cells.values()))
    pooled = {where: judged["scores"][str(ask)]["pooled"] for where, judged in cells.items()}
    return {
        "ratio": ask.source,
        "uncertainty": ask.uncertainty,
        "mode": ask.mode,
        "guidance": first["guidance"],
        "images": len(by_image(cells, ask, "dice_mean")),
        "scores": {name: _spread({where: one[name] for where, one in pooled.items()}) for name in METRICS},
        "iou": {
            phase: _spread({where: one["iou"].get(phase) for where, one in pooled.items()})
            for phase in first["phases"]
        },
        "parameters": first["parameters"],
        "of_guidance": first["of_guidance"],
        "epochs": first["epochs"],
        "seconds": float(mean_known([judged["seconds"] for judged in cells.values()])),
    }


def by_image(cells: Cells, ask: Ask, metric: str) -> dict[str, float]:
    """Return a score of each image, mean over the seeds; without images where it is not defined."""
    found: dict[str, list[float]] = {}
    for judged in cells.values():
        for stem, scores in judged["scores"][str(ask)]["images"].items():
            if scores[metric] is not None:
                found.setdefault(stem, []).append(scores[metric])
    return {stem: float(np.mean(values)) for stem, values in found.items()}


def pairs(cells: Cells, ask: Ask, others: Cells) -> dict[str, Any] | None:
    """Return paired differences to other networks without a ratio; None where none is of the same split and seed."""
    shared = [where for where in cells if where in others]
    ours, theirs = ({where: side[where] for where in shared} for side in (cells, others))
    found = {}
    for metric in PAIRED:
        mine, other = by_image(ours, ask, metric), by_image(theirs, WITHOUT, metric)
        if mine := {stem: value for stem, value in mine.items() if stem in other}:
            found[metric] = paired_difference(mine, other)
    return found or None


def _spread(values: Mapping[tuple[str, int], float | None]) -> dict[str, Any] | None:
    return spread({f"{split} {seed}": v for (split, seed), v in values.items() if v is not None})
