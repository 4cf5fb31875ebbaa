"""A linear classifier of pixels, fitted to strokes: multinomial logistic regression on standardised features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import TrainingError

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float32]

RIDGE = 0.3
"""Weight of the squared weights against the mean loss of a pixel. From 0.1 to 3 the choice hardly matters
(`docs/benchmarks/finetune.md`)."""
MOST_STEPS = 60
MOST_PIXELS = 1000
"""Painted pixels of a phase that teach; more add seconds and no knowledge."""
SMALLEST_SPREAD = 1e-3
LEAST_SHARE = 1e-3
UNSEEN = -30.0
"""Score of a phase of which nothing is painted."""


@dataclass(frozen=True)
class Painted:
    """Painted pixels that teach, and pixels that show what the images look like.

    Attributes
    ----------
    features : ndarray of float32, shape (N, C)
    phases : ndarray of int, shape (N,)
        1..K.
    folds : ndarray of int, shape (N,)
        See `phaseguide.finetuning.strokes.islands.deal_islands`.
    everywhere : ndarray of float32, shape (M, C)
        Of pixels drawn from the whole images.
    """

    features: Floats
    phases: NDArray[np.intp]
    folds: NDArray[np.intp]
    everywhere: Floats


@dataclass(frozen=True)
class PixelFit:
    """What `phaseguide.models.backbones.pixels.backbone.PixelScores` is to hold, and how it came about.

    Attributes
    ----------
    centre, spread : ndarray of float32, shape (C,)
    weight : ndarray of float32, shape (K, C)
    bias : ndarray of float32, shape (K,)
    """

    centre: Floats
    spread: Floats
    weight: Floats
    bias: Floats


def judge_strokes(painted: Painted) -> tuple[int, int] | None:
    """Count painted pixels that are told right by fits that have not learnt from their stroke, and all of them.

    None where that cannot be said, since a phase is painted in one place only.
    """
    folds = np.unique(painted.folds)
    if folds.size < 2:
        return None
    centre, spread = _scale(painted)
    pixels = (painted.features - centre) / spread
    right = 0
    for fold in folds:
        held = painted.folds == fold
        fitted = _fitted(pixels[~held], painted.phases[~held])
        right += int(np.count_nonzero(fitted.predict(pixels[held]) == painted.phases[held]))
    return right, len(pixels)


def fit_pixels(painted: Painted, n_phases: int) -> PixelFit:
    """Fit the linear layer; a phase that is not painted is never the likeliest.

    Raises
    ------
    TrainingError
        Fewer than two phases are painted.
    """
    present = np.unique(painted.phases)
    if present.size < 2:
        raise TrainingError("Paint two phases or more, a stroke of each; then the mask follows.")
    centre, spread = _scale(painted)
    fitted = _fitted((painted.features - centre) / spread, painted.phases)
    rows, offsets = _one_row_each(fitted, present.size)
    weight = np.zeros((n_phases, painted.features.shape[1]), dtype=np.float32)
    bias = np.full(n_phases, UNSEEN, dtype=np.float32)
    weight[present - 1], bias[present - 1] = rows, offsets
    return PixelFit(centre, spread, weight, bias)


def _scale(painted: Painted) -> tuple[Floats, Floats]:
    """Mean and spread of each feature over the whole images."""
    known = painted.everywhere if len(painted.everywhere) else painted.features
    return known.mean(0), np.maximum(known.std(0), SMALLEST_SPREAD)


def _fitted(pixels: Floats, phases: NDArray[np.intp]) -> LogisticRegression:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    strength = 1 / (RIDGE * len(phases))
    found = LogisticRegression(C=strength, max_iter=MOST_STEPS, class_weight="balanced")
    # Threads cost more than they save with matrices so small, and much more where other work runs beside.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # So many steps are enough: the labels do not change any more.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found.fit(pixels, phases)
    return found


def _one_row_each(fitted: LogisticRegression, phases: int) -> tuple[Floats, Floats]:
    """Weights and offsets of each phase; of two phases scikit-learn gives the difference alone."""
    rows, offsets = fitted.coef_, fitted.intercept_
    if phases == 2:
        rows, offsets = np.concatenate([-rows, rows]) / 2, np.concatenate([-offsets, offsets]) / 2
    return rows.astype(np.float32), offsets.astype(np.float32)
