"""Exact composition: how many pixels a phase gets, and which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

LabelMap = NDArray[np.uint8]


def pixel_counts(shares: Sequence[float], pixels: int) -> NDArray[np.int64]:
    """Divide pixels among phases: each gets its share to less than one pixel, and none is left (largest remainder)."""
    wanted = np.asarray(shares, dtype=np.float64) / np.sum(shares) * pixels
    counts: NDArray[np.int64] = np.floor(wanted).astype(np.int64)
    rest = pixels - int(counts.sum())
    counts[np.argsort(counts - wanted, kind="stable")[:rest]] += 1
    return counts


def truncated(
    scores: Iterable[tuple[int, NDArray[np.float64]]],
    counts: NDArray[np.int64],
    shape: tuple[int, int],
    rest: int,
) -> LabelMap:
    """Give each phase its pixels, one phase after the other: of those still free, the ones of highest score.

    That is a truncated plurigaussian simulation [1]_ whose thresholds are quantiles of this field, not of an endless
    one.

    Parameters
    ----------
    scores : iterable of (int, ndarray of float64, shape (H, W))
        Labels, each with how much a pixel belongs to it.
    counts : ndarray of int, shape (K,)
        Pixels of each phase; their sum is H times W.
    shape : (int, int)
        H and W.
    rest : int
        Label of what is free in the end.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Labels 1..K.

    References
    ----------
    .. [1] M. Armstrong et al., "Plurigaussian Simulations in Geosciences", 2nd ed., Springer 2011.
       https://doi.org/10.1007/978-3-642-19607-2
    """
    labels = np.full(shape, rest, dtype=np.uint8)
    free = np.arange(labels.size)
    for label, score in scores:
        order = np.argsort(-score.ravel()[free], kind="stable")
        taken, left = np.split(order, [int(counts[label - 1])])
        labels.ravel()[free[taken]] = label
        free = free[np.sort(left)]
    return labels
