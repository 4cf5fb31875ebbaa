"""Prompts: boxes and points that stand for a phase, as guidance beside the ratio. Without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import SchemeError

OUTSIDE, INSIDE, FIRST_CORNER, SECOND_CORNER = range(4)
"""Kinds of prompt tokens, in the order of the official point embeddings."""

MOST = 64
"""Boxes and points that a decoder takes at once; each is a token that all others attend to."""


@dataclass(frozen=True)
class Prompts:
    """Boxes and points on an image, each for one phase.

    Rows and columns are in px, 0 the centre of the first pixel.

    Attributes
    ----------
    boxes : ndarray of float, shape (N, 4)
        (top, left, bottom, right), px.
    box_phases : ndarray of int, shape (N,)
        Label 1..K of what is in each box.
    points : ndarray of float, shape (M, 2)
        Row and column, px.
    point_phases : ndarray of int, shape (M,)
        Label 1..K that is at each point; negative: at this point is *not* that phase.
    """

    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    box_phases: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    point_phases: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.boxes) + len(self.points)

    @property
    def key(self) -> tuple[bytes, ...]:
        """The same for prompts that say the same."""
        parts = (self.boxes, self.box_phases, self.points, self.point_phases)
        return tuple(part.tobytes() for part in parts)

    def validate(self, n_phases: int) -> None:
        """Raise `SchemeError` for a label that is no phase, or for too many prompts."""
        for label in [*self.box_phases.tolist(), *np.abs(self.point_phases).tolist()]:
            if not 1 <= label <= n_phases:
                raise SchemeError(
                    f"A prompt stands for label {label}, but the model has phases 1 to {n_phases}."
                )
        if len(self) > MOST:
            raise SchemeError(f"There are {len(self)} boxes and points; at most {MOST} can be used at once.")

    def within(self, top: int, left: int, height: int, width: int) -> Prompts:
        """Return what of these lies in a window, relative to it; boxes are cut at its borders."""
        low, high = np.array([top, left], dtype=np.float64), np.array([height, width], dtype=np.float64)
        boxes = self.boxes - np.tile(low, 2)
        boxes = np.clip(boxes, -0.5, np.tile(high, 2) - 0.5)  # the borders of the first and the last pixel
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        points = self.points - low
        inside = ((points >= -0.5) & (points < high - 0.5)).all(axis=1)
        return Prompts(boxes[kept], self.box_phases[kept], points[inside], self.point_phases[inside])

    def scaled(self, factor: float) -> Prompts:
        """Return the same in an image enlarged by a factor."""
        boxes, points = ((places + 0.5) * factor - 0.5 for places in (self.boxes, self.points))
        return Prompts(boxes, self.box_phases, points, self.point_phases)

    def flipped(self, height: int, width: int, axes: tuple[int, ...]) -> Prompts:
        """Return the same in an image mirrored along axes (-2 rows, -1 columns)."""
        boxes, points = self.boxes.copy(), self.points.copy()
        for axis, length, column in ((-2, height, 0), (-1, width, 1)):
            if axis in axes:
                boxes[:, [column, column + 2]] = length - 1 - boxes[:, [column + 2, column]]
                points[:, column] = length - 1 - points[:, column]
        return Prompts(boxes, self.box_phases, points, self.point_phases)

    def tokens(self, height: int, width: int) -> tuple[NDArray[np.float64], list[int], list[int]]:
        """Places (x, y) as shares of the image, shape (T, 2); kinds; and phases from 0; as SAM encodes them."""
        places: list[tuple[float, float]] = []
        kinds: list[int] = []
        phases: list[int] = []
        for (top, left, bottom, right), label in zip(self.boxes, self.box_phases, strict=True):
            places += [(left, top), (right, bottom)]
            kinds += [FIRST_CORNER, SECOND_CORNER]
            phases += [int(label) - 1] * 2
        for (row, column), label in zip(self.points, self.point_phases, strict=True):
            places.append((column, row))
            kinds.append(INSIDE if label > 0 else OUTSIDE)
            phases.append(abs(int(label)) - 1)
        # SAM's points stand in the middle of a pixel.
        shares = (np.array(places, dtype=np.float64).reshape(-1, 2) + 0.5) / (width, height)
        return shares, kinds, phases

    def coverage(self, rows: int, columns: int, cell: int, n_phases: int) -> NDArray[np.float32]:
        """How much of each cell (a square of so many px) the prompts cover, by phase, shape (K, rows, columns).

        In [-1, 1]: a point stands for a square of a cell's size, negative where it says that the phase is not there.
        """
        half = np.array([-1, -1, 1, 1]) * cell / 2
        squares = np.tile(self.points, 2) + half
        covered = np.zeros((n_phases, rows, columns), dtype=np.float32)
        for boxes, labels in ((self.boxes, self.box_phases), (squares, self.point_phases)):
            for (top, left, bottom, right), label in zip(boxes, labels, strict=True):
                down = _shares(top, bottom, rows, cell)
                part = np.outer(down, _shares(left, right, columns, cell))
                covered[abs(int(label)) - 1] += np.sign(label) * part
        return np.clip(covered, -1, 1)


def _shares(low: float, high: float, count: int, cell: int) -> NDArray[np.float64]:
    """Share of each cell along one axis that lies between two places in px."""
    edges = np.arange(count + 1) * cell - 0.5
    covered: NDArray[np.float64] = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.maximum(covered, 0) / cell
