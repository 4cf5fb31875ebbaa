"""Phase ratios: what the user says about area shares, and the algebra on it.

A ratio is a float64 vector of K area shares in [0, 1], in label order. NaN marks an *open* phase,
about which nothing was said. No ratio at all is ``None``. Words (asked, own, imposed, achieved) are
those of the documentation: *asked* is what the user gave, *own* the area shares of the unguided map,
*imposed* what the final map should have.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import RatioError, SchemeError
from phaseguide.phases import EXCLUDED, PhaseScheme

Ratio = NDArray[np.float64]

FLOOR = 0.001
"""Smallest share (0.1 percentage points) that enters a logarithm."""

SUM_TOLERANCE = 0.005
"""A full ratio may miss 100 % by this much (typed roundings such as 3 x 33.3) and is then scaled."""

_ENTRY = re.compile(r"(?P<name>.+?)\s*[=:]\s*(?P<value>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<percent>%?)")


def parse_ratio(text: str, scheme: PhaseScheme) -> Ratio:
    """Read ``"ferrite=0.2, martensite=15%"``; phases that are not named stay open.

    Parameters
    ----------
    text : str
        Pairs ``phase=share`` separated by commas or semicolons. The phase is a name (case,
        accents and spaces ignored) or a label number, the share a number in [0, 1] or with ``%``.
    scheme : PhaseScheme

    Returns
    -------
    ndarray of float64, shape (K,)
        Shares in [0, 1], NaN where open.

    Raises
    ------
    RatioError
        Not readable, unknown phase, a phase named twice, negative, or more than 100 %.
    """
    ratio = np.full(len(scheme), np.nan)
    for part in filter(None, (p.strip() for p in re.split(r"[,;]", text))):
        match = _ENTRY.fullmatch(part)
        try:
            value = float(match["value"]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or math.isnan(value):
            raise RatioError(
                f'Ratio {part!r} is not understood. Write phase=share, for example "{scheme.names[0]}=15%" '
                f'or "{scheme.names[0]}=0.15", separated by commas.'
            )
        try:
            phase = scheme.find(match["name"])
        except SchemeError as error:
            raise RatioError(str(error)) from error
        if not np.isnan(ratio[phase.label - 1]):
            raise RatioError(f"Phase {phase.name!r} has two values in {text!r}. Keep one.")
        if not match["percent"] and value > 1:
            raise RatioError(
                f"{phase.name} = {match['value']} is more than the whole. "
                f"Write {match['value']}% for percent, or a share between 0 and 1."
            )
        ratio[phase.label - 1] = value / 100 if match["percent"] else value
    return validate_ratio(ratio, scheme)


def validate_ratio(asked: ArrayLike, scheme: PhaseScheme) -> Ratio:
    """Check an asked ratio and return it; a full one that misses 100 % by rounding is scaled.

    Parameters
    ----------
    asked : array_like, shape (K,)
        Shares in [0, 1], NaN where open.
    scheme : PhaseScheme

    Returns
    -------
    ndarray of float64, shape (K,)

    Raises
    ------
    RatioError
        Wrong length, infinite, negative, over 100 %, or all phases set and the sum not 100 %.
    """
    ratio: Ratio = np.array(asked, dtype=np.float64)
    if ratio.shape != (len(scheme),):
        raise RatioError(
            f"The ratio has {ratio.size} values, but there are {len(scheme)} phases: {scheme.describe()}."
        )
    for phase, share in zip(scheme, ratio, strict=True):
        if np.isinf(share) or share < 0 or share > 1 + SUM_TOLERANCE:
            raise RatioError(
                f"{phase.name}: {share * 100:.6g} % is not an area share. Enter a value from 0 to 100 %."
            )
    total = float(np.nansum(ratio))
    if total > 1 + SUM_TOLERANCE:
        raise RatioError(
            f"The phases sum to {total * 100:.2f} %, more than 100 %. Lower one, or scale them all."
        )
    is_open = np.isnan(ratio)
    if not is_open.any() and total < 1 - SUM_TOLERANCE:
        raise RatioError(
            f"All phases are set, but they sum to {total * 100:.2f} %. Leave one open, or scale them to 100 %."
        )
    if total > 1 or not is_open.any():
        ratio /= total
    return ratio


def complete_ratio(asked: ArrayLike, own: ArrayLike) -> Ratio:
    """Fill the open phases: they share the remainder in the model's own proportions.

    Parameters
    ----------
    asked : array_like, shape (K,)
        Valid ratio, NaN where open.
    own : array_like, shape (K,)
        Area shares of the unguided map. Where it sees none of the open phases, they share equally.

    Returns
    -------
    ndarray of float64, shape (K,)
        Sums to 1.
    """
    ratio: Ratio = np.array(asked, dtype=np.float64)
    is_open = np.isnan(ratio)
    if not is_open.any():
        return _closed(ratio)
    weights = np.asarray(own, dtype=np.float64)[is_open]
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(weights.size, 1 / weights.size)
    ratio[is_open] = max(0.0, 1 - ratio[~is_open].sum()) * weights
    return _closed(ratio)


def _closed(parts: Ratio) -> Ratio:
    """Scale parts to sum 1."""
    shares: Ratio = parts / parts.sum()
    return shares


def blend_ratios(asked: ArrayLike, own: ArrayLike, uncertainty: ArrayLike, own_error: ArrayLike) -> Ratio:
    """Weigh what the user says against what the model sees, in log-ratio space.

    Both are read as noisy measurements of the same composition with independent errors in the
    logarithm. Its parts are the phases that the user set and, as one part, the rest: the blend is
    the precision-weighted mean of the logarithms, part by part, closed to sum 1 (a logarithmic
    opinion pool). The open phases then share the rest in the model's own proportions. For a fixed
    ``own`` a phase's imposed share rises with its asked share.

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
    full, seen = complete_ratio(asked, own), np.asarray(own, dtype=np.float64)
    u = np.broadcast_to(np.asarray(uncertainty, dtype=np.float64), full.shape)
    if not (np.isfinite(u).all() and (u >= 0).all()):
        raise RatioError(f"The uncertainty {uncertainty!r} is not a number from 0 (exact) upwards.")
    s = np.broadcast_to(np.asarray(own_error, dtype=np.float64), full.shape)
    is_open = np.isnan(np.asarray(asked, dtype=np.float64))
    if is_open.all() or (u[~is_open] == 0).all():
        return full
    given = ~is_open
    part_said, part_seen, part_u, part_s = full[given], seen[given], u[given], s[given]
    if is_open.any():
        # One part for all open phases; its errors are root mean squares of those that it stands for.
        weights = seen[is_open] if seen[is_open].sum() > 0 else np.ones(int(is_open.sum()))
        part_said = np.append(part_said, full[is_open].sum())
        part_seen = np.append(part_seen, seen[is_open].sum())
        part_u = np.append(part_u, np.sqrt(np.mean(u[given] ** 2)))
        part_s = np.append(part_s, np.sqrt(np.average(s[is_open] ** 2, weights=weights)))
    parts = _blend_parts(part_said, part_seen, part_u, part_s)
    imposed = full.copy()
    imposed[given] = parts[: int(given.sum())]
    if is_open.any():
        imposed[is_open] = weights / weights.sum() * parts[-1]
    return _closed(imposed)


def _blend_parts(said: Ratio, seen: Ratio, u: Ratio, s: Ratio) -> Ratio:
    """Blend set phases and, last, the rest where there are open ones; each part once."""
    exact = u == 0
    weight = s**2 / (s**2 + u**2)
    logs = weight * np.log(np.maximum(said, FLOOR)) + (1 - weight) * np.log(np.maximum(seen, FLOOR))
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
    low, high = (weight / (weight + 1 - share) for weight in odds)
    return (low, high)


def ratio_from_labels(labels: ArrayLike, n_phases: int) -> Ratio | None:
    """Area shares of a label map; 0 (not classified) and 255 (excluded) are left out.

    Parameters
    ----------
    labels : array_like of int, any shape
    n_phases : int
        K.

    Returns
    -------
    ndarray of float64, shape (K,), or None
        None when no pixel carries a phase.
    """
    counts = count_labels(labels)[1 : n_phases + 1]
    total = counts.sum()
    return counts / total if total else None


def count_labels(labels: ArrayLike) -> NDArray[np.int64]:
    """Pixels for each label value 0..255 of a uint8-compatible label map."""
    flat = np.asarray(labels).ravel()
    if flat.dtype != np.uint8:
        if flat.size and (flat.min() < 0 or flat.max() > EXCLUDED):
            raise SchemeError(
                f"Label values must lie in 0..255; these run from {flat.min()} to {flat.max()}."
            )
        flat = flat.astype(np.uint8)
    return np.bincount(flat, minlength=256).astype(np.int64)


def total_variation(a: ArrayLike, b: ArrayLike) -> float:
    """Half the sum of absolute differences of two compositions, in [0, 1]."""
    return float(np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).sum() / 2)


def expert_ratio(true: ArrayLike, error: float, rng: np.random.Generator) -> Ratio:
    """Simulate an expert with log-normal error: multiply by exp(error * g), g ~ N(0, 1), renormalise.

    Phases that are absent stay open, since an expert who sees none of a phase says nothing of it.

    Parameters
    ----------
    true : array_like, shape (K,)
    error : float
        Standard deviation in log space (0.1 is about 10 %).
    rng : numpy.random.Generator
    """
    truth = np.asarray(true, dtype=np.float64)
    noisy = truth * np.exp(error * rng.standard_normal(truth.size))
    noisy = noisy / noisy.sum()
    return np.where(truth > 0, noisy, np.nan)


def guess_ratio(true: ArrayLike, accuracy: float) -> Ratio:
    """The published guess G_i = a P_i + (1 - a)(1 - P_i)/(K - 1).

    Source: equation of the Phase Learning Module manuscript (ICLR 2025 submission). It pulls every
    ratio towards a flat mix; read it by the total variation it causes, not by ``a``.

    Parameters
    ----------
    true : array_like, shape (K,)
    accuracy : float
        a, in [0, 1].
    """
    truth = np.asarray(true, dtype=np.float64)
    if truth.size == 1:
        return truth.copy()
    guess: Ratio = accuracy * truth + (1 - accuracy) * (1 - truth) / (truth.size - 1)
    return _closed(guess)
