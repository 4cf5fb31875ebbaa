"""Overlapping tiles: where they lie, and how they are blended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

STRIDE = 32
"""Pixels of the image to one of the coarsest features, in every backbone."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image: top, left, height, width in px."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of the tile in an (H, W) array."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def moved(self, down: int, right: int) -> Tile:
        """The same rectangle elsewhere."""
        return replace(self, top=self.top + down, left=self.left + right)

    def touches(self, window: tuple[slice, slice]) -> bool:
        """Whether the rectangle and a window of the image have pixels in common."""
        rows, columns = window
        return bool(
            self.top < rows.stop
            and rows.start < self.top + self.height
            and self.left < columns.stop
            and columns.start < self.left + self.width
        )


def middle_of(window: tuple[slice, slice], side: int) -> Tile:
    """Return the middle of a window of the image, at most ``side`` px high and wide."""
    sides = [min(side, part.stop - part.start) for part in window]
    starts = [(part.start + part.stop - n) // 2 for part, n in zip(window, sides, strict=True)]
    return Tile(*starts, *sides)


def plan_tiles(height: int, width: int, side: int, overlap: int) -> list[Tile]:
    """Cover an image with as few tiles of at most ``side`` px as overlap by ``overlap`` px, all alike in size.

    They begin at multiples of the network's stride, so that it sees the pixels in the same grid as in the
    whole image. An image that fits one tile gets one. ``side`` is larger than ``overlap``.
    """

    def spans(length: int) -> list[tuple[int, int]]:
        if length <= side:
            return [(0, length)]
        grid = min(STRIDE, side - overlap)
        new = length - overlap  # what the tiles add one to the other
        count = _ceil(new, (side - overlap) // grid * grid)
        starts = [grid * _ceil(i * new, count * grid) for i in range(count)]
        ends = [start + overlap for start in starts[1:]] + [length]
        return [(start, end - start) for start, end in zip(starts, ends, strict=True)]

    return [Tile(y, x, h, w) for y, h in spans(height) for x, w in spans(width)]


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def blend_windows(
    tiles: Sequence[Tile], height: int, width: int, overlap: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights with which tiles from `plan_tiles` are added up to the whole image.

    Inside 1, falling linearly over ``overlap`` px to each border that has a neighbour, and scaled so that
    the weights of all tiles at a pixel sum to 1. As the tiles lie on a grid, the weight of a pixel is the
    product of one weight for its row and one for its column.

    Returns
    -------
    list of tuple of ndarray, shapes (h,) and (w,)
        Row and column weights of each tile, float32.
    """

    def ramps(spans: set[tuple[int, int]], whole: int) -> dict[tuple[int, int], NDArray[np.float32]]:
        weights = {span: _ramp(*span, whole, overlap) for span in spans}
        total = np.zeros(whole)
        for (start, length), weight in weights.items():
            total[start : start + length] += weight
        return {
            (start, length): (weight / total[start : start + length]).astype(np.float32)
            for (start, length), weight in weights.items()
        }

    rows = ramps({(t.top, t.height) for t in tiles}, height)
    columns = ramps({(t.left, t.width) for t in tiles}, width)
    return [(rows[t.top, t.height], columns[t.left, t.width]) for t in tiles]


def _ramp(start: int, length: int, whole: int, overlap: int) -> NDArray[np.float64]:
    """Weight along one side of a tile, not yet scaled."""
    weight = np.ones(length)
    slope = np.arange(1, min(overlap, length) + 1) / (min(overlap, length) + 1)
    if slope.size and start > 0:
        weight[: slope.size] = slope
    if slope.size and start + length < whole:
        weight[-slope.size :] = np.minimum(weight[-slope.size :], slope[::-1])
    return weight
