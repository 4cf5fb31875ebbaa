"""Scores of a segmentation, all from one confusion matrix, so that they can be pooled by adding matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import SchemeError
from phaseguide.evaluation.tables import Floats, mean_known, named, plain
from phaseguide.phases import EXCLUDED, MAX_PHASES, NOT_CLASSIFIED, PhaseScheme

Ints = NDArray[np.int64]


def confusion_matrix(true: NDArray[Any], predicted: NDArray[Any], n_phases: int) -> Ints:
    """Count pixels by true and predicted phase.

    Pixels whose true label is 0 (not classified) or 255 (excluded) are ignored. A predicted 0 or 255 where the true
    label is a phase is an error like any other and is counted in the last column. Shape (K, K + 1): rows are true
    phases, columns predicted ones, then "none". `SchemeError` if shapes differ, or a label is no phase.
    """
    if true.shape != predicted.shape:
        raise SchemeError(
            f"The true labels have shape {true.shape} but the prediction {predicted.shape}. "
            "Compare label maps of the same image."
        )
    if not 1 <= n_phases <= MAX_PHASES:
        raise SchemeError(f"{n_phases} phases; there can be 1 to {MAX_PHASES}.")
    row = _codes(true, n_phases, "true labels")
    column = _codes(predicted, n_phases, "prediction")
    size = n_phases + 1
    table = np.bincount((row * size + column).ravel(), minlength=size * size).reshape(size, size)
    return table[:n_phases].astype(np.int64)


def _codes(labels: NDArray[Any], n_phases: int, what: str) -> NDArray[np.intp]:
    """Map labels 1..K to 0..K-1, 0 and 255 to K."""
    if labels.size and (labels.min() < 0 or labels.max() > EXCLUDED):
        raise SchemeError(f"The {what} hold values outside 0..{EXCLUDED}. Save them as 8-bit labels.")
    code = np.full(EXCLUDED + 1, -1, dtype=np.intp)
    code[1 : n_phases + 1] = np.arange(n_phases)
    code[[NOT_CLASSIFIED, EXCLUDED]] = n_phases
    coded: NDArray[np.intp] = code[labels.astype(np.uint8, copy=False)]
    if coded.min(initial=0) < 0:
        value = int(labels[coded < 0].flat[0])
        raise SchemeError(
            f"The {what} hold label {value}, but there are {n_phases} phases (and 0 and {EXCLUDED}). "
            "Relabel them, or choose the model made for these phases."
        )
    return coded


@dataclass(frozen=True)
class Scores:
    """Agreement of a prediction with true labels, per phase of shape (K,), in [0, 1].

    ``tp``, ``fp`` and ``fn`` are pixels: hits, false alarms and misses. ``dice`` and ``iou`` are NaN for a phase that
    is in neither map, and their means leave it out. ``micro_iou`` is pixels with the right phase over those in the
    union of true and predicted phase, summed over the phases: the number that the NASA benchmarks give.
    ``fraction_error`` is predicted minus true area share, ``fraction_mae`` the mean of its magnitude,
    ``total_variation`` the share of the area that would have to change its phase to make the compositions equal.
    """

    tp: Floats
    fp: Floats
    fn: Floats
    dice: Floats
    iou: Floats
    dice_mean: float
    miou: float
    accuracy: float
    micro_iou: float
    fraction_error: Floats
    fraction_mae: float
    total_variation: float

    def agreement(self, scheme: PhaseScheme) -> dict[str, Any]:
        """Return those of the numbers of `to_dict` that are no area shares."""
        return {
            "dice_mean": plain(self.dice_mean),
            "dice": named(self.dice, scheme),
            "miou": plain(self.miou),
            "iou": named(self.iou, scheme),
            "accuracy": plain(self.accuracy),
            "micro_iou": plain(self.micro_iou),
        }

    def counts(self, scheme: PhaseScheme) -> dict[str, Any]:
        """Return hits, false alarms and misses in pixels, by phase name."""
        return {name: named(getattr(self, name), scheme) for name in ("tp", "fp", "fn")}

    def to_dict(self, scheme: PhaseScheme) -> dict[str, Any]:
        """Return plain numbers for JSON, per-phase ones by phase name; NaN becomes None.

        Scores and shares are in [0, 1], keys that end in ``_pp`` are in percentage points.
        """
        return {
            **self.agreement(scheme),
            "fraction_error_pp": named(100 * self.fraction_error, scheme),
            "fraction_mae_pp": plain(100 * self.fraction_mae),
            "total_variation": plain(self.total_variation),
        }


def scores_from_confusion(confusion: NDArray[Any]) -> Scores:
    """Compute all scores from a confusion matrix, or from a sum of several; all are NaN if no pixel was labelled."""
    table = np.asarray(confusion, dtype=np.float64)
    n_phases = len(table)
    hit = np.diagonal(table)
    true = table.sum(axis=1)
    predicted = table[:, :n_phases].sum(axis=0)
    total = float(table.sum())
    with np.errstate(invalid="ignore"):
        dice = 2 * hit / (true + predicted)
        iou = hit / (true + predicted - hit)
    accuracy = float(hit.sum()) / total if total else math.nan
    # Pixels predicted as none stay in the denominator: leaving them out would flatter the rest.
    error = (predicted - true) / total if total else np.full(n_phases, math.nan)
    none = float(table[:, n_phases:].sum())
    # Every pixel is in the union of its true phase, and once more in that of a predicted one if wrong.
    union = 2 * total - none - float(hit.sum())
    return Scores(
        tp=hit,
        fp=predicted - hit,
        fn=true - hit,
        dice=dice,
        iou=iou,
        dice_mean=float(mean_known(dice)),
        miou=float(mean_known(iou)),
        accuracy=accuracy,
        micro_iou=float(hit.sum()) / union if total else math.nan,
        fraction_error=error,
        fraction_mae=float(np.abs(error).mean()),
        total_variation=(float(np.abs(error).sum()) + none / total) / 2 if total else math.nan,
    )
