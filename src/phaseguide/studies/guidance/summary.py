"""From networks that were judged to numbers: pooled and image by image, with pairs and the break-even of a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.evaluation.tables import mean_known
from phaseguide.studies.guidance.asking import GUESSES, MODES, WITHOUT, Key, keys
from phaseguide.studies.guidance.judged import Cells
from phaseguide.studies.guidance.places import SCOPES
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.statistics import paired_difference, spread

POOLED = ("dice_mean", "miou", "micro_iou", "accuracy")


@dataclass(frozen=True)
class RowScores:
    """One row of one condition: scores pooled, Dice by network and by image, and the errors of areas and of ratios."""

    dice: float
    pooled: dict[str, float]
    by_cell: dict[str, float]
    by_image: dict[int, dict[str, float]]
    area_error_pp: float
    variation: float | None


def network(name: str, condition: Condition, cells: Cells) -> dict[str, Any]:
    """Say which network a condition is; ``cells`` is empty where none was trained."""
    about: dict[str, Any] = {
        "name": name,
        "what": condition.what,
        "unguided": condition.unguided or None,
        "cells": [f"{split}{seed}" for seed, split in cells],
    }
    if not cells:
        return about
    first = next(iter(cells.values()))
    return {
        **about,
        "settings": {k: v for k, v in condition.settings.items() if k != "threads"},
        "parameters": first["parameters"],
        "of_guidance": first["of_guidance"],
        "seconds": float(mean_known([c["seconds"] for c in cells.values()])),
        "gauges": _gauges(cells),
    }


def ratio_rows(cells: Cells, unguided: Cells) -> dict[str, Any]:
    """Scores in [0, 1] of one condition, by scope; pairs with the unguided networks of the same splits and seeds."""
    shared = {where: unguided[where] for where in cells if where in unguided}
    guided = next(iter(cells.values()))["guidance"] != WITHOUT
    return {scope: _scope(cells, shared, scope, guided) for scope in SCOPES}


def break_even(qualities: Sequence[float], dices: Sequence[float], without: float) -> float | None:
    """Return the quality of a ratio at which it is worth as much as none, interpolated linearly.

    ``qualities`` (the accuracy of a guess, or its error) begin with that of the true ratio and get worse. None where
    the true ratio is not worth more itself, the worst where all are.
    """
    gains = [dice - without for dice in dices]
    if gains[0] <= 0:
        return None
    for (a, b), (gain, next_gain) in zip(pairwise(qualities), pairwise(gains), strict=True):
        if next_gain <= 0:
            return float(a + (b - a) * gain / (gain - next_gain))
    return float(qualities[-1])


def row_scores(cells: Cells, scope: str, key: Key | str) -> RowScores | None:
    """Score one row over the networks of a condition; None where some network was given no such ratio.

    Pooled: over the pixels of all images that a seed tested, mean over seeds and draws. By image: over the pixels of
    the image, its windows together, mean over draws.
    """
    name = str(key)
    totals: dict[int, NDArray[np.int64]] = {}
    by_image: dict[int, dict[str, NDArray[np.int64]]] = {}
    by_cell: dict[str, float] = {}
    errors, variation = [], []
    for (seed, split), judged in cells.items():
        here: NDArray[np.int64] | int = 0
        for place in judged[scope]:
            if name not in place["confusion"]:
                return None
            draws = np.array(place["confusion"][name], dtype=np.int64)
            totals[seed] = totals.get(seed, 0) + draws
            here = here + draws
            images = by_image.setdefault(seed, {})
            images[place["stem"]] = images.get(place["stem"], 0) + draws
            errors += [100 * scores_from_confusion(draw).fraction_mae for draw in draws]
            variation += place["variation"].get(name, [])
        if not isinstance(here, int):
            by_cell[f"{split}{seed}"] = _dice(here)
    if not totals:
        return None
    return RowScores(
        dice=_pooled(totals, "dice_mean"),
        pooled={name: _pooled(totals, name) for name in POOLED},
        by_cell=by_cell,
        by_image={
            seed: {stem: _dice(draws) for stem, draws in images.items()} for seed, images in by_image.items()
        },
        area_error_pp=float(np.mean(errors)),
        variation=float(np.mean(variation)) if variation else None,
    )


def paired(ours: RowScores, theirs: RowScores) -> dict[str, Any] | None:
    """Difference image by image of the seeds that both have, mean over those; None where they share no image."""
    gaps: dict[str, list[float]] = {}
    for seed, images in ours.by_image.items():
        for stem, dice in images.items():
            other = theirs.by_image.get(seed, {}).get(stem)
            if other is not None:
                gaps.setdefault(stem, []).append(dice - other)
    if not gaps:
        return None
    return paired_difference({s: float(np.mean(g)) for s, g in gaps.items()}, dict.fromkeys(gaps, 0.0))


def _scope(cells: Cells, unguided: Cells, scope: str, guided: bool) -> dict[str, Any]:
    without = row_scores(cells, scope, Key())
    if without is None:  # no window fits into these images
        return {"places": 0, "rows": [], "break_even": {}}
    base = row_scores(unguided, scope, Key()) if unguided else None
    same = {where: cells[where] for where in unguided}
    rows: list[dict[str, Any]] = []
    dices: dict[Key, float] = {}
    wrong: dict[Key, float] = {}
    shared_dices: dict[Key, float] = {}
    for key in keys(guided):
        scores = row_scores(cells, scope, key)
        if scores is None:
            continue
        dices[key] = scores.dice
        if scores.variation is not None:
            wrong[key] = scores.variation
        matching = row_scores(same, scope, key) if base is not None else None
        if matching is not None:
            shared_dices[key] = matching.dice
        rows.append(
            {
                "source": key.source,
                "uncertainty": key.uncertainty,
                "mode": key.mode,
                "dice": scores.dice,
                "dice_by_cell": spread(scores.by_cell),
                "area_error_pp": scores.area_error_pp,
                "variation": scores.variation,
                "by_image": {str(seed): images for seed, images in scores.by_image.items()},
                "to_itself": None if key == Key() else paired(scores, without),
                "to_unguided": None if base is None or matching is None else paired(matching, base),
                "dice_to_unguided": None if base is None or matching is None else matching.dice - base.dice,
            }
        )
    return {
        "places": sum(len(judged[scope]) for judged in cells.values()),
        "rows": rows,
        "break_even": {
            mode: {
                "to_itself": _break_even(dices, wrong, mode, without.dice),
                "to_unguided": None if base is None else _break_even(shared_dices, wrong, mode, base.dice),
            }
            for mode in (MODES if guided else ("matched",))
        },
    }


def _break_even(
    dices: Mapping[Key, float], wrong: Mapping[Key, float], mode: Any, without: float
) -> dict[str, float | None]:
    asked = [Key("oracle", 0.0, mode), *(Key(f"guess:{a:g}", 0.0, mode) for a in GUESSES)]
    worth = [dices[key] for key in asked]
    return {
        "accuracy": break_even((1.0, *GUESSES), worth, without),
        "variation": break_even([wrong[key] for key in asked], worth, without),
    }


def _gauges(cells: Cells) -> dict[str, float]:
    """Scalars of guidance at the end, mean over networks."""
    names = sorted({name for judged in cells.values() for name in judged["gauges"]})
    return {
        name: float(
            np.mean([judged["gauges"][name] for judged in cells.values() if name in judged["gauges"]])
        )
        for name in names
    }


def _pooled(totals: Mapping[int, NDArray[np.int64]], name: str) -> float:
    """Mean of a score over seeds and draws, each pooled over the pixels of all images."""
    return float(
        np.mean([getattr(scores_from_confusion(d), name) for draws in totals.values() for d in draws])
    )


def _dice(draws: NDArray[np.int64]) -> float:
    return float(np.mean([scores_from_confusion(draw).dice_mean for draw in draws]))
