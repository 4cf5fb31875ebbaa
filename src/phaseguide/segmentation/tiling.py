"""Overlapping tiles: where they lie, how they are blended, and which ratio each of them gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.ratios import FLOOR, Ratio

DEFAULT_TILE = 1920
"""Largest side in the network at once, px: a 1280 px field seen 1.5 times enlarged fits whole."""

DEFAULT_OVERLAP = 128


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


def plan_tiles(height: int, width: int, side: int, overlap: int) -> list[Tile]:
    """Cover an image with tiles of at most ``side`` px that overlap by at least ``overlap`` px.

    Tiles are spread evenly; an image that fits one tile gets one.
    """

    def starts(length: int) -> list[int]:
        if length <= side:
            return [0]
        count = int(np.ceil((length - overlap) / (side - overlap)))
        return [int(s) for s in np.linspace(0, length - side, count).round()]

    rows, columns = starts(height), starts(width)
    return [Tile(y, x, min(side, height), min(side, width)) for y in rows for x in columns]


def blend_window(tile: Tile, height: int, width: int, overlap: int) -> NDArray[np.float32]:
    """Weight of each pixel of a tile: 1 inside, falling linearly to the borders that have a neighbour."""

    def ramp(start: int, length: int, whole: int) -> NDArray[np.float32]:
        weight = np.ones(length, dtype=np.float32)
        slope = (np.arange(1, min(overlap, length) + 1) / (min(overlap, length) + 1)).astype(np.float32)
        if slope.size and start > 0:
            weight[: slope.size] = np.minimum(weight[: slope.size], slope)
        if slope.size and start + length < whole:
            weight[-slope.size :] = np.minimum(weight[-slope.size :], slope[::-1])
        return weight

    return np.outer(ramp(tile.top, tile.height, height), ramp(tile.left, tile.width, width))


def tile_ratios(own: NDArray[np.float64], areas: NDArray[np.float64], wanted: Ratio) -> NDArray[np.float64]:
    """Give each tile its own ratio so that their area-weighted mean is what is wanted.

    All tiles are moved by one shift in log-ratio space, so that their differences stay.

    Parameters
    ----------
    own : ndarray, shape (T, K)
        Area shares that the unguided pass sees in each tile.
    areas : ndarray, shape (T,)
        Pixels of each tile.
    wanted : ndarray, shape (K,)
        Composition of the whole; sums to 1.

    Returns
    -------
    ndarray of float64, shape (T, K)
        Rows sum to 1.
    """
    logs = np.log(np.maximum(own, FLOOR))
    target = np.maximum(wanted, FLOOR)
    target = target / target.sum()
    weights = areas / areas.sum()
    shift = np.zeros(own.shape[1])
    shares = own
    for _ in range(200):
        shares = np.exp(logs + shift)
        shares = shares / shares.sum(1, keepdims=True)
        mean = weights @ shares
        step = np.log(target / mean)
        shift += step
        if np.abs(step).max() < 1e-9:
            break
    ratios: NDArray[np.float64] = shares
    return ratios
