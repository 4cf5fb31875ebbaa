"""How far a model's own composition can be believed: its error, measured on images with labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.card import DEFAULT_OWN_ERROR
from phaseguide.ratios import FLOOR


def own_error(
    own: NDArray[np.float64], true: NDArray[np.float64], *, prior_images: int = 0
) -> NDArray[np.float64]:
    """Composition error of a model per phase, as a standard deviation in log-ratio space.

    Root mean square over the images of the error in log(phase : rest), the same measure in which a user's uncertainty
    is stated. On a phase that is absent, or alone, an image says nothing. Shares have shape (n, K). ``prior_images``
    imagined ones with `DEFAULT_OWN_ERROR` are mixed in, since few real ones tell little; that is also returned where
    nothing is known.
    """
    gap = _log_odds(own) - _log_odds(true)
    telling = (true > FLOOR) & (true < 1 - FLOOR)
    squares = (gap**2 * telling).sum(0) + prior_images * DEFAULT_OWN_ERROR**2
    counts = telling.sum(0) + prior_images
    error: NDArray[np.float64] = np.where(
        counts > 0, np.sqrt(squares / np.maximum(counts, 1)), DEFAULT_OWN_ERROR
    )
    return error


def own_variation(own: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Total variation between own and true composition, shape (n, K), that 95 % of the images stay below."""
    gaps = np.abs(own - true).sum(1) / 2
    return float(np.quantile(gaps, 0.95))


def _log_odds(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(shares, FLOOR, 1 - FLOOR)
    odds: NDArray[np.float64] = np.log(inside / (1 - inside))
    return odds
