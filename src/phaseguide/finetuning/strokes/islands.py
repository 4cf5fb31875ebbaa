"""Strokes as islands: what was painted in one go is judged as one, since its pixels are nearly the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FOLDS = 3


def number_islands(labels: NDArray[np.uint8], n_phases: int) -> NDArray[np.int32]:
    """Number the connected painted areas of each phase from 1 on; 0 where no phase is painted; shape (H, W)."""
    from scipy.ndimage import label

    found = np.zeros(labels.shape, dtype=np.int32)
    for phase in range(1, n_phases + 1):
        islands, count = label(labels == phase, structure=np.ones((3, 3)))
        if count:
            found = np.where(islands > 0, islands + found.max(), found)
    return found


def deal_islands(
    phases: NDArray[np.intp], islands: NDArray[np.intp], seed: int, folds: int = FOLDS
) -> NDArray[np.intp]:
    """Deal the islands of each phase into folds by turns; the fold of each pixel, all 0 where that cannot judge.

    It cannot where a phase has one island only: whoever does not learn from that knows nothing of the phase.
    """
    fold = np.zeros(len(phases), dtype=np.intp)
    present = np.unique(phases)
    rng = np.random.default_rng(seed)
    for phase in present:
        its = np.unique(islands[phases == phase])
        if its.size < 2:
            return np.zeros(len(phases), dtype=np.intp)
        dealt = {int(one): turn % folds for turn, one in enumerate(rng.permutation(its))}
        for one, turn in dealt.items():
            fold[islands == one] = turn
    return fold
