"""Places: pieces of what is painted, each of which counts as one observation, and their parts in cross-fitting.

Neighbouring pixels of a stroke are nearly the same pixel. So what judges a model, or is left out of what it learns, is
never a pixel but a place: an island of paint, whatever its phases, or a block of one that is larger than two blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import is_labelled

BLOCK = 48
"""Side of a block in px, in the grid of an image."""

GAP = 6
"""Labels this near to a held-out block do not teach, and paint this near to other paint is of its island, in px."""

LARGEST = 2 * BLOCK
"""An island that is longer than this, in px, is cut along the grid of blocks."""

NEVER = -1
"""The part of a place that always teaches and never judges."""

Ints = NDArray[np.int64]


def find_places(labels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Number the places of a label map (H, W) from 1; 0 where nothing is painted with a phase."""
    from scipy.ndimage import find_objects, maximum_filter
    from scipy.ndimage import label as connect

    painted = is_labelled(labels)
    found = np.zeros(labels.shape, dtype=np.int32)
    if not painted.any():
        return found
    near = maximum_filter(painted.astype(np.uint8), size=2 * (GAP // 2) + 1, mode="constant")
    islands = connect(near, structure=np.ones((3, 3)))[0] * painted
    boxes = find_objects(islands)
    long = np.array([any(side.stop - side.start > LARGEST for side in box) for box in boxes])
    rows, columns = np.nonzero(painted)
    island = islands[rows, columns]
    cut = long[island - 1]
    keys = np.stack([island, np.where(cut, rows // BLOCK, -1), np.where(cut, columns // BLOCK, -1)])
    _, numbers = np.unique(keys, axis=1, return_inverse=True)
    found[rows, columns] = numbers.reshape(-1) + 1
    return found


def count_phases(labels: NDArray[np.uint8], places: NDArray[np.int32], n_phases: int) -> Ints:
    """Pixels of each phase in each place, shape (P, K)."""
    where = places > 0
    codes = (places[where].astype(np.int64) - 1) * n_phases + labels[where] - 1
    total = int(places.max(initial=0)) * n_phases
    return np.bincount(codes, minlength=total).reshape(-1, n_phases).astype(np.int64)


def blocks_of_places(places: NDArray[np.int32]) -> list[set[tuple[int, int]]]:
    """Row and column of each block of the grid that a place touches, for each place."""
    rows, columns = np.nonzero(places)
    found: list[set[tuple[int, int]]] = [set() for _ in range(int(places.max(initial=0)))]
    keys = np.unique(np.stack([places[rows, columns] - 1, rows // BLOCK, columns // BLOCK]), axis=1)
    for place, row, column in keys.T.tolist():
        found[place].add((row, column))
    return found


def draw_folds(
    counts: Ints, free: NDArray[np.bool_], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal places out to folds, phase by phase and the rarest first, so that each fold judges about as much of each.

    ``counts`` (P, K) are pixels, ``free`` (P,) says which places may judge. A place is `NEVER` dealt where one of its
    phases is painted in no other place: who has not learnt it cannot be judged by it. Whatever is dealt, each phase
    keeps a teacher in every fold.
    """
    dealt = np.full(len(counts), NEVER, dtype=np.int64)
    there = counts > 0
    alone = there.sum(0) < 2
    may = free & ~(there & alone).any(1)
    for k in np.argsort(counts.sum(0)):
        for place in rng.permutation(np.flatnonzero(there[:, k] & may)):
            if dealt[place] == NEVER:
                judged = [counts[dealt == fold, k].sum() for fold in range(folds)]
                every = [counts[dealt == fold].sum() for fold in range(folds)]
                dealt[place] = min(range(folds), key=lambda fold: (judged[fold], every[fold]))
    for k in range(counts.shape[1]):
        having = np.flatnonzero(there[:, k])
        if having.size and dealt[having[0]] != NEVER and np.all(dealt[having] == dealt[having[0]]):
            dealt[having[counts[having, k].argmax()]] = NEVER
    return dealt


def without_fold(
    labels: NDArray[np.uint8], places: NDArray[np.int32], left_out: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Labels (H, W) without those of places, and of what is within `GAP` of these; (P + 1,) says which."""
    from scipy.ndimage import maximum_filter

    near = maximum_filter(left_out[places].astype(np.uint8), size=2 * GAP + 1, mode="constant") > 0
    return np.where(near & is_labelled(labels), 0, labels).astype(np.uint8)
