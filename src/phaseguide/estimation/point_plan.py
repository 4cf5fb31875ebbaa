"""Which points of a label map a person should name to check its areas, and how sharp that will be.

The points are pixels, drawn at random inside the strata that the map itself makes: one stratum for each
phase, and one for what is not classified. Nothing that the map says is believed; it only decides where
to look. Whatever the map, `phaseguide.estimation.point_count` makes an unbiased estimate of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.micrographs.arrays import as_label_array
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.segmentation.saving import CONSTRAINED

LEAST_PER_STRATUM = 10
MOST_POINTS = 2000
ASSUMED_RIGHT = 0.9
"""How often a map is assumed to be right where nothing better is known."""

_CANDIDATES_PER_POINT = 10
_MOST_CANDIDATES = 5000


class PointCountError(PhaseguideError):
    """A point count that cannot be planned, read or evaluated."""


@dataclass(frozen=True)
class PointPlan:
    """Points to be named, in the order in which they are shown; N of them, from 0 at the top left, in px.

    ``strata`` is what the map says there: 0 not classified, 1..K; not to be shown to whoever names the points.
    ``pixels`` is the size of each stratum, shape (K + 1,): not classified, then the phases; excluded pixels are in
    none. ``map_note`` must be said beside the areas of the map ("constrained by your value, not independent ...").
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    strata: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    shape: tuple[int, int]
    scheme: PhaseScheme
    seed: int
    map_note: str = ""

    def __len__(self) -> int:
        return int(self.rows.size)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Area share of each stratum 0..K, shape (K + 1,); sums to 1."""
        weights: NDArray[np.float64] = self.pixels / self.pixels.sum()
        return weights


def propose_points(
    labels: ArrayLike, scheme: PhaseScheme, count: int, seed: int, map_note: str = ""
) -> PointPlan:
    """Draw points in random order, more on rare phases than their area would give them.

    A phase gets points in proportion to the square root of its area, a compromise between equal numbers (best for the
    phase itself) and numbers by area (best for the sum), and at least `LEAST_PER_STRATUM` or half of an equal share,
    whichever is less. Within a stratum each pixel has the same chance, and points keep away from each other, so that
    one feature gets one hit: of ten random pixels for each point, the local pivotal method (Grafström, Lundström and
    Schelin, Biometrics 68, 2012) keeps one, letting neighbours compete. A fixed least distance would favour the pixels
    at phase boundaries, where maps are wrong most often. The same map, count and seed give the same points.
    `PointCountError` for no map of one plane, one that is all excluded, or too few or too many points; `SchemeError`
    for values that are not in the scheme.
    """
    array = as_label_array(labels, "the map")
    pixels = stratum_pixels(array, scheme)
    per_stratum = allocate(pixels, count)
    rng = np.random.default_rng(seed)
    drawn = [_spread_points(array == s, int(n), rng) for s, n in enumerate(per_stratum) if n]
    places = np.concatenate(drawn)
    strata = np.repeat(np.arange(pixels.size, dtype=np.uint8), per_stratum)
    order = rng.permutation(len(places))
    height, width = array.shape
    return PointPlan(
        places[order, 0], places[order, 1], strata[order], pixels, (height, width), scheme, seed, map_note
    )


def constrained_note(own: Mapping[str, float], statement: str = CONSTRAINED) -> str:
    """Return the `PointPlan.map_note` of a map that a user's ratio or prompts changed, from its shares without them."""
    shares = ", ".join(f"{name} {share * 100:.2f} %" for name, share in own.items())
    return f"{statement}; without guidance it has {shares}. The estimate from points is a measurement."


def stratum_pixels(labels: NDArray[np.integer], scheme: PhaseScheme) -> NDArray[np.int64]:
    """Count the pixels of each stratum: not classified, then the phases; shape (K + 1,)."""
    if labels.ndim != 2 or labels.dtype.kind not in "uib":
        raise PointCountError(
            f"Points are drawn on one plane of whole numbers; this map has shape {labels.shape} and type "
            f"{labels.dtype}. Choose one plane of a label map."
        )
    pixels = np.array([np.count_nonzero(labels == s) for s in range(len(scheme) + 1)], dtype=np.int64)
    if pixels.sum() + np.count_nonzero(labels == EXCLUDED) != labels.size:
        scheme.check_labels(np.unique(labels).tolist(), source="The label map")
    if not pixels.any():
        raise PointCountError("Every pixel of the label map is excluded, so there is nothing to count.")
    return pixels


def allocate(pixels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Points for each stratum, as `propose_points` describes; never more than it has pixels.

    `PointCountError` for fewer than two points a stratum, more than `MOST_POINTS`, or more than there are pixels.
    """
    present = pixels > 0
    strata, room = int(present.sum()), min(MOST_POINTS, int(pixels.sum()))
    if not min(2 * strata, room) <= count <= room:
        raise PointCountError(
            f"{count} points cannot be drawn on a map with {strata} phases in {pixels.sum()} px. "
            f"Ask for {min(2 * strata, room)} to {room}."
        )
    least = np.minimum(pixels, max(2, min(LEAST_PER_STRATUM, count // (2 * strata))))
    root = np.sqrt(pixels)
    low, high = 0.0, float(count)
    for _ in range(100):  # the factor by which clipped square roots sum to the count
        factor = (low + high) / 2
        wanted = np.clip(factor * root, least, pixels)
        low, high = (factor, high) if wanted.sum() < count else (low, factor)
    points = np.floor(wanted + 1e-9).astype(np.int64)
    largest = np.argsort(np.where(points < pixels, points - wanted, np.inf), kind="stable")
    points[largest[: count - int(points.sum())]] += 1
    return points


def expected_standard_error(
    pixels: ArrayLike, count: int, right: ArrayLike = ASSUMED_RIGHT
) -> NDArray[np.float64]:
    """Standard error to expect from a count, before any point is named.

    Root mean square of what `phaseguide.estimation.point_count.adjusted_areas` will report if the map is right as
    often as assumed and its errors fall on the other phases by their area. The strata are those of `stratum_pixels`,
    shape (K + 1,); ``right`` is how often a point is the phase that the map says. Returned in area shares, shape (K,).
    """
    sizes = np.asarray(pixels, dtype=np.int64)
    points = allocate(sizes, count)
    weights, k = sizes / sizes.sum(), sizes.size - 1
    chance = np.empty((k + 1, k))
    for stratum in range(k + 1):
        others = weights[1:].copy()
        if stratum:
            others[stratum - 1] = 0
        total = others.sum()
        chance[stratum] = others / total if total > 0 else 1 / k
    sure = np.broadcast_to(np.asarray(right, dtype=np.float64), (k,))
    chance[1:] = np.where(np.eye(k, dtype=bool), sure[:, None], (1 - sure[:, None]) * chance[1:])
    used = points > 0
    n, q, w = points[used, None].astype(np.float64), chance[used], weights[used, None]
    # Mean over binomial hits h of q(1 - q)/(n - 1) with q = h/n, or (h + 1)/(n + 2) where h is 0 or n.
    smooth = (n + 1) / (n + 2) ** 2 / np.maximum(n - 1, 1)
    variance = q * (1 - q) / n + (q**n + (1 - q) ** n) * smooth
    error: NDArray[np.float64] = np.sqrt((w**2 * variance).sum(axis=0))
    return error


def _spread_points(mask: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw well-spread pixels of a mask, each with the same chance; shape (count, 2), row and column."""
    per_row = mask.sum(axis=1)
    before = np.concatenate([[0], np.cumsum(per_row)])
    size = int(before[-1])
    wanted = min(size, max(count, min(_CANDIDATES_PER_POINT * count, _MOST_CANDIDATES)))
    ranks = np.sort(rng.choice(size, wanted, replace=False))
    rows = np.searchsorted(before, ranks, side="right") - 1
    columns = np.empty_like(rows)
    for row in np.unique(rows):  # row by row: the indices of all pixels would take eight times the map
        here = rows == row
        columns[here] = np.flatnonzero(mask[row])[ranks[here] - before[row]]
    candidates = np.stack([rows, columns], axis=1).astype(np.int64)
    return candidates[_local_pivotal(candidates.astype(np.float64), count, rng)]


def _local_pivotal(places: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``count`` of the places, each with the same chance, by duels between nearest neighbours.

    In a duel the two chances are added up, and one of the two gets as much of the sum as it can
    (1 at most) with such a probability that both keep their chance in the mean. Who is at 0 or 1 leaves.
    """
    total = len(places)
    if count == total:
        return np.arange(total)
    chance = np.full(total, count / total)
    left = np.arange(total)
    while left.size > 1:
        i = int(rng.integers(left.size))
        squared = ((places[left] - places[left[i]]) ** 2).sum(axis=1)
        squared[i] = np.inf
        j = int(np.argmin(squared))
        a, b = left[i], left[j]
        both = chance[a] + chance[b]
        much, little = min(1.0, both), max(0.0, both - 1.0)
        a_wins = rng.random() * (much - little) < chance[a] - little
        chance[a], chance[b] = (much, little) if a_wins else (little, much)
        left = np.delete(left, [at for at in (i, j) if not 1e-9 < chance[left[at]] < 1 - 1e-9])
    return np.flatnonzero(chance > 0.5)
