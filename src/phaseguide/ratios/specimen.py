"""A specimen's ratio, met by the mean of its fields while their scatter stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import RatioError
from phaseguide.ratios.vector import FLOOR, Ratio

MEAN_TOLERANCE = 1e-9
ROUNDS = 500
LONGEST_STEP = 4.0
"""Where the function is nearly flat Newton's step is long and wrong; this bounds it."""


def shift_to_mean(own: ArrayLike, areas: ArrayLike, wanted: ArrayLike) -> NDArray[np.float64]:
    """Move all fields by one shift in log-ratio space so that their mean is what is wanted.

    Field t gets the shares p_tk ~ own_tk exp(b_k) with one b for all fields, so the log-ratio of any two phases
    differs between two fields as it did before. b minimises the convex function

        f(b) = sum_t w_t log sum_k own_tk exp(b_k) - sum_k wanted_k b_k,

    with w the shares of the areas; its gradient is mean minus wanted. Newton's method where it helps, else the step b
    += log(wanted / mean) of iterative proportional fitting, which never fails. A phase that is not wanted at all is 0
    in every field. A field that shows no trace of a phase (less than `FLOOR`) keeps its own share for a start, which
    may be none, where the others can hold what is wanted; else `FLOOR`, so that a phase which no field shows can
    still be wanted. Rows of the result sum to 1. `RatioError` if no field has an area.
    """
    seen, target = np.asarray(own, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    weights = np.asarray(areas, dtype=np.float64)
    if weights.size == 0 or not weights.sum() > 0:
        raise RatioError("No field has any area, so there is no mean to be met. Give at least one field.")
    present = target > MEAN_TOLERANCE
    ratios = np.zeros_like(seen)
    weights, target = weights / weights.sum(), target[present] / target[present].sum()
    floored = np.maximum(seen[:, present], FLOOR)
    holds = seen[:, present] >= FLOOR
    # Half of the area that shows a phase is room enough for it, whatever else the fields hold.
    floored = np.where(~holds & (target < 0.5 * (weights @ holds)), seen[:, present], floored)
    with np.errstate(divide="ignore"):
        ratios[:, present] = _fit(np.log(floored), weights, target)
    return ratios


def _fit(logs: NDArray[np.float64], weights: NDArray[np.float64], target: Ratio) -> NDArray[np.float64]:
    shift = np.zeros(target.size)
    shares, value = _shifted(logs, weights, target, shift)
    for _ in range(ROUNDS):
        mean = weights @ shares
        if np.abs(mean - target).max() < MEAN_TOLERANCE:
            break
        hessian = np.diag(mean) - (shares * weights[:, None]).T @ shares
        # Singular along (1, ..., 1), which changes nothing; least squares leaves that direction out.
        newton = np.linalg.lstsq(hessian, target - mean, rcond=1e-12)[0]
        newton *= min(1.0, LONGEST_STEP / max(float(np.abs(newton).max()), 1e-300))
        for step in (newton, np.log(target / mean)):
            moved, lower = _shifted(logs, weights, target, shift + step)
            if lower <= value + 1e-13:  # rounding, near the minimum
                break
        shift, shares, value = shift + step, moved, lower
    return shares


def _shifted(
    logs: NDArray[np.float64], weights: NDArray[np.float64], target: Ratio, shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Shares of the fields after a shift, and the convex function there."""
    moved = logs + shift
    top = moved.max(1, keepdims=True)
    parts = np.exp(moved - top)
    sums = parts.sum(1, keepdims=True)
    return parts / sums, float(weights @ (np.log(sums) + top)[:, 0] - target @ shift)
