"""Cleaning a prediction before ratio matching: smooth scores, and no islands below a minimum size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def smooth_scores(scores: NDArray[Any], sigma_px: float) -> NDArray[Any]:
    """Blur each phase's score map with a Gaussian.

    Parameters
    ----------
    scores : ndarray of float, shape (K, H, W)
    sigma_px : float
        Standard deviation in pixels; 0 or less returns `scores` itself.

    Returns
    -------
    ndarray, shape and dtype of `scores`
    """
    if sigma_px <= 0:
        return scores
    from scipy.ndimage import gaussian_filter

    smooth = np.empty(scores.shape, dtype=scores.dtype)
    for source, target in zip(scores, smooth, strict=True):
        gaussian_filter(source, sigma_px, output=target, mode="nearest", truncate=3.0)
    return smooth


def remove_small_islands(
    labels: NDArray[np.uint8], min_px: int, fixed: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Give islands of a phase that are too small the phase that most of their border touches.

    Pixels of one phase that touch by an edge or a corner are one island (8-connected), so that thin
    slanting laths stay whole. Neighbours vote if they will stay themselves; of phases with equal
    votes the lowest label wins. An island surrounded by other small ones waits until they are gone.
    One that touches only unclassified or excluded pixels stays.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        1..K; 0 and 255 neither change nor vote.
    min_px : int
        Size in pixels of the smallest island to keep; 1 or less returns a copy.
    fixed : ndarray of uint8, shape (H, W), optional
        Not 0 where a pixel is given by a manual edit. Such pixels never change; an island that
        holds one was confirmed by the user and stays whole.

    Returns
    -------
    ndarray of uint8, shape (H, W)
    """
    cleaned = labels.copy()
    if min_px <= 1:
        return cleaned
    island, members = _small_islands(labels, min_px, fixed)
    while members.size:
        votes = _count_votes(cleaned, island, members)
        decided = votes.max(axis=1) > 0
        winners = votes.argmax(axis=1).astype(np.uint8)
        of_member = island[members[:, 0], members[:, 1]] - 1
        done = decided[of_member]
        if not done.any():
            break
        rows, columns = members[done].T
        cleaned[rows, columns] = winners[of_member[done]]
        island[rows, columns] = 0
        members = members[~done]
    return cleaned


def settle(
    scores: NDArray[Any], labels_clean: NDArray[np.uint8], offsets: ArrayLike | None = None
) -> NDArray[Any]:
    """Raise scores so that cleaned pixels belong to their new phase.

    Ratio matching on the result keeps what cleaning decided: where the label is not the phase of the
    highest ``scores + offsets``, its score is lifted above the others by more than the range of all
    scores, so that small changes of the offsets do not take the pixel back.

    Parameters
    ----------
    scores : ndarray of float, shape (K, H, W)
    labels_clean : ndarray of uint8, shape (H, W)
        1..K; pixels with other values keep their scores.
    offsets : array_like, shape (K,), optional
        Those of the matching that the labels come from (`Match.offsets`). Without them, every pixel
        that the matching moved counts as cleaned and is held as well.

    Returns
    -------
    ndarray, shape and dtype of `scores`
        A copy.
    """
    settled = np.array(scores)
    shift = np.zeros(len(settled)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    shift = shift.astype(settled.dtype)
    best = settled[0] + shift[0]
    winner = np.ones(best.shape, dtype=np.uint8)
    for k in range(1, len(settled)):
        value = settled[k] + shift[k]
        winner[value > best] = k + 1
        np.maximum(best, value, out=best)
    moved = (winner != labels_clean) & (labels_clean >= 1) & (labels_clean <= len(settled))
    lift = float(settled.max() - settled.min()) + float(np.ptp(shift)) + 1.0
    rows, columns = np.nonzero(moved)
    phases = labels_clean[rows, columns].astype(np.intp) - 1
    settled[phases, rows, columns] = best[rows, columns] - shift[phases] + settled.dtype.type(lift)
    return settled


def _small_islands(
    labels: NDArray[np.uint8], min_px: int, fixed: NDArray[np.uint8] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a map with 1.. in each island that must go (0 elsewhere), and the positions of its pixels."""
    from scipy.ndimage import label as connect

    island = np.zeros(labels.shape, dtype=np.int64)
    found = 0
    for phase in np.unique(labels):
        if phase in (NOT_CLASSIFIED, EXCLUDED):
            continue
        parts, count = connect(labels == phase, structure=np.ones((3, 3)))
        small = np.bincount(parts.ravel(), minlength=count + 1) < min_px
        small[0] = False
        if fixed is not None:
            small[np.unique(parts[fixed != NOT_CLASSIFIED])] = False
        number = np.zeros(count + 1, dtype=np.int64)
        number[small] = np.arange(found + 1, found + 1 + np.count_nonzero(small))
        found += int(np.count_nonzero(small))
        island += number[parts]
    return island, np.argwhere(island)


def _count_votes(
    labels: NDArray[np.uint8], island: NDArray[np.int64], members: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Contacts of each island with each label that stays, shape (islands, 256)."""
    who = island[members[:, 0], members[:, 1]] - 1
    n_islands = int(who.max()) + 1
    # The frame stands for what is outside the image: it is no phase.
    around = np.pad(np.where(island == 0, labels, NOT_CLASSIFIED), 1)
    votes = np.zeros(n_islands * 256, dtype=np.int64)
    for dy, dx in _NEIGHBOURS:
        seen = around[members[:, 0] + 1 + dy, members[:, 1] + 1 + dx]
        votes += np.bincount(who * 256 + seen, minlength=votes.size)
    table = votes.reshape(n_islands, 256)
    table[:, [NOT_CLASSIFIED, EXCLUDED]] = 0
    return table
