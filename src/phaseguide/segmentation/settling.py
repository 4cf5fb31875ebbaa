"""Solving ratio matching on a whole image: settle what is clear, solve the rest exactly.

Offsets found on a sample of the pixels leave a small box of possible offsets. One pass over the image
settles every pixel whose phase is the same anywhere in that box; the few others are solved by the
same method, and the last thousands by `transport.solve_exactly`. Its offsets must lie in the box,
which proves that the whole is right; else the box is widened. So the result does not depend on the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.segmentation.transport import (
    Floats,
    Ints,
    Labels,
    Mask,
    balance,
    fits,
    offset_box,
    round_shares,
    solve_exactly,
)

Scores = NDArray[Any]

ROUNDING = 2.0**-20
"""Relative size below which score differences are float32 rounding, not information."""

_TIE = 2.0**-30  # size of the tie-breaking term relative to the scores; far below float32 rounding
_CHUNK = 1 << 16  # pixels a step: the temporaries of a few phases stay in the processor's cache
_SAMPLE = 1 << 14  # pixels whose offsets are found first
_SAMPLE_MARGIN = 1 << 7  # sample pixels by which its shares may be wrong; twice their random error


def chunks(z: Scores) -> Iterator[tuple[slice, Scores]]:
    """Yield slices of the pixels and the scores there, float32 or float64."""
    for start in range(0, z.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        block = z[:, part]
        yield part, block.astype(np.float32) if block.dtype == np.float16 else block


def count_labels(labels: NDArray[Any], n_phases: int) -> Ints:
    """Count the pixels of labels 1..K."""
    # Comparing phase by phase is several times faster than bincount on uint8.
    return np.array([np.count_nonzero(labels == k) for k in range(1, n_phases + 1)], dtype=np.int64)


def solve(
    z: Scores, need: Ints, free: Mask | None, magnitude: float, rng: np.random.Generator
) -> tuple[Labels, Floats]:
    """Give ``need[k]`` of the free pixels to each phase k; return labels (N,) and offsets (K,)."""
    active = need > 0
    if np.count_nonzero(active) == 1:
        labels = np.full(z.shape[1], 1 + int(np.argmax(active)), dtype=np.uint8)
        offsets = np.where(active, 0.0, -np.inf)
    else:
        field = _Field(z, free, active, magnitude)
        labels, offsets = _assign(field, None, need, np.where(active, 0.0, -np.inf), rng)
    if not active.all():
        offsets = np.where(active, offsets, _least_rivals(z, free, offsets))
    return labels, offsets


@dataclass(frozen=True)
class _Field:
    """The scores and what stays the same while pixels are settled."""

    z: Scores
    free: Mask | None
    active: Mask
    magnitude: float

    def exact(self, pixels: Ints) -> Floats:
        """Copy some pixels to float64 with ties broken.

        The term grows with both pixel number and phase number, so that no two pixels tie between any
        two phases; that makes the best map unique, and monotone in the wanted shares.
        """
        exact: Floats = self.z[:, pixels].astype(np.float64)
        exact += np.linspace(0, _TIE * self.magnitude, len(self.z))[:, None] * (pixels / self.z.shape[1])
        return exact

    def blocks(self, pixels: Ints | None) -> Iterator[tuple[slice, Scores, Mask | None]]:
        """Yield part, scores and free mask, of the whole image as it is, or of some pixels exactly."""
        if pixels is None:
            for part, block in chunks(self.z):
                yield part, block, None if self.free is None else self.free[part]
        else:
            for start in range(0, len(pixels), _CHUNK):
                part = slice(start, start + _CHUNK)
                yield part, self.exact(pixels[part]), None

    def sample(self, pixels: Ints | None, rng: np.random.Generator) -> Ints:
        """Draw one pixel out of each of equal runs, so that the sample follows the image closely."""
        if pixels is None and self.free is not None:
            pixels = np.flatnonzero(self.free)
        count = self.z.shape[1] if pixels is None else len(pixels)
        edges = np.linspace(0, count, min(count, _SAMPLE) + 1).astype(np.int64)
        drawn: Ints = rng.integers(edges[:-1], edges[1:])
        return drawn if pixels is None else pixels[drawn]


def _assign(
    field: _Field, pixels: Ints | None, need: Ints, start: Floats, rng: np.random.Generator
) -> tuple[Labels, Floats]:
    """Solve for all free pixels (``pixels`` None, labels (N,)) or for some; return labels and offsets."""
    count = int(need.sum())
    sample = field.sample(pixels, rng)
    scores = field.exact(sample)
    if len(sample) == count:
        winners, offsets = solve_exactly(scores, need, field.active, start)
        if pixels is not None:
            return winners, offsets
        labels = np.zeros(field.z.shape[1], dtype=np.uint8)
        labels[sample] = winners
        return labels, offsets

    sample_need = round_shares(need / count * len(sample), len(sample))
    centre, slack = balance(scores, sample_need, field.active, start, tolerance=_SAMPLE_MARGIN // 16)
    margin = _SAMPLE_MARGIN + slack
    while True:
        low, high = offset_box(scores, field.active, centre, margin)
        labels, settled, undecided = _settle(field, pixels, low, high)
        rest = need - settled
        # A box that misses the optimum shows here, or in offsets outside; nothing wrong gets through.
        if (rest >= 0).all():
            if not len(undecided):
                return labels, centre
            if pixels is not None and len(undecided) > 0.9 * count:
                return solve_exactly(field.exact(pixels), need, field.active, centre)
            inner = undecided if pixels is None else pixels[undecided]
            winners, offsets = _assign(field, inner, rest, centre, rng)
            if fits(offsets, low, high, field.active):
                labels[undecided] = winners
                return labels, offsets
            # Often only drifted along a chain of phases: the next box lies around what was found.
            centre = offsets
        margin = 2 * margin


def _settle(field: _Field, pixels: Ints | None, low: Floats, high: Floats) -> tuple[Labels, Ints, Ints]:
    """Label every pixel whose phase is the same for all offsets between `low` and `high`.

    Returns
    -------
    labels : ndarray of uint8
        Meaningless where undecided or not free.
    settled : ndarray of int64, shape (K,)
        Pixels settled per phase.
    undecided : ndarray of int64
        Positions of the other free pixels.
    """
    labels = np.empty(field.z.shape[1] if pixels is None else len(pixels), dtype=np.uint8)
    undecided: list[Ints] = []
    settled = np.zeros(len(low), dtype=np.int64)
    phases = np.flatnonzero(field.active)
    finite = np.abs(np.concatenate([low, high]))
    reach = field.magnitude + float(finite.max(where=np.isfinite(finite), initial=0))
    # The image is read in its own precision: what rounding could turn is left undecided.
    slack = ROUNDING * reach if pixels is None else 0.0
    for part, block, free in field.blocks(pixels):
        floor, ceiling = (low - slack).astype(block.dtype), (high + slack).astype(block.dtype)
        sure = block[phases[0]] + floor[phases[0]]
        value = np.empty_like(sure)
        for k in phases[1:]:
            np.maximum(sure, np.add(block[k], floor[k], out=value), out=sure)
        winner = labels[part]
        winner[:] = 0
        rivals = np.zeros(winner.shape, dtype=np.uint8)
        for k in phases:
            can_win = (np.add(block[k], ceiling[k], out=value) >= sure).view(np.uint8)
            rivals += can_win
            np.maximum(winner, can_win * np.uint8(k + 1), out=winner)
        is_open = rivals > 1
        if free is not None:
            is_open &= free
            winner *= free
        where = np.flatnonzero(is_open)
        undecided.append(where + part.start)
        settled += count_labels(winner, len(low)) - count_labels(winner[where], len(low))
    return labels, settled, np.concatenate(undecided)


def _least_rivals(z: Scores, free: Mask | None, offsets: Floats) -> Floats:
    """Return for each phase the offset at which it would get its first free pixel."""
    phases = np.flatnonzero(np.isfinite(offsets))
    least = np.full(len(z), np.inf)
    for part, block in chunks(z):
        if free is not None:
            block = block[:, free[part]]
        if block.shape[1]:
            best = np.max(block[phases] + offsets[phases, None], axis=0)
            least = np.minimum(least, (best - block).min(axis=1))
    return least
