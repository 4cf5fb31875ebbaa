"""Fitting the score head on images that a network has not seen; see `phaseguide.segmentation.network.score_head`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.models.card import ScoreHeadCard
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.segmentation.network.score_head import head_inputs
from phaseguide.segmentation.session import Session

SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Sizes in px at which the image is looked at; chosen on the cross-validation folds."""

PIXELS = 12_000
"""Labelled pixels drawn from each image, so that every image counts alike."""

STRENGTH = 0.1
"""Inverse strength of the ridge penalty on standardised inputs (scikit-learn's ``C``)."""


@dataclass(frozen=True)
class HeadSample:
    """Inputs of a head at labelled pixels of one image: shape (n, D), and their phases 1..K, shape (n,)."""

    inputs: NDArray[np.float32]
    phases: NDArray[np.uint8]


def head_sample(session: Session, labels: NDArray[np.uint8], *, seed: int = 0) -> HeadSample:
    """Draw labelled pixels of an image whose scores the session has; its model must not have seen the image."""
    if session.scores is None:
        raise PhaseguideError(f"{session.name}: there are no scores yet. Segment it first.")
    metal = session.metal
    scores, grey = np.asarray(session.scores[:, *metal.window]), metal.planes().mean(0)
    return draw_sample(scores, grey, labels[metal.window], metal.excluded, seed=seed)


def draw_sample(
    scores: NDArray[np.float32],
    grey: NDArray[np.float32],
    labels: NDArray[np.uint8],
    excluded: NDArray[np.bool_] | None,
    *,
    seed: int = 0,
) -> HeadSample:
    """Draw labelled pixels of the window of an image: scores (K, H, W), the others (H, W)."""
    known = np.flatnonzero((labels != NOT_CLASSIFIED) & (labels != EXCLUDED))
    drawn = np.random.default_rng(seed).choice(known, min(PIXELS, known.size), replace=False)
    maps = head_inputs(scores, grey, _template(len(scores)), excluded)
    columns = [m.ravel()[drawn] for m in maps]
    return HeadSample(np.stack(columns, axis=1), labels.ravel()[drawn])


def fit_head(samples: Sequence[HeadSample], n_phases: int) -> ScoreHeadCard | None:
    """Fit a head on images that the networks behind the scores have not seen; None where they do not hold every
    phase.
    """
    from sklearn.linear_model import LogisticRegression

    if not samples:
        return None
    inputs = np.concatenate([s.inputs for s in samples]).astype(np.float64)
    phases = np.concatenate([s.phases for s in samples])
    if np.unique(phases).size < n_phases or n_phases < 2:
        return None
    centre, spread = inputs.mean(0), inputs.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    fit = LogisticRegression(C=STRENGTH, max_iter=300).fit((inputs - centre) / spread, phases)
    coefficients, intercept = fit.coef_, fit.intercept_
    if n_phases == 2:  # one row stands for both
        coefficients, intercept = (
            np.vstack((-coefficients, coefficients)) / 2,
            np.array([-1, 1]) * intercept / 2,
        )
    weights = coefficients / spread
    return _template(n_phases).model_copy(
        update={"weights": weights.tolist(), "bias": (intercept - weights @ centre).tolist()}
    )


def _template(n_phases: int) -> ScoreHeadCard:
    columns = n_phases + 1 + 2 * len(SIGMAS)
    return ScoreHeadCard(sigmas=list(SIGMAS), weights=[[0.0] * columns] * n_phases, bias=[0.0] * n_phases)
