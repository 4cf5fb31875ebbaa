"""How much an area fraction depends on where exactly the boundaries lie: one pixel either way.

A boundary is never known better than to about a pixel: the beam has a width, the labels of the
training images have a hand. For a coarse phase that is nothing, for a fine one it can be 40 % of
its area. So every area fraction is shown beside the two that it would be.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
Mask = NDArray[np.bool_]

STRIP_PX = 1 << 18
"""Pixels that are looked at together, so that the work stays in the processor's cache."""


def boundary_sensitivity(labels: NDArray[np.uint8], n_phases: int) -> tuple[Shares, Shares]:
    """Area shares of each phase if all its boundaries lay one pixel further in, or further out.

    Each phase for itself is eroded, and dilated at the cost of its neighbours, by the 4-connected
    unit element. Only boundaries between two phases move: those with excluded or unclassified pixels
    and the frame of the image stay.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        1..K; 0 (not classified) and 255 (excluded) leave the denominator.
    n_phases : int
        K, 1..254.

    Returns
    -------
    low, high : ndarray of float64, shape (K,)
        Shares of the classified pixels, in [0, 1]; ``low <= share <= high``. Zeros where nothing is
        classified.
    """
    inner, outer = np.zeros(n_phases, dtype=np.int64), np.zeros(n_phases, dtype=np.int64)
    total = 0
    for strip, rows in _strips(labels):
        # Wraps around, so that 0 and 255 both end above every phase.
        known = (strip - np.uint8(1)) < n_phases
        boundary = _boundary(strip, known)[rows]
        total += int(np.count_nonzero(known[rows]))
        for k in range(n_phases):
            phase = strip == k + 1
            inner[k] += np.count_nonzero(phase[rows] & ~boundary)
            if phase.any():
                outer[k] += np.count_nonzero((_dilate(phase) & known)[rows])
    return inner / max(total, 1), outer / max(total, 1)


def _strips(labels: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], slice]]:
    """Strips of rows with a neighbouring row on either side, and which of their rows count."""
    height, width = labels.shape
    step = max(1, STRIP_PX // max(width, 1))
    for top in range(0, height, step):
        first, bottom = max(0, top - 1), min(height, top + step)
        yield np.ascontiguousarray(labels[first : bottom + 1]), slice(top - first, bottom - first)


def _boundary(labels: NDArray[np.uint8], known: Mask) -> Mask:
    """Pixels with a neighbour of another phase."""
    boundary = np.zeros(labels.shape, dtype=bool)
    for near, far in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels[near] != labels[far]
        boundary[near] |= differ & known[far]
        boundary[far] |= differ & known[near]
    return boundary


def _dilate(mask: Mask) -> Mask:
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return wide
