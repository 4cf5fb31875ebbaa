"""From what was judged to numbers: means over images, and pairs image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.studies.guidance.asking import Ask
from phaseguide.studies.named.peers.conditions import BOOSTED
from phaseguide.studies.named.peers.methods import CONDITIONS, NONE, Condition
from phaseguide.studies.statistics import paired_difference, spread

Judged = Mapping[str, Any]
ByImage = dict[str, float]

MEASURES = ("dice", "miou", "accuracy", "micro_iou", "boundary_f1", "error_pp")
PAIRED = ("dice", "miou", "error_pp")


def summarise(found: Mapping[str, Sequence[Judged]], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of the study, by data set and condition; scores in [0, 1], ``error_pp`` in points."""
    return {**told, "data_sets": [_data_set(name, judged) for name, judged in found.items()]}


def scores_by_image(judged: Iterable[Judged], ask: Ask) -> dict[str, ByImage]:
    """Score one row of a condition, by measure and image: means over the draws of an expert, then over seeds.

    Overlap and accuracy are of the unpainted pixels, boundaries and areas of the whole image.
    """
    values: dict[str, dict[str, list[float]]] = {measure: {} for measure in MEASURES}
    for one in judged:
        for row in one["rows"]:
            if Ask(row["source"], row["uncertainty"]) != ask:
                continue
            unpainted = [scores_from_confusion(np.array(table)) for table in row["unpainted"]]
            whole = [scores_from_confusion(np.array(table)) for table in row["all"]]
            drawn = {
                "dice": [s.dice_mean for s in unpainted],
                "miou": [s.miou for s in unpainted],
                "accuracy": [s.accuracy for s in unpainted],
                "micro_iou": [s.micro_iou for s in unpainted],
                "boundary_f1": row["boundary_f1"],
                "error_pp": [100 * s.fraction_mae for s in whole],
            }
            for measure, numbers in drawn.items():
                values[measure].setdefault(one["stem"], []).append(float(np.mean(numbers)))
    return {
        measure: {stem: float(np.mean(numbers)) for stem, numbers in images.items()}
        for measure, images in values.items()
    }


def _data_set(name: str, judged: Sequence[Judged]) -> dict[str, Any]:
    rows = {
        (condition, ask): scores_by_image((j for j in judged if j["condition"] == condition), ask)
        for condition, what in CONDITIONS.items()
        for ask in what.asks
    }
    return {
        "name": name,
        "images": len({j["stem"] for j in judged}),
        "seeds": sorted({j["seed"] for j in judged}),
        "splits": sorted({j["split"] for j in judged}),
        "strokes": _mean(j["strokes"] for j in judged),
        "painted_px": _mean(j["painted_px"] for j in judged),
        "painted_share": _mean(j["painted_px"] / j["image_px"] for j in judged),
        "conditions": [
            _condition(condition, what, [j for j in judged if j["condition"] == condition], rows)
            for condition, what in CONDITIONS.items()
        ],
    }


def _condition(
    name: str,
    what: Condition,
    judged: Sequence[Judged],
    rows: Mapping[tuple[str, Ask], Mapping[str, ByImage]],
) -> dict[str, Any]:
    return {
        "name": name,
        "what": what.what,
        "run": bool(judged),
        "parameters": judged[0]["parameters"] if judged else None,
        "weights": sorted({j["weight"] for j in judged if j["weight"] is not None}),
        "learn_s": _mean(j["learn_s"] for j in judged),
        "rows": [
            {
                "source": ask.source,
                "uncertainty": ask.uncertainty,
                **{measure: spread(rows[name, ask][measure]) for measure in MEASURES},
                "seconds": _mean(
                    row["seconds"]
                    for j in judged
                    for row in j["rows"]
                    if Ask(row["source"], row["uncertainty"]) == ask
                ),
                "to_none": None if ask == NONE else _pairs(rows[name, ask], rows[name, NONE]),
                "to_boosted": None if name == BOOSTED else _pairs(rows[name, ask], rows.get((BOOSTED, ask))),
            }
            for ask in (what.asks if judged else ())
        ],
    }


def _pairs(ours: Mapping[str, ByImage], theirs: Mapping[str, ByImage] | None) -> dict[str, Any] | None:
    """Differences of what both have, by measure; None where they share no image."""
    shared = [] if theirs is None else [stem for stem in ours["dice"] if stem in theirs["dice"]]
    if theirs is None or not shared:
        return None
    return {
        measure: paired_difference(
            {stem: ours[measure][stem] for stem in shared}, {stem: theirs[measure][stem] for stem in shared}
        )
        for measure in PAIRED
    }


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return float(np.mean(known)) if known else None
