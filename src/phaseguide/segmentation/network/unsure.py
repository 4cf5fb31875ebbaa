"""Where a second look pays: the cells in which scores leave a phase open, and the fewest pixels that show them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.card import ViewCard
from phaseguide.segmentation.network.tiling import STRIDE, Tile

CELL = 32
"""Side of a cell in px; one is unsure as a whole or not."""

HALO = 32
"""Pixels around unsure cells that are looked at too, over which the second look fades out."""

MOST = 0.8
"""Share of the image that is looked at again at most; the cells that are least unsure are then left out."""

_AROUND = 2 * HALO + STRIDE / 2
_PLACE_PX = 4096.0
"""What a place costs by itself, in pixels that could be looked at instead."""

Mask = NDArray[np.bool_]
Leads = NDArray[np.float32]
Weights = NDArray[np.float32]
_Box = tuple[
    int, int, int, int
]  # of cells: first row, row after the last, first column, column after the last


@dataclass(frozen=True)
class Place:
    """A rectangle to look at again, with the weight of what is then seen, by row and by column, both float32."""

    tile: Tile
    down: Weights
    across: Weights


def leads_of_cells(scores: NDArray[np.float32], excluded: Mask | None = None) -> Leads:
    """Return how far the likeliest phase is ahead of the next in each cell.

    Parameters
    ----------
    scores : ndarray of float32, shape (K, H, W)
    excluded : ndarray of bool, shape (H, W), optional
        Pixels that do not count.

    Returns
    -------
    ndarray of float32, one a cell
        Difference of the two highest probabilities, on the mean of every other row and column; 1 where nothing counts.
    """
    _, height, width = scores.shape
    leads = np.ones((-(-height // CELL), -(-width // CELL)), dtype=np.float32)
    starts = np.arange(0, width, CELL) // 2
    for row, top in enumerate(range(0, height, CELL)):
        lines = slice(top, top + CELL, 2)
        lead = _lead(np.asarray(scores[:, lines, ::2]))
        counts = np.ones(lead.shape, dtype=np.float32)
        if excluded is not None:
            counts -= excluded[lines, ::2]
        led = np.add.reduceat((lead * counts).sum(axis=0), starts)
        of = np.add.reduceat(counts.sum(axis=0), starts)
        np.divide(led, of, out=leads[row], where=of > 0)
    return leads


def _lead(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the highest probability is ahead of the next."""
    first = scores[0]
    second = np.full_like(first, -np.inf)
    for plane in scores[1:]:
        second = np.maximum(second, np.minimum(first, plane))
        first = np.maximum(first, plane)
    lead: NDArray[np.float32] = (1 - np.exp(second - first)) / np.exp(scores - first).sum(axis=0)
    return lead


def plan_places(
    leads: Leads, below: float, height: int, width: int, side: int, view: ViewCard
) -> list[Place]:
    """Cover the cells whose lead is below a limit with rectangles of at most ``side`` px, and `MOST` of the image.

    Parameters
    ----------
    leads : ndarray of float32, one a cell
        From `leads_of_cells`.
    below : float
        The limit.
    height, width : int
        Of the image, px.
    side : int
    view : ViewCard
        What the rectangles are shown in: they begin where the network's grid lies in a view of the whole image, since
        scores change a little with the grid.
    """
    order = np.argsort(leads, axis=None, kind="stable")[: np.count_nonzero(leads < below)]

    def plan(count: int) -> list[Place]:
        unsure = np.zeros(leads.shape, dtype=np.bool_)
        unsure.flat[order[:count]] = True
        return [_place(box, height, width, view) for box in _boxes(unsure, side)]

    def fits(places: list[Place]) -> bool:
        return sum(p.tile.height * p.tile.width for p in places) <= MOST * height * width

    places, low, high = plan(len(order)), 0, len(order)
    if fits(places):
        return places
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(plan(middle)) else (low, middle)
    return plan(low)


def add_views(
    scores: NDArray[np.float32], found: NDArray[np.float32], weights: NDArray[np.float32], views: int
) -> None:
    """Average the first view's scores, (K, h, w), with those of other views, in place.

    ``found`` is the sum of theirs times ``weights``, (h, w), which fall from 1, or more where places meet, to 0.
    """
    share = np.minimum(weights, 1) * views  # how many views more a pixel has
    scale = share / np.maximum(weights, np.finfo(np.float32).tiny) / views
    for plane, other in zip(scores, found, strict=True):
        plane += other * scale
        plane /= 1 + share


def _boxes(unsure: Mask, side: int) -> list[_Box]:
    """Boxes around all unsure cells, cut where two smaller ones with their halos have fewer pixels than one."""
    todo, boxes = [(0, unsure.shape[0], 0, unsure.shape[1])], list[_Box]()
    most = max(1, (side - 2 * HALO - STRIDE) // CELL)
    while todo:
        box = _shrunk(unsure, todo.pop())
        if box is None:
            continue
        parts = _cut(unsure, box, most)
        if parts is None:
            boxes.append(box)
        else:
            todo += reversed(parts)
    return boxes


def _shrunk(unsure: Mask, box: _Box) -> _Box | None:
    """The smallest box that has the same unsure cells; None where there are none."""
    top, bottom, left, right = box
    cells = unsure[top:bottom, left:right]
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    if not rows.size:
        return None
    return top + int(rows[0]), top + int(rows[-1]) + 1, left + int(columns[0]), left + int(columns[-1]) + 1


def _cut(unsure: Mask, box: _Box, most: int) -> tuple[_Box, _Box] | None:
    """The two boxes that together cost least; None where one is better, and none of its sides longer than ``most``."""
    top, bottom, left, right = box
    cells = unsure[top:bottom, left:right]
    height, width = cells.shape
    forced = [axis for axis, length in enumerate((height, width)) if length > most]
    best: tuple[float, int, int] | None = None
    for axis in forced or (0, 1):
        length = (height, width)[axis]
        if length < 2:
            continue
        costs = _costs(cells if axis == 0 else cells.T)
        if forced:  # no slivers
            costs[: length // 4] = costs[length - 1 - length // 4 :] = np.inf
        middle = np.abs(np.arange(1, length) - length / 2)
        at = int(np.lexsort((middle, costs))[0])
        if best is None or costs[at] < best[0]:
            best = float(costs[at]), axis, at + 1
    if best is None or (not forced and best[0] >= _cost(height, width)):
        return None
    _, axis, at = best
    if axis == 0:
        return (top, top + at, left, right), (top + at, bottom, left, right)
    return (top, bottom, left, left + at), (top, bottom, left + at, right)


def _cost(rows: NDArray[np.float64] | int, columns: NDArray[np.float64] | int) -> NDArray[np.float64]:
    return np.asarray((rows * CELL + _AROUND) * (columns * CELL + _AROUND) + _PLACE_PX)


def _costs(cells: Mask) -> NDArray[np.float64]:
    """Cost of both parts for each row that a cut can be made after; first and last row have unsure cells."""

    def before(cells: Mask) -> NDArray[np.float64]:
        """Cost of the rows up to each, without the last one."""
        has, columns = cells.any(axis=1), cells.shape[1]
        first = np.where(has, cells.argmax(axis=1), columns)
        last = np.where(has, columns - cells[:, ::-1].argmax(axis=1), 0)
        rows = np.maximum.accumulate(np.where(has, np.arange(1, len(cells) + 1), 0))
        return _cost(rows, np.maximum.accumulate(last) - np.minimum.accumulate(first))[:-1]

    return before(cells) + before(cells[::-1])[::-1]


def _place(box: _Box, height: int, width: int, view: ViewCard) -> Place:
    top, bottom, left, right = box
    first_row, end_row, down = _span(top, bottom, height, view.zoom, view.flip in ("y", "xy"))
    first_column, end_column, across = _span(left, right, width, view.zoom, view.flip in ("x", "xy"))
    tile = Tile(first_row, first_column, end_row - first_row, end_column - first_column)
    return Place(tile, down, across)


def _span(first: int, end: int, length: int, zoom: float, mirrored: bool) -> tuple[int, int, Weights]:
    """Where a place begins and ends along one side, and its weights there: 1 on the cells, falling over the halo."""
    core = first * CELL, min(end * CELL, length)
    if mirrored:
        core = length - core[1], length - core[0]
    grid = next((n for n in (STRIDE, 2 * STRIDE) if n * zoom % STRIDE == 0), 1)
    start = max(0, core[0] - HALO) // grid * grid
    stop = min(length, core[1] + HALO)
    weights = np.ones(stop - start, dtype=np.float32)
    if start > 0:
        weights[: core[0] - start] = np.arange(1, core[0] - start + 1) / (core[0] - start + 1)
    if stop < length:
        weights[core[1] - start :] = np.arange(stop - core[1], 0, -1) / (stop - core[1] + 1)
    if mirrored:
        return length - stop, length - start, weights[::-1]
    return start, stop, weights
