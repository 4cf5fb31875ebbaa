"""Simulated users, for studies: a true ratio with an error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.ratios.vector import Ratio, closed


def expert_ratio(true: ArrayLike, error: float, rng: np.random.Generator) -> Ratio:
    """Simulate an expert with log-normal error: multiply by exp(error * g), g ~ N(0, 1), renormalise.

    Phases that are absent stay open, since an expert who sees none of a phase says nothing of it. An ``error`` of 0.1
    is about 10 %.
    """
    truth = np.asarray(true, dtype=np.float64)
    noisy = truth * np.exp(error * rng.standard_normal(truth.size))
    noisy = noisy / noisy.sum()
    return np.where(truth > 0, noisy, np.nan)


def guess_ratio(true: ArrayLike, accuracy: float) -> Ratio:
    """The published guess G_i = a P_i + (1 - a)(1 - P_i)/(K - 1).

    Source: equation of the Phase Learning Module manuscript (ICLR 2025 submission). It pulls every ratio towards a
    flat mix; read it by the total variation it causes, not by ``a``.
    """
    truth = np.asarray(true, dtype=np.float64)
    if truth.size == 1:
        return truth.copy()
    guess: Ratio = accuracy * truth + (1 - accuracy) * (1 - truth) / (truth.size - 1)
    return closed(guess)
