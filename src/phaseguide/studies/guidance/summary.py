"""From networks that were judged to numbers: pooled and image by image, with pairs and the break-even of a guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.evaluation.tables import mean_known, plain
from phaseguide.studies.guidance.asking import GUESSES, MODES, WITHOUT, Key, keys
from phaseguide.studies.guidance.places import SCOPES
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.statistics import paired_difference

Judged = dict[str, Any]
Cells = Mapping[tuple[int, str], Judged]
"""Networks of one condition by seed and fold."""


@dataclass(frozen=True)
class RowScores:
    """One row of one condition: Dice by seed, pooled and by image, and the errors of areas and of the ratios."""

    dice: float
    by_image: dict[int, dict[str, float]]
    area_error_pp: float
    variation: float | None


def summarise(results: Iterable[Judged], conditions: Mapping[str, Condition]) -> dict[str, Any]:
    """Return the numbers of the study, in the order of the conditions; scores in [0, 1]."""
    by_condition: dict[str, dict[tuple[int, str], Judged]] = {}
    for one in results:
        by_condition.setdefault(one["condition"], {})[(one["seed"], one["fold"])] = one
    found = [
        _condition(name, by_condition[name], by_condition.get(condition.unguided, {}), condition)
        for name, condition in conditions.items()
        if name in by_condition
    ]
    return {"conditions": found}


def break_even(accuracies: Sequence[float], dices: Sequence[float], without: float) -> float | None:
    """Return the accuracy of a guess at which it is worth as much as no ratio, interpolated linearly.

    ``accuracies`` fall from 1, the true ratio. None where that is not worth more itself, the lowest where all are.
    """
    gains = [dice - without for dice in dices]
    if gains[0] <= 0:
        return None
    for (a, b), (gain, next_gain) in zip(pairwise(accuracies), pairwise(gains), strict=True):
        if next_gain <= 0:
            return float(a + (b - a) * gain / (gain - next_gain))
    return float(accuracies[-1])


def row_scores(cells: Cells, scope: str, key: Key) -> RowScores | None:
    """Score one row over the networks of a condition; None where some network was given no such ratio.

    Pooled: over the pixels of all images that a seed tested, mean over seeds and draws. By image: over the pixels of
    the image, its windows together, mean over draws.
    """
    name = str(key)
    totals: dict[int, NDArray[np.int64]] = {}
    by_image: dict[int, dict[str, NDArray[np.int64]]] = {}
    errors, variation = [], []
    for (seed, _), judged in cells.items():
        for place in judged[scope]:
            if name not in place["confusion"]:
                return None
            draws = np.array(place["confusion"][name], dtype=np.int64)
            totals[seed] = totals.get(seed, 0) + draws
            images = by_image.setdefault(seed, {})
            images[place["stem"]] = images.get(place["stem"], 0) + draws
            errors += [100 * scores_from_confusion(draw).fraction_mae for draw in draws]
            variation += place["variation"].get(name, [])
    if not totals:
        return None
    return RowScores(
        dice=float(np.mean([_dice(draws) for draws in totals.values()])),
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


def _condition(name: str, cells: Cells, unguided: Cells, condition: Condition) -> dict[str, Any]:
    # Pairs need the same images: of the same folds and seeds on both sides.
    shared = {where: unguided[where] for where in cells if where in unguided}
    first = next(iter(cells.values()))
    guided = first["guidance"] != WITHOUT
    return {
        "name": name,
        "what": condition.what,
        "unguided": condition.unguided or None,
        "cells": [f"{fold}{seed}" for seed, fold in cells],
        "settings": {k: v for k, v in condition.settings.items() if k != "threads"},
        "parameters": first["parameters"],
        "of_guidance": first["of_guidance"],
        "seconds": float(mean_known([c["seconds"] for c in cells.values()])),
        "gauges": _gauges(cells),
        **{scope: _scope(cells, shared, scope, guided) for scope in SCOPES},
    }


def _scope(cells: Cells, unguided: Cells, scope: str, guided: bool) -> dict[str, Any]:
    without = row_scores(cells, scope, Key())
    assert without is not None  # every network is judged without a ratio
    base = row_scores(unguided, scope, Key()) if unguided else None
    same = {where: cells[where] for where in unguided}
    rows: list[dict[str, Any]] = []
    dices: dict[Key, float] = {}
    shared_dices: dict[Key, float] = {}
    for key in keys(guided):
        scores = row_scores(cells, scope, key)
        if scores is None:
            continue
        dices[key] = scores.dice
        matching = row_scores(same, scope, key) if base is not None else None
        if matching is not None:
            shared_dices[key] = matching.dice
        rows.append(
            {
                "source": key.source,
                "uncertainty": key.uncertainty,
                "mode": key.mode,
                "dice": scores.dice,
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
                "to_itself": _break_even(dices, mode, without.dice),
                "to_unguided": None if base is None else _break_even(shared_dices, mode, base.dice),
            }
            for mode in (MODES if guided else ("matched",))
        },
        "response": _response(cells, scope) if guided else None,
    }


def _break_even(dices: Mapping[Key, float], mode: Any, without: float) -> float | None:
    asked = [Key("oracle", 0.0, mode), *(Key(f"guess:{a:g}", 0.0, mode) for a in GUESSES)]
    return break_even((1.0, *GUESSES), [dices[key] for key in asked], without)


def _response(cells: Cells, scope: str) -> dict[str, dict[str, float | None]]:
    """Mean over places and phases that have room."""
    places = [place["response"] for judged in cells.values() for place in judged[scope]]
    return {
        start: {
            kind: plain(mean_known(np.array([p[start][kind] for p in places], dtype=np.float64)))
            for kind in ("area", "probability")
        }
        for start in ("own", "true")
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


def _dice(draws: NDArray[np.int64]) -> float:
    return float(np.mean([scores_from_confusion(draw).dice_mean for draw in draws]))
