"""The block bootstrap in closed form: the spread of an estimate when whole blocks of pixels are drawn again.

Neighbouring pixels are alike, so blocks of them are resampled and not pixels (Hall 1985; Künsch, Ann. Stat.
17 (1989), 1217). For an estimate that is, to first order, a sum of what each block adds to it, drawing blocks
with replacement has a variance that can be written down, so no random draws are needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_PART = 0.9
"""A piece that holds more of its phase than this is treated as if it held this much."""


def block_bootstrap(
    influence: Floats, sizes: Floats, phases: NDArray[np.intp], blocks: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return standard deviation and degrees of freedom of an estimate under resampling of blocks.

    A block is a place: all painted pieces in it are drawn together, because the pieces of different phases in one
    place share its light and its noise. Each piece's deviation is divided by the part of its phase that the other
    pieces hold (the delete-one form of the jackknife, Efron & Stein, Ann. Stat. 9 (1981), 586), because a large piece
    draws the mean of its phase to itself. The degrees of freedom are Satterthwaite's over phases; within one they
    count pieces of unequal size by N² / sum n². Influences are what each of B pieces adds to the deviation of the
    estimate from its mean, shape (B, K), and sum to 0 over each phase; sizes (px), phases and blocks have shape (B,).
    A phase with a single piece has no spread that could be seen, and adds nothing. Both results have shape (K,); the
    freedom is at least 1.
    """
    freed, denominator = np.zeros_like(influence), np.zeros(influence.shape[1])
    total = np.zeros(influence.shape[1])
    for phase in np.unique(phases):
        mine = phases == phase
        part = sizes[mine] / sizes[mine].sum()
        freed[mine] = influence[mine] / np.maximum(1 - part, 1 - LARGEST_PART)[:, None]
        added = (freed[mine] ** 2).sum(0)
        total += added
        denominator += added**2 / max(1 / (part**2).sum() - 1, 0.5)
    _, place = np.unique(blocks, return_inverse=True)
    sums = np.stack([np.bincount(place, column) for column in freed.T], axis=1)
    variance = (sums**2).sum(0) * max(len(sums) - 1, 1) / len(sums)
    freedom = np.where(denominator > 0, total**2 / np.maximum(denominator, 1e-300), 1.0)
    return np.sqrt(variance), np.maximum(freedom, 1.0)
