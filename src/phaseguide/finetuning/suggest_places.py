"""Where to paint next: places ranked by how much a label there would be expected to change.

A pixel's *expected change* is the probability that its true phase is not the one shown, by what is
believed: the network alone, or, where the user said how much there is of each phase, the mean of what the
network says with and without that. So it is large where the network hesitates, and where ratio and
network disagree. Two things make that more than a map of doubt.

- A border between two phases is always in doubt by a pixel or two, and a label there teaches little.
  So the map is opened (morphologically) with the size of a brush: what is narrower counts nothing.
- A label helps wherever the model doubts in the same way. So places are chosen one after another, each
  where it covers most of the expected change that no earlier place and no stroke covers yet, nearby
  or of the same kind (greedy facility location, Nemhauser, Wolsey and Fisher 1978). That spreads them
  over the image and over the kinds of doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import SchemeError
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme
from phaseguide.segmentation.matching.match import match_ratio

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]

SIDE = 64
"""Side of a place in px: what a user sees at a glance."""

BRUSH_PX = 5
"""Doubt in a band narrower than this counts nothing, px."""

MOST_CELLS = 1600
"""Cells that are compared with each other; larger images get larger ones."""

MOST_CANDIDATES = 200
"""Cells with most expected change around them, out of which the next place is chosen."""

REACH = 2.0
"""A label helps up to about this many sides away ..."""

KIND = 0.5
"""... and this part of its help reaches doubt of the same kind anywhere in the image."""


@dataclass(frozen=True)
class Place:
    """A place to paint, ranked from 1: a window with its middle.

    ``gain`` is the expected change that a label there covers, as a share of all of it in the image; ``between`` the
    two labels between which the model hesitates there, the shown one first; ``disputed`` the share of the place where
    the ratio would change the phase.
    """

    rank: int
    window: tuple[slice, slice]
    row: int
    column: int
    gain: float
    between: tuple[int, int]
    disputed: float

    def describe(self, scheme: PhaseScheme) -> str:
        """Say why this place, in a sentence."""
        names = dict(enumerate(scheme.names, start=1))
        shown, other = (names[label] for label in self.between)
        if self.disputed >= 0.2:
            return f"Your expected % would change {self.disputed:.0%} of this place: {shown} or {other}?"
        return f"The model hesitates here: {shown} or {other}?"


@dataclass(frozen=True)
class PixelBelief:
    """What is believed of each pixel: probabilities (K, H, W), the map on show, where the ratio changes the phase."""

    belief: Floats
    shown: Labels
    disputed: NDArray[np.bool_]

    def expected_change(self) -> Floats:
        """Probability that the true phase is not the one shown, shape (H, W), in [0, 1]."""
        index = (self.shown - np.uint8(1)).astype(np.intp)[None]
        change: Floats = 1 - np.take_along_axis(self.belief, index, axis=0)[0]
        return change


def pixel_belief(
    scores: NDArray[Any], wanted: ArrayLike | None = None, *, edits: Labels | None = None
) -> PixelBelief:
    """Turn scores (K, H, W) without a ratio, and the area shares that are imposed, if any, into what is believed.

    Edits count towards the shares; 255 is excluded.
    """
    from scipy.special import softmax

    scores = np.asarray(scores, dtype=np.float32)
    plain = softmax(scores, axis=0)
    if wanted is None:
        shown = (np.argmax(plain, axis=0) + 1).astype(np.uint8)
        return PixelBelief(plain, shown, np.zeros(shown.shape, dtype=np.bool_))
    match = match_ratio(np.ascontiguousarray(scores), wanted, fixed=edits)
    told = softmax(scores + match.offsets[:, None, None].astype(np.float32), axis=0)
    shown = (np.argmax(told, axis=0) + 1).astype(np.uint8)
    belief: Floats = (plain + told) / np.float32(2)
    return PixelBelief(belief, shown, shown != np.argmax(plain, axis=0) + 1)


def expected_change_map(found: PixelBelief, *, edits: Labels | None = None) -> Floats:
    """Return the expected change without bands narrower than a brush, shape (H, W), in [0, 1].

    Painted and excluded pixels are 0.
    """
    from scipy.ndimage import grey_opening

    change = found.expected_change()
    if edits is not None:
        change = np.where(edits == NOT_CLASSIFIED, change, np.float32(0))
    opened: Floats = grey_opening(change, size=(BRUSH_PX, BRUSH_PX))
    return opened


def rank_places(
    scores: NDArray[Any],
    wanted: ArrayLike | None = None,
    *,
    edits: Labels | None = None,
    count: int = 12,
) -> tuple[Place, ...]:
    """Choose places to paint that do not overlap, the most useful first; fewer than ``count`` where nothing is left to
    gain.

    Scores and shares as `pixel_belief`. What edits cover needs no second stroke; `SchemeError` if their shape differs.
    """
    shape = (scores.shape[1], scores.shape[2])
    if edits is not None and edits.shape != shape:
        raise SchemeError(
            f"The edits are {edits.shape[0]} x {edits.shape[1]} px, the scores {shape[0]} x {shape[1]} px. "
            "Use edits that were painted on this image."
        )
    found = pixel_belief(scores, wanted, edits=edits)
    change = expected_change_map(found, edits=edits)
    cells = _Cells(found, change, edits)
    places: list[Place] = []
    while len(places) < count:
        best = cells.best()
        if best is None:
            break
        cell, gain = best
        row, column = (int(axis[cell]) for axis in cells.middles)
        places.append(_place(len(places) + 1, row, column, gain, found, change, cells.side))
        cells.cover(cell)
    return tuple(places)


class _Cells:
    """The image in cells: how much change each expects, of what kind, and how much of it is covered."""

    def __init__(self, found: PixelBelief, change: Floats, edits: Labels | None) -> None:
        height, width = change.shape
        self.cell = max(SIDE // 4, int(np.ceil(np.sqrt(height * width / MOST_CELLS))))
        self.side = min(SIDE, height, width)
        self.starts = (np.arange(0, height, self.cell), np.arange(0, width, self.cell))
        mass = self._sums(change)
        self.shape = mass.shape
        self.mass = mass.ravel()
        kinds = np.stack([self._sums(change * layer).ravel() for layer in found.belief])
        # Which phase is shown and which it might be are two things.
        for k in range(len(found.belief)):
            kinds = np.vstack([kinds, self._sums(change * (found.shown == k + 1)).ravel()])
        self.kinds = kinds / np.maximum(np.linalg.norm(kinds, axis=0), 1e-9)
        rows, columns = np.indices(self.shape)
        self.rows = (rows.ravel() + 0.5) * self.cell
        self.columns = (columns.ravel() + 0.5) * self.cell
        # The middle of the place around a cell, which lies in the image as a whole.
        half = self.side // 2
        self.middles = (
            np.clip(self.rows.astype(np.int64), half, height - self.side + half),
            np.clip(self.columns.astype(np.int64), half, width - self.side + half),
        )
        self.covered = np.zeros(self.mass.size)
        self.free = np.ones(self.mass.size, dtype=np.bool_)
        if edits is not None:
            painted = self._sums((edits != NOT_CLASSIFIED).astype(np.float32)).ravel()
            for index in np.flatnonzero(painted >= BRUSH_PX**2):
                near = self._near(int(index))
                self.covered = np.maximum(self.covered, near * (1 - KIND))

    def best(self) -> tuple[int, float] | None:
        """The cell whose place covers most of what is not covered yet, and its gain."""
        left = self.mass * (1 - self.covered)
        total = float(self.mass.sum())
        candidates = np.flatnonzero(self.free & (left > 0))
        if not candidates.size or total <= 0:
            return None
        # A place can only teach what is in it: its own change weighs what it reaches elsewhere.
        own = self._own(left)
        candidates = candidates[np.argsort(-own[candidates], kind="stable")[:MOST_CANDIDATES]]
        gains = np.array([self._gain(int(i)) for i in candidates])
        best = int(np.argmax(gains * own[candidates]))
        return int(candidates[best]), float(gains[best] / total)

    def cover(self, index: int) -> None:
        """Count the place around a cell as painted."""
        self.covered = np.maximum(self.covered, self._reached(index))
        apart = [np.abs(axis - axis[index]) for axis in self.middles]
        self.free &= np.maximum(*apart) >= self.side

    def _gain(self, index: int) -> float:
        return float((self.mass * np.maximum(self._reached(index) - self.covered, 0)).sum())

    def _own(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the place around each cell."""
        from scipy.ndimage import convolve1d

        reach = max(0.0, (self.side / self.cell - 1) / 2)  # whole cells on each side, and a part of one
        weights = np.ones(2 * int(np.ceil(reach)) + 1)
        if reach % 1:
            weights[[0, -1]] = reach % 1
        own = mass.reshape(self.shape)
        for axis in (0, 1):
            own = convolve1d(own, weights, axis=axis, mode="constant")
        return own.ravel()

    def _near(self, index: int) -> NDArray[np.float64]:
        away = (self.rows - self.rows[index]) ** 2 + (self.columns - self.columns[index]) ** 2
        near: NDArray[np.float64] = np.exp(-0.5 * away / (REACH * self.side / 2) ** 2)
        return near

    def _reached(self, index: int) -> NDArray[np.float64]:
        alike = np.clip(self.kinds.T @ self.kinds[:, index], 0, 1) ** 4
        reached: NDArray[np.float64] = alike * (KIND + (1 - KIND) * self._near(index))
        return reached

    def _sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        rows = np.add.reduceat(values.astype(np.float64), self.starts[0], axis=0)
        sums: NDArray[np.float64] = np.add.reduceat(rows, self.starts[1], axis=1)
        return sums


def _place(
    rank: int, row: int, column: int, gain: float, found: PixelBelief, change: Floats, side: int
) -> Place:
    top, left = row - side // 2, column - side // 2
    window = (slice(top, top + side), slice(left, left + side))
    weight = change[window]
    shown = found.shown[window]
    belief = (found.belief[(slice(None), *window)] * weight).sum((1, 2))
    first = int(np.bincount(shown.ravel(), weights=weight.ravel(), minlength=len(belief) + 1).argmax())
    belief[first - 1] = -1
    second = int(np.argmax(belief)) + 1
    return Place(
        rank,
        window,
        row,
        column,
        gain,
        (first, second),
        float(found.disputed[window].mean()),
    )
