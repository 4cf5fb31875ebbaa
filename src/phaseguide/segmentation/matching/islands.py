"""Cleaning a prediction before ratio matching: smooth scores, and no islands below a minimum size.

All work goes through the image in bands of rows, so that memory does not grow with it beyond the labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.segmentation.matching.local_means import local_mean
from phaseguide.segmentation.network.scratch import empty_beside, release

Indices = NDArray[np.int32]

_BAND = 1 << 22  # pixels a step
_MEMBERS = 1 << 20  # pixels of islands a step
_TRUNCATE = 3.0  # standard deviations at which the Gaussian ends
_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def smooth_scores(
    scores: NDArray[Any], sigma_px: float, excluded: NDArray[np.bool_] | None = None
) -> NDArray[Any]:
    """Blur each phase's score map with a Gaussian.

    Parameters
    ----------
    scores : ndarray of float, shape (K, H, W)
    sigma_px : float
        Standard deviation in pixels; 0 or less returns `scores` itself.
    excluded : ndarray of bool, shape (H, W), optional
        Pixels that others are not blurred with.

    Returns
    -------
    ndarray, shape and dtype of `scores`
        In a scratch file if `scores` is.
    """
    if sigma_px <= 0:
        return scores
    from scipy.ndimage import gaussian_filter

    smooth = empty_beside(scores)
    reach = int(_TRUNCATE * sigma_px + 0.5)
    for rows, window in _bands(scores.shape[1:], reach):
        inner = slice(rows.start - window.start, rows.stop - window.start)
        gaussian = partial(gaussian_filter, sigma=sigma_px, mode="nearest", truncate=_TRUNCATE)
        blur = local_mean(gaussian, None if excluded is None else excluded[window])
        for source, target in zip(scores, smooth, strict=True):
            target[rows] = blur(source[window])[inner]
        release(scores)
        release(smooth)
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
    (rows, columns), island, highest = _small_islands(labels, min_px, fixed)
    for part in _parts(island.size):  # no votes from there until they are decided
        cleaned[rows[part], columns[part]] = NOT_CLASSIFIED
    while island.size:
        winners = _vote(cleaned, rows, columns, island, highest)
        waiting = np.empty(island.size, dtype=np.bool_)
        for part in _parts(island.size):
            winner = winners[island[part]]
            cleaned[rows[part], columns[part]] = winner
            waiting[part] = winner == NOT_CLASSIFIED
        if waiting.all():
            break
        rows, columns, island = rows[waiting], columns[waiting], island[waiting]
        island = (np.cumsum(winners == NOT_CLASSIFIED, dtype=np.int32) - 1)[island]
    cleaned[rows, columns] = labels[rows, columns]
    return cleaned


def raise_cleaned(
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
        A copy; in a scratch file if `scores` is.
    """
    raised = empty_beside(scores)
    shift = np.zeros(len(raised)) if offsets is None else np.asarray(offsets, dtype=np.float64)
    shift = shift.astype(raised.dtype)
    bands = [rows for rows, _ in _bands(scores.shape[1:], 0)]
    lowest = highest = scores[0, 0, 0]
    for rows in bands:
        lowest = min(lowest, scores[:, rows].min())
        highest = max(highest, scores[:, rows].max())
        release(scores)
    lift = raised.dtype.type(float(highest - lowest) + float(np.ptp(shift)) + 1.0)
    for rows in bands:
        band = raised[:, rows]
        band[:] = scores[:, rows]
        _lift(band, labels_clean[rows], shift, lift)
        release(scores)
        release(raised)
    return raised


def _lift(scores: NDArray[Any], labels: NDArray[np.uint8], shift: NDArray[Any], lift: Any) -> None:
    """Raise scores in place where the highest of ``scores + shift`` is not that of the label."""
    best = scores[0] + shift[0]
    winner = np.ones(best.shape, dtype=np.uint8)
    for k in range(1, len(scores)):
        value = scores[k] + shift[k]
        winner[value > best] = k + 1
        np.maximum(best, value, out=best)
    moved = (winner != labels) & (labels >= 1) & (labels <= len(scores))
    rows, columns = np.nonzero(moved)
    phases = labels[rows, columns].astype(np.intp) - 1
    scores[phases, rows, columns] = best[rows, columns] - shift[phases] + lift


def _bands(shape: tuple[int, ...], reach: int) -> Iterator[tuple[slice, slice]]:
    """Yield bands of rows, and each with the rows around it that it needs to see."""
    height, width = shape
    step = max(1, _BAND // width, reach)
    for start in range(0, height, step):
        stop = min(height, start + step)
        yield slice(start, stop), slice(max(0, start - reach), min(height, stop + reach))


def _small_islands(
    labels: NDArray[np.uint8], min_px: int, fixed: NDArray[np.uint8] | None
) -> tuple[tuple[Indices, Indices], Indices, int]:
    """Return the pixels of all islands that must go, each one's island from 0, and the highest phase."""
    from scipy.ndimage import label as connect

    ys: list[Indices] = []
    xs: list[Indices] = []
    islands: list[Indices] = []
    count = highest = 0
    # An island of fewer pixels cannot reach farther than that from the band: it is seen whole.
    for band, window in _bands(labels.shape, min_px):
        seen = labels[window]
        for phase in np.unique(seen):
            if phase in (NOT_CLASSIFIED, EXCLUDED):
                continue
            highest = max(highest, int(phase))
            parts, n_parts = connect(seen == phase, structure=np.ones((3, 3)))
            small = np.bincount(parts.ravel(), minlength=n_parts + 1) < min_px
            small[0] = False
            if fixed is not None:
                small[parts[fixed[window] != NOT_CLASSIFIED]] = False
            rows, columns = np.nonzero(small[parts])
            number = parts[rows, columns]
            # Each belongs to the band in which its first row lies.
            first = np.full(n_parts + 1, -1, dtype=np.int64)
            first[number[::-1]] = rows[::-1] + window.start
            mine = (first[number] >= band.start) & (first[number] < band.stop)
            names, island = np.unique(number[mine], return_inverse=True)
            ys.append((rows[mine] + window.start).astype(np.int32))
            xs.append(columns[mine].astype(np.int32))
            islands.append((island.reshape(-1) + count).astype(np.int32))
            count += names.size
    return (_joined(ys), _joined(xs)), _joined(islands), highest


def _joined(parts: list[Indices]) -> Indices:
    """Concatenate and empty a list, so that its parts do not take memory any longer."""
    whole = np.concatenate([*parts, np.zeros(0, np.int32)])
    parts.clear()
    return whole


def _vote(
    labels: NDArray[np.uint8], rows: Indices, columns: Indices, island: Indices, highest: int
) -> NDArray[np.uint8]:
    """The phase that each island touches most, of equals the lowest; 0 if it touches none."""
    n_labels, (height, width) = highest + 1, labels.shape
    votes = np.zeros((int(island.max()) + 1) * n_labels, dtype=np.int32)
    for part in _parts(island.size):
        # Islands are numbered as they come, so that a part of the pixels has a short run of numbers.
        lowest = int(island[part].min())
        cell = (island[part] - lowest) * n_labels
        for dy, dx in _NEIGHBOURS:
            y, x = rows[part] + dy, columns[part] + dx
            # What is outside the image is no phase.
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            seen = labels[y[inside], x[inside]]
            seen[seen == EXCLUDED] = NOT_CLASSIFIED
            counted = np.bincount(cell[inside] + seen)
            votes[lowest * n_labels :][: counted.size] += counted.astype(np.int32)
    table = votes.reshape(-1, n_labels)
    table[:, NOT_CLASSIFIED] = 0
    winners: NDArray[np.uint8] = table.argmax(axis=1).astype(np.uint8)
    return winners


def _parts(count: int) -> Iterator[slice]:
    """Yield slices of a list of pixels: indexing with many at once makes sixteen bytes of each."""
    for start in range(0, count, _MEMBERS):
        yield slice(start, start + _MEMBERS)
