"""How far a ratio is believed: the blend with what the model sees, and the range that an uncertainty means."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import RatioError
from phaseguide.ratios.vector import FLOOR, Ratio, closed, complete_ratio

GROSS = 0.4
"""Standard deviations of the user's error from which a disagreement counts as gross (Huber's constant).

Fixed on cross-validation folds for all sources alike: a step below the largest with which a ratio that is
wrong by any of the errors studied did no harm (``docs/benchmarks/guidance.md``).
"""

PLANTS = 0.1
"""Uncertainty up to which a value shows that a phase is there: somebody has measured this very field."""


def kept_out(
    asked: ArrayLike, own: ArrayLike, uncertainty: ArrayLike, shown: ArrayLike = False
) -> NDArray[np.bool_]:
    """Tell which phases, shape (K,), `blend_ratios` leaves as the model sees them, since the image shows no trace.

    A value that was judged by eye, or measured on other fields, says how much there is of a phase, not that this
    field has it. One that is as sure as `PLANTS` does. A trace is an area of `FLOOR`, or what the user painted or put a
    box around: ``shown``, bool (K,). The other parameters are those of `blend_ratios`.
    """
    said, seen = np.asarray(asked, dtype=np.float64), np.asarray(own, dtype=np.float64)
    u = np.broadcast_to(np.asarray(uncertainty, dtype=np.float64), said.shape)
    none: NDArray[np.bool_] = ~np.isnan(said) & (seen < FLOOR) & (u > PLANTS)
    none &= ~np.broadcast_to(np.asarray(shown, dtype=bool), said.shape)
    # Where all the others are exact, or neither asked nor seen, what is left must go somewhere.
    takes_the_rest = np.isnan(said) | (~none & (u > 0) & ((said > 0) | (seen > 0)))
    return none if takes_the_rest.any() else np.zeros_like(none)


def blend_ratios(
    asked: ArrayLike,
    own: ArrayLike,
    uncertainty: ArrayLike,
    own_error: ArrayLike,
    shown: ArrayLike = False,
) -> Ratio:
    """Weigh what the user says against what the model sees, in log-ratio space.

    Both are read as noisy measurements of the same composition with independent errors in the
    logarithm. Its parts are the phases that the user set and, as one part, the rest: the blend is
    the precision-weighted mean of the logarithms, part by part, closed to sum 1 (a logarithmic
    opinion pool). The open phases then share the rest in the model's own proportions.

    One absurd number must not wreck a good image, so the user's error is read with Huber's density
    (Huber 1964): normal up to `GROSS` standard deviations, exponential tails beyond. The blend then
    moves away from ``own`` by s² / (s² + u²) of the disagreement, but by no more than GROSS s² / u.
    Unlike heavier tails this never takes a wish back as it grows: for a fixed ``own`` a phase's imposed
    share never falls when its asked share rises.

    An uncertain value plants no phase of which the image shows no trace (`kept_out`): such a phase has the share
    that the model sees, whatever was said of it.

    Parameters
    ----------
    asked : array_like, shape (K,)
        Valid ratio, NaN where open. Set phases that sum to 1 say that the open ones are absent.
    own : array_like, shape (K,)
        Area shares of the unguided map.
    uncertainty : float or array_like, shape (K,)
        Standard deviation of the user's value in log-ratio space, >= 0; 0 means exact.
    own_error : float or array_like, shape (K,)
        Standard deviation of the model's own estimate in log-ratio space, > 0.
    shown : bool or array_like of bool, shape (K,)
        Phases that the user has shown in the image.

    Returns
    -------
    ndarray of float64, shape (K,)
        The imposed composition; sums to 1. Both sides are floored at `FLOOR` before logarithms,
        except where the user's value is exact. A phase that neither side has stays at 0.

    Raises
    ------
    RatioError
        An uncertainty that is negative or not a number.
    """
    said, seen = np.array(asked, dtype=np.float64), np.asarray(own, dtype=np.float64)
    u = np.broadcast_to(np.asarray(uncertainty, dtype=np.float64), said.shape)
    if not (np.isfinite(u).all() and (u >= 0).all()):
        raise RatioError(f"The uncertainty {uncertainty!r} is not a number from 0 (exact) upwards.")
    s, is_open = np.broadcast_to(np.asarray(own_error, dtype=np.float64), said.shape), np.isnan(said)
    none = kept_out(said, seen, u, shown)
    room = max(0.0, 1 - float(said[~none & (u == 0) & ~is_open].sum()))  # what exact values leave
    said[none] = seen[none] * min(1.0, room / max(float(seen[none].sum()), FLOOR**2))
    stated, u = u, np.where(none, 0.0, u)
    # What such phases leave is for the uncertain ones, not for those that were given exactly.
    full = said.copy() if none.any() and not is_open.any() else complete_ratio(said, seen)
    if is_open.all() or (u[~is_open] == 0).all():
        return full
    given = ~is_open
    part_said, part_seen, part_u, part_s = full[given], seen[given], u[given], s[given]
    if is_open.any():
        # One part for all open phases; its errors are root mean squares of those that it stands for.
        weights = seen[is_open] if seen[is_open].sum() > 0 else np.ones(int(is_open.sum()))
        part_said = np.append(part_said, full[is_open].sum())
        part_seen = np.append(part_seen, seen[is_open].sum())
        part_u = np.append(part_u, np.sqrt(np.mean(stated[given] ** 2)))
        part_s = np.append(part_s, np.sqrt(np.average(s[is_open] ** 2, weights=weights)))
    parts = _blend_parts(part_said, part_seen, part_u, part_s)
    imposed = full.copy()
    imposed[given] = parts[: int(given.sum())]
    if is_open.any():
        imposed[is_open] = weights / weights.sum() * parts[-1]
    return closed(imposed)


def held_back(
    asked: ArrayLike, own: ArrayLike, uncertainty: ArrayLike, own_error: ArrayLike
) -> NDArray[np.bool_]:
    """Tell which asked phases, shape (K,), are so far from ``own`` that `blend_ratios` follows them only to its limit.

    False for open phases and for exact values.
    """
    said, seen = np.asarray(asked, dtype=np.float64), np.asarray(own, dtype=np.float64)
    u = np.broadcast_to(np.asarray(uncertainty, dtype=np.float64), said.shape)
    s = np.broadcast_to(np.asarray(own_error, dtype=np.float64), said.shape)
    given = ~np.isnan(said) & (u > 0)
    gap = np.abs(np.log(np.maximum(np.where(given, said, 1.0), FLOOR)) - np.log(np.maximum(seen, FLOOR)))
    held: NDArray[np.bool_] = given & (gap / (s**2 + u**2) > GROSS / np.where(given, u, 1.0))
    return held


def _blend_parts(said: Ratio, seen: Ratio, u: Ratio, s: Ratio) -> Ratio:
    """Blend set phases and, last, the rest where there are open ones; each part once."""
    exact = u == 0
    start = np.log(np.maximum(seen, FLOOR))
    gap = np.log(np.maximum(said, FLOOR)) - start
    with np.errstate(over="ignore"):  # a user who is all but exact may move it any distance
        farthest = GROSS * s**2 / np.where(exact, 1.0, u)
    logs = start + np.clip(s**2 / (s**2 + u**2) * gap, -farthest, farthest)
    blended = np.where((said == 0) & (seen == 0), 0.0, np.exp(logs))
    left = max(0.0, 1 - float(said[exact].sum()))  # what exact phases leave to the others
    total = float(blended[~exact].sum())
    parts: Ratio = np.where(exact, said, blended * (left / total if total > 0 else 0.0))
    return parts


def ratio_range(share: float, uncertainty: float) -> tuple[float, float]:
    """Return the 68 % range (one standard deviation) of a share, in [0, 1].

    The uncertainty is a standard deviation of the log of the ratio share : rest.
    """
    if not 0 < share < 1:
        return (share, share)
    odds = (share * math.exp(sign * uncertainty) for sign in (-1, 1))
    low, high = (min(1.0, weight / (weight + 1 - share)) for weight in odds)  # rounding may pass 1
    return (low, high)
