"""Simulated users, for studies: a true ratio with an error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.ratios.sources import SOURCES
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


def draw_statement(true: ArrayLike, rng: np.random.Generator) -> tuple[Ratio, float]:
    """Draw what a user may say of a field, and how sure they say they are, for training.

    One in three is right and exact; others have a log-normal error of 5 to 50 % and state it, take it for exact, or
    call it a visual estimate; one in six is a guess of `guess_ratio`, a = 0.5 to 0.95, that is called one. Sometimes
    only one phase is set. So a network can learn how far to trust which statement.

    Parameters
    ----------
    true : array_like, shape (K,)
        Area shares of the labels.
    rng : Generator

    Returns
    -------
    asked : ndarray, shape (K,)
        NaN where open.
    uncertainty : float
        Standard deviation in log-ratio space that is stated; 0: exact.
    """
    kind, visual = rng.random(), SOURCES[-1].uncertainty
    if kind < 1 / 3:
        asked, stated = np.array(true, dtype=np.float64), 0.0
    elif kind < 5 / 6:
        error = float(rng.choice([0.05, 0.1, 0.2, 0.3, 0.5]))
        asked = expert_ratio(true, error, rng)
        stated = float(rng.choice([error, visual, 0.0], p=[0.5, 0.4, 0.1]))
    else:
        asked, stated = guess_ratio(true, float(rng.uniform(0.5, 0.95))), visual
    if rng.random() < 0.15:
        asked = np.where(np.arange(asked.size) == rng.integers(asked.size), asked, np.nan)
    return asked, stated
