"""Ratio vectors: validate, complete, measure from labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import RatioError, SchemeError
from phaseguide.phases import EXCLUDED, Phase, PhaseScheme

Ratio = NDArray[np.float64]

FLOOR = 0.001
"""Smallest share (0.1 percentage points) that enters a logarithm."""

SUM_TOLERANCE = 0.005
"""A full ratio may miss 100 % by this much (typed roundings such as 3 x 33.3) and is then scaled."""


def find_phase(name: str, scheme: PhaseScheme) -> Phase:
    """Return what `PhaseScheme.find` does; raises `RatioError` if there is none."""
    try:
        return scheme.find(name)
    except SchemeError as error:
        raise RatioError(str(error)) from error


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
                f"{phase.name}: {float(share) * 100:.6g} % is not an area share. Enter a value from 0 to 100 %."
            )
    total = float(np.nansum(ratio))
    if total > 1 + SUM_TOLERANCE:
        raise RatioError(
            f"The phases sum to {total * 100:.2f} %, more than 100 %. Lower one, or scale them all."
        )
    is_open = np.isnan(ratio)
    if not is_open.any() and total == 0:
        raise RatioError("Every phase is 0 %. Give at least one a share, or leave one open.")
    if not is_open.any() and total < 1 - SUM_TOLERANCE:
        raise RatioError(
            f"All phases are set, but they sum to {total * 100:.2f} %. Leave one open, or scale them to 100 %."
        )
    if total > 1 or not is_open.any():
        ratio /= total
    return ratio


def complete_ratio(asked: ArrayLike, own: ArrayLike) -> Ratio:
    """Fill the open phases: they share the rest in the model's proportions, equally where it sees none. Sums to 1."""
    ratio: Ratio = np.array(asked, dtype=np.float64)
    is_open = np.isnan(ratio)
    if not is_open.any():
        return closed(ratio)
    weights = np.asarray(own, dtype=np.float64)[is_open]
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(weights.size, 1 / weights.size)
    ratio[is_open] = max(0.0, 1 - ratio[~is_open].sum()) * weights
    return closed(ratio)


def closed(parts: Ratio) -> Ratio:
    """Scale parts to sum 1."""
    shares: Ratio = parts / parts.sum()
    return shares


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
