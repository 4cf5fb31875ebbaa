"""Prior-shift expectation-maximisation: the composition that explains the scores best.

Source: Saerens, Latinne, Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori
probabilities". It assumes that a phase looks the same whatever its amount, and scores that are calibrated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.ratios import FLOOR, Ratio, closed

ROUNDS = 100
SETTLED = 1e-5
_SAMPLE = 1 << 18  # pixels looked at; their error is far below that of the assumption


def prior_shift(scores: NDArray[Any], prior: ArrayLike, excluded: NDArray[np.bool_] | None = None) -> Ratio:
    """Estimate the composition of an image.

    Parameters
    ----------
    scores : ndarray of float, shape (K, H, W)
        Calibrated log probabilities under ``prior``, up to a constant at each pixel.
    prior : array_like, shape (K,)
        Composition of the images that the scores were learnt on.
    excluded : ndarray of bool, shape (H, W), optional
        Pixels to leave out.

    Returns
    -------
    ndarray of float64, shape (K,)
        Sums to 1.
    """
    step = max(1, int(np.ceil(np.sqrt(scores[0].size / _SAMPLE))))
    seen = np.array(scores[:, ::step, ::step], dtype=np.float64).reshape(len(scores), -1)
    if excluded is not None:
        seen = seen[:, ~excluded[::step, ::step].ravel()]
    seen -= seen.max(axis=0)
    likelihood = np.exp(seen)
    likelihood /= likelihood.sum(axis=0)
    before = np.maximum(np.asarray(prior, dtype=np.float64), FLOOR)
    estimate: Ratio = likelihood.mean(axis=1)
    for _ in range(ROUNDS):
        weighted = likelihood * (estimate / before)[:, None]
        weighted /= weighted.sum(axis=0)
        changed = weighted.mean(axis=1)
        settled = np.abs(changed - estimate).max() < SETTLED
        estimate = changed
        if settled:
            break
    return closed(estimate)
