"""Solving ratio matching on a whole image: assign what is clear, solve the rest exactly.

Offsets found on a sample of the pixels leave a small box of possible offsets. One pass over the image
assigns every pixel whose phase is the same anywhere in that box; the few others are solved by the
same method, and the last thousands by `transport.solve_exactly`. Its offsets must lie in the box,
which proves that the whole is right; else the box is widened. So the result does not depend on the sample.

Nothing here grows with the image but one byte a pixel, the labels, and the few pixels in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.segmentation.matching.transport import (
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
from phaseguide.segmentation.network.scratch import release

Scores = NDArray[Any]

ROUNDING = 2.0**-20
"""Relative size below which score differences are float32 rounding, not information."""

_TIE = 2.0**-30  # size of the tie-breaking term relative to the scores; far below float32 rounding
_CHUNK = 1 << 16  # pixels a step: the temporaries of a few phases stay in the processor's cache
_HELD = 1 << 27  # bytes of a mapped file that are read before its pages are given back
_SPREAD = 1 << 10  # pixels far apart: reading one of a mapped file takes a few of its pages
_SAMPLE = 1 << 13  # pixels whose offsets are found first; grows with the root of larger images
_LARGEST_SAMPLE = 1 << 18


def chunks(z: Scores) -> Iterator[tuple[slice, Scores]]:
    """Yield slices of the pixels and the scores there, float32 or float64."""
    held = 0
    for start in range(0, z.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        block = z[:, part]
        yield part, block.astype(np.float32) if block.dtype == np.float16 else block
        held += block.nbytes
        if held > _HELD:
            release(z)
            held = 0
    release(z)


def count_labels(labels: NDArray[Any], n_phases: int) -> Ints:
    """Count the pixels of labels 1..K."""
    flat = labels.reshape(-1)
    counts = np.zeros(n_phases, dtype=np.int64)
    for start in range(0, flat.size, _CHUNK):
        counts += _counts(flat[start : start + _CHUNK], n_phases)
    return counts


@dataclass(frozen=True)
class Field:
    """All pixels of an image, and what one look at the scores tells whatever ratio is wanted.

    Attributes
    ----------
    z : ndarray of float, shape (K, N)
    given : ndarray of uint8, shape (N,), or None
        Not 0 where a pixel is fixed.
    magnitude : float
        Largest absolute score.
    own, fixed : ndarray of int64, shape (K,)
        Pixels of each phase in the map without a ratio, and those among them that are given.
    """

    z: Scores
    given: Labels | None
    magnitude: float
    own: Ints
    fixed: Ints

    def free_blocks(self) -> Iterator[tuple[slice, Scores, Mask | None]]:
        """Yield slices, the scores there, and which pixels are free if not all of them are."""
        for part, block in chunks(self.z):
            free = None if self.given is None else self.given[part] == 0
            yield part, block, None if free is not None and free.all() else free

    def free_pixels(self, ranks: Ints) -> Ints:
        """Positions of the free pixels that have some increasing ranks among the free pixels."""
        if self.given is None:
            return ranks
        found: list[Ints] = []
        passed = 0
        for start in range(0, self.given.size, _CHUNK):
            free = self.given[start : start + _CHUNK] == 0
            here = int(np.count_nonzero(free))
            low, high = np.searchsorted(ranks, (passed, passed + here))
            if high > low:
                found.append(start + np.flatnonzero(free)[ranks[low:high] - passed])
            passed += here
        return np.concatenate(found)

    def exact(self, pixels: Ints) -> Floats:
        """Copy some pixels to float64 with ties broken."""
        exact = np.empty((len(self.z), len(pixels)))
        for start in range(0, len(pixels), _SPREAD):
            part = slice(start, start + _SPREAD)
            exact[:, part] = _columns(self.z, pixels[part])
            release(self.z)
        return self._break_ties(exact, pixels)

    def _break_ties(self, exact: Floats, pixels: Ints) -> Floats:
        """Add a term that grows with both pixel number and phase number, in place.

        So no two pixels tie between any two phases; that makes the best map unique, and monotone in
        the wanted shares.
        """
        place = pixels / self.z.shape[1]
        for row, size in zip(exact, np.linspace(0, _TIE * self.magnitude, len(exact)), strict=True):
            row += size * place
        return exact

    def sample(self, rng: np.random.Generator) -> Floats:
        """Draw free pixels; see `_draw`. All of them, in their order, where they are few."""
        return self.exact(self.free_pixels(_draw(int((self.own - self.fixed).sum()), rng)))

    def assign(self, low: Floats, high: Floats, active: Mask) -> _Assigned:
        """Label every pixel whose phase is the same for all offsets between `low` and `high`."""
        labels = np.empty(self.z.shape[1], dtype=np.uint8)
        finite = np.abs(np.concatenate([low, high]))
        reach = self.magnitude + float(finite.max(where=np.isfinite(finite), initial=0))
        # The image is read in its own precision: what rounding could turn is left undecided.
        low, high = low - ROUNDING * reach, high + ROUNDING * reach
        counts = np.zeros(len(low), dtype=np.int64)
        undecided: list[Ints] = []
        kept: list[Scores] = []
        for part, block, free in self.free_blocks():
            winner, is_open = _decide(block, low, high, active)
            if free is not None:
                winner *= free
                is_open &= free
            where = np.flatnonzero(is_open)
            counts += _counts(winner, len(low))
            labels[part] = winner
            undecided.append(where + part.start)
            kept.append(_columns(block, where))
        pixels = np.concatenate(undecided)
        exact = self._break_ties(np.concatenate(kept, axis=1, dtype=np.float64), pixels)
        return _Assigned(labels, counts, pixels, exact)


@dataclass(frozen=True)
class _Assigned:
    """Labels, 0 where undecided or fixed; pixels of each phase; which are undecided, and their scores."""

    labels: Labels
    counts: Ints
    undecided: Ints
    scores: Floats


class _Pixels(Protocol):
    def sample(self, rng: np.random.Generator) -> Floats: ...
    def assign(self, low: Floats, high: Floats, active: Mask) -> _Assigned: ...


@dataclass(frozen=True)
class _Few:
    """Pixels with exact scores (K, M)."""

    scores: Floats

    def sample(self, rng: np.random.Generator) -> Floats:
        return _columns(self.scores, _draw(self.scores.shape[1], rng))

    def assign(self, low: Floats, high: Floats, active: Mask) -> _Assigned:
        decided = [_decide(block, low, high, active) for _, block in chunks(self.scores)]
        labels = np.concatenate([winner for winner, _ in decided])
        undecided = np.flatnonzero(np.concatenate([is_open for _, is_open in decided]))
        return _Assigned(labels, count_labels(labels, len(low)), undecided, _columns(self.scores, undecided))


def survey(z: Scores, given: Labels | None) -> tuple[Field, Labels]:
    """Look at all scores, (K, N), once: the field, and its map without a ratio, of equals the first.

    ``given``, (N,), is not 0 where a pixel is fixed. Raises `PhaseguideError` where the scores hold NaN or infinity.
    """
    labels = np.ones(z.shape[1], dtype=np.uint8)
    own, fixed = np.zeros(len(z), dtype=np.int64), np.zeros(len(z), dtype=np.int64)
    magnitude = 0.0
    for part, block in chunks(z):
        out = labels[part]
        best = block[0].copy()
        for k in range(1, len(block)):
            # Phase by phase is 20 times faster than argmax over axis 0.
            higher = block[k] > best
            np.maximum(out, higher.view(np.uint8) * np.uint8(k + 1), out=out)
            np.maximum(best, block[k], out=best)  # carries NaN along, so that it shows at the end
        lowest, highest = float(block.min(initial=0)), float(best.max(initial=0))
        magnitude = max(magnitude, -lowest, highest)
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise PhaseguideError(
                "The scores hold NaN or infinity: the image has such values, or the model is damaged. "
                "Check the image, then try another model."
            )
        if given is not None:
            put_fixed(out, given[part])
            fixed += _counts(given[part], len(z))
        own += _counts(out, len(z))
    return Field(z, given, magnitude, own, fixed), labels


def put_fixed(labels: Labels, given: Labels) -> None:
    """Write what is given into labels, in place."""
    for start in range(0, labels.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        np.copyto(labels[part], given[part], where=given[part] != 0)


def solve(field: Field, sample: Floats, need: Ints, rng: np.random.Generator) -> tuple[Labels, Floats]:
    """Give ``need[k]`` of the free pixels to each phase k.

    Parameters
    ----------
    field : Field
    sample : ndarray of float64, shape (K, M)
        From ``field.sample``.
    need : ndarray of int64, shape (K,)
        Sum: the free pixels.
    rng : Generator
        Can change the speed, not the result.

    Returns
    -------
    labels : ndarray of uint8, shape (N,)
    offsets : ndarray of float64, shape (K,)
        For a phase that needs nothing: the offset at which it would get its first pixel.
    """
    active = need > 0
    count = int(need.sum())
    offsets = np.where(active, 0.0, -np.inf)
    if np.count_nonzero(active) == 1:
        labels = np.full(field.z.shape[1], 1 + int(np.argmax(active)), dtype=np.uint8)
    elif count == sample.shape[1]:
        labels = np.zeros(field.z.shape[1], dtype=np.uint8)
        labels[field.free_pixels(np.arange(count))], offsets = solve_exactly(sample, need, active, offsets)
    else:
        labels, offsets = _solve_many(field, sample, need, active, offsets, rng)
    if field.given is not None:
        put_fixed(labels, field.given)
    if not active.all():
        offsets = np.where(active, offsets, _least_rivals(field, offsets))
    return labels, offsets


def is_constant(field: Field) -> bool:
    """True if the score differences between phases are the same at every free pixel."""
    first: Floats | None = None
    for _, block, free in field.free_blocks():
        scores = block if free is None else block[:, free]
        if not scores.shape[1]:
            continue
        difference = scores[1:] - scores[:1]
        if first is None:
            first = difference[:, :1].astype(np.float64)
        if np.abs(difference - first).max(initial=0) > ROUNDING * field.magnitude:
            return False
    return True


def _solve_many(
    pixels: _Pixels, sample: Floats, need: Ints, active: Mask, start: Floats, rng: np.random.Generator
) -> tuple[Labels, Floats]:
    """Solve for more pixels than a sample has; return labels and offsets."""
    count, drawn = int(need.sum()), sample.shape[1]
    centre, slack = _balance_sample(sample, need, active, start)
    margin = math.isqrt(drawn) + slack  # twice the random error of the sample's shares
    while True:
        low, high = offset_box(sample, active, centre, margin)
        assigned = pixels.assign(low, high, active)
        rest = need - assigned.counts
        # A box that misses the optimum shows here, or in offsets outside; nothing wrong gets through.
        if (rest >= 0).all():
            if not len(assigned.undecided):
                return assigned.labels, centre
            few = _Few(assigned.scores)
            if len(assigned.undecided) <= _SAMPLE or len(assigned.undecided) > 0.9 * count:
                winners, offsets = solve_exactly(few.scores, rest, active, centre)
            else:
                winners, offsets = _solve_many(few, few.sample(rng), rest, active, centre, rng)
            if fits(offsets, low, high, active):
                assigned.labels[assigned.undecided] = winners
                return assigned.labels, offsets
            # Often only drifted along a chain of phases: the next box lies around what was found.
            centre = offsets
        margin = 2 * margin


def _balance_sample(sample: Floats, need: Ints, active: Mask, start: Floats) -> tuple[Floats, int]:
    """Offsets that give a sample the wanted shares, and the largest count error left; coarse to fine."""
    centre, slack = start, 0
    for stride in (64, 16, 4, 1):
        part = np.ascontiguousarray(sample[:, ::stride])
        size = part.shape[1]
        if size >= 1024 or stride == 1:
            wanted = round_shares(need / need.sum() * size, size)
            centre, slack = balance(part, wanted, active, centre, tolerance=math.isqrt(size) // 16)
    return centre, slack


def _decide(block: Scores, low: Floats, high: Floats, active: Mask) -> tuple[Labels, Mask]:
    """The phase of each pixel for all offsets in the box, 0 where several can win, and where they can."""
    phases = np.flatnonzero(active)
    floor, ceiling = low.astype(block.dtype), high.astype(block.dtype)
    sure = block[phases[0]] + floor[phases[0]]
    value = np.empty_like(sure)
    for k in phases[1:]:
        np.maximum(sure, np.add(block[k], floor[k], out=value), out=sure)
    winner = np.zeros(sure.shape, dtype=np.uint8)
    rivals = np.zeros(sure.shape, dtype=np.uint8)
    for k in phases:
        can_win = (np.add(block[k], ceiling[k], out=value) >= sure).view(np.uint8)
        rivals += can_win
        np.maximum(winner, can_win * np.uint8(k + 1), out=winner)
    several = rivals > 1
    winner *= ~several
    return winner, several


def _columns(block: Scores, where: Ints) -> Scores:
    """Copy some pixels; row by row, as `take` along the second axis copies the whole block first."""
    few = np.empty((len(block), len(where)), dtype=block.dtype)
    for row, target in zip(block, few, strict=True):
        row.take(where, out=target, mode="clip")
    return few


def _draw(count: int, rng: np.random.Generator) -> Ints:
    """Draw one of each of equal runs of pixels, so that the sample follows the image closely."""
    wanted = min(_LARGEST_SAMPLE, max(_SAMPLE, int(_SAMPLE * math.sqrt(count / (1 << 20)))))
    edges = np.linspace(0, count, min(count, wanted) + 1).astype(np.int64)
    drawn: Ints = rng.integers(edges[:-1], edges[1:])
    return drawn


def _counts(labels: Labels, n_phases: int) -> Ints:
    """Count 1..K in a few labels; comparing phase by phase is several times faster than bincount on uint8."""
    return np.array([np.count_nonzero(labels == k) for k in range(1, n_phases + 1)], dtype=np.int64)


def _least_rivals(field: Field, offsets: Floats) -> Floats:
    """Return for each phase without an offset the one at which it would get its first free pixel."""
    least = np.full(len(field.z), np.inf)
    rivals = np.flatnonzero(~np.isfinite(offsets))
    for _, block, free in field.free_blocks():
        scores = block if free is None else block[:, free]
        if not scores.shape[1]:
            continue
        best = np.full(scores.shape[1], -np.inf)
        for k in np.flatnonzero(np.isfinite(offsets)):
            np.maximum(best, scores[k] + offsets[k], out=best)
        for k in rivals:
            least[k] = min(least[k], float(np.min(best - scores[k])))
    return least
