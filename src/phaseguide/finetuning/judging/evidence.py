"""What stands behind a judgement: scores with the pixels and places that they were counted on, and honest ranges."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.finetuning.events import PhaseScore, ValidationScores
from phaseguide.labels import is_labelled

Ints = NDArray[np.int64]

Counts = Mapping[int, Ints]
"""A confusion matrix (K, K + 1) for each place that judges, by the number of the place."""

NORMAL = 1.959964
"""Quantile of the normal distribution for 95 %."""


def count_places(
    true: NDArray[np.uint8], predicted: NDArray[np.uint8], places: NDArray[np.int32], n_phases: int
) -> dict[int, Ints]:
    """Count the labelled pixels of each place by true and predicted phase; 0 is no place."""
    where = is_labelled(true) & (places > 0)
    here, true, predicted = places[where], true[where], predicted[where]
    return {
        int(place): confusion_matrix(true[here == place], predicted[here == place], n_phases)
        for place in np.unique(here)
    }


def add_counts(parts: Sequence[Counts]) -> dict[int, Ints]:
    """Add what was counted in several windows, or by several fits."""
    total: dict[int, Ints] = {}
    for part in parts:
        for place, matrix in part.items():
            total[place] = total[place] + matrix if place in total else matrix
    return total


def mean_dice(counts: Counts) -> float | None:
    """Mean Dice, in [0, 1], over the phases that the labels hold; None where they hold none."""
    if not counts:
        return None
    total = np.sum(list(counts.values()), axis=0)
    dice = scores_from_confusion(total).dice
    known = [float(dice[k]) for k in np.flatnonzero(total.sum(1))]
    return float(np.mean(known)) if known else None


def scores_of(
    counts: Counts, names: Sequence[str], source: str, untrained: Collection[str] = ()
) -> ValidationScores:
    """Read a judgement off what was counted; a phase that is ``untrained`` has pixels and no score.

    The ranges hold at 95 %, over places and not over pixels. The Dice of a phase is a proportion: of all pixels that
    are of the phase or were said to be, each counted once for either, the share that is both. Its range is Wilson's
    (J. Am. Stat. Assoc. 22 (1927), 209) on as many observations as there are places by Kish's effective number (Survey
    Sampling, 1965), (sum n)^2 / sum n^2: as if all pixels of a place were right or wrong together, which is the most
    cautious of the designs that Korn and Graubard (Surv. Methodol. 24 (1998), 193) reckon with. Ten strokes without a
    mistake are thus 72 to 100 %. The range of the mean adds the phases' distances in squares (Zou and Donner, Stat.
    Med. 27 (2008), 1693). All of that is about places like those that were painted; nobody has drawn them by lot.
    """
    k = len(names)
    matrices = np.stack(list(counts.values()))
    total = matrices.sum(0)
    scores = scores_from_confusion(total)
    pixels = total.sum(1)
    phases = []
    for index, name in enumerate(names):
        # A phase that the labels do not hold here has no true pixel to find.
        there, trained = bool(pixels[index] > 0), name not in untrained
        places = int(np.count_nonzero(matrices[:, index].sum(1)))
        if not there or not trained:
            phases.append(PhaseScore(name, None, None, int(pixels[index]), places, trained=trained))
            continue
        low, high = _dice_range(matrices, index)
        dice, iou = float(scores.dice[index]), float(scores.iou[index])
        phases.append(PhaseScore(name, dice, iou, int(pixels[index]), places, low, high))
    known = [s for s in phases if s.dice is not None]
    dice_mean = float(np.mean([s.dice for s in known])) if known else None
    seen = total[:, :k].sum(0)
    gap = np.abs(seen / max(1, seen.sum()) - pixels / max(1, pixels.sum())).mean()
    complete = bool(pixels.sum()) and all(s.trained for s in phases)
    lowest, highest = _mean_range(known)
    return ValidationScores(
        tuple(phases),
        dice_mean,
        float(gap) if complete else None,
        int(pixels.sum()),
        source,
        int(np.count_nonzero(matrices.sum((1, 2)))),
        lowest,
        highest,
    )


def compare_places(before: Counts, after: Counts) -> tuple[int, int]:
    """Places in which more pixels are right than before, and those in which fewer are."""
    gains = [int(np.trace(after[p]) - np.trace(before[p])) for p in after if p in before]
    return sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)


def _dice_range(matrices: Ints, k: int) -> tuple[float, float]:
    agreed = 2 * matrices[:, k, k]
    said = matrices[:, k].sum(1) + matrices[:, :, k].sum(1)
    return wilson(float(agreed.sum() / said.sum()), float(said.sum()) ** 2 / float(np.square(said).sum()))


def wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % range of a share of so many observations, which need not be a whole number."""
    z = NORMAL**2 / count
    middle = (share + z / 2) / (1 + z)
    half = math.sqrt(z * (share * (1 - share) + z / 4)) / (1 + z)
    return max(0.0, middle - half), min(1.0, middle + half)


def _mean_range(known: Sequence[PhaseScore]) -> tuple[float | None, float | None]:
    sides = [(s.dice, s.low, s.high) for s in known if s.dice is not None and s.low is not None]
    if not sides:
        return None, None
    mean = sum(dice for dice, _, _ in sides) / len(sides)
    down = math.sqrt(sum((dice - low) ** 2 for dice, low, _ in sides)) / len(sides)
    up = math.sqrt(sum(((high or 0.0) - dice) ** 2 for dice, _, high in sides)) / len(sides)
    return max(0.0, mean - down), min(1.0, mean + up)


def is_better(before: ValidationScores | None, after: ValidationScores | None) -> bool | None:
    """Whether the mean Dice rose over the phases that have a score in both; None where none has."""
    pair = compared(before, after)
    return None if pair is None else pair[1] > pair[0]


def compared(before: ValidationScores | None, after: ValidationScores | None) -> tuple[float, float] | None:
    """Mean Dice before and after, over the phases that have a score in both; None where none has."""
    if before is None or after is None:
        return None
    both = [
        (was.dice, now.dice)
        for was, now in zip(before.phases, after.phases, strict=True)
        if was.dice is not None and now.dice is not None
    ]
    if not both:
        return None
    return float(np.mean([was for was, _ in both])), float(np.mean([now for _, now in both]))
