"""How sure a value must be for a wanted share to be imposed: the inverse of the blend, one phase at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.ratios.belief import blend_ratios

SUREST, LEAST_SURE = 0.01, 10.0
"""Uncertainties between which a value is followed more or less; a surer one is exact."""

_STEPS = 30


def uncertainty_for(
    wanted: float,
    phase: int,
    asked: ArrayLike,
    own: ArrayLike,
    uncertainty: ArrayLike,
    own_error: ArrayLike,
) -> float:
    """Return the uncertainty of one phase with which `blend_ratios` imposes a share on it that lies nearest to one.

    The blend of a phase goes from the user's value (exact) to what the model sees (unsure) without turning back, so
    bisection in the logarithm finds the place; the values of the other phases keep what they have.

    Parameters
    ----------
    wanted : float
        Share in [0, 1] that the phase is to have.
    phase : int
        Index of the phase, which must be set in ``asked``.
    asked, own, uncertainty, own_error : array_like
        See `blend_ratios`.

    Returns
    -------
    float
        0 (exact) for what the user's own value or a surer one than `SUREST` imposes; else `SUREST` to `LEAST_SURE`.
    """
    said = np.array(asked, dtype=np.float64)
    unsure = np.broadcast_to(np.asarray(uncertainty, dtype=np.float64), said.shape).copy()

    def imposed(u: float) -> float:
        unsure[phase] = u
        return float(blend_ratios(said, own, unsure, own_error)[phase])

    exact, surest, least = imposed(0.0), imposed(SUREST), imposed(LEAST_SURE)
    sign = 1.0 if exact >= least else -1.0  # the blend goes down or up as the value gets less sure
    if sign * (wanted - (exact + surest) / 2) >= 0:
        return 0.0
    if sign * (wanted - least) <= 0:
        return LEAST_SURE
    low, high = np.log(SUREST), np.log(LEAST_SURE)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if sign * (imposed(float(np.exp(middle))) - wanted) > 0:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))
