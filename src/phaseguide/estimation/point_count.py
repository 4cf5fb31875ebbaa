"""Error-adjusted area shares from points that a person named.

Design-based: the points were drawn at random with known chances (`phaseguide.estimation.point_plan`), so the
estimate is unbiased whatever the map that made the strata, and although a ratio may have had a part in
that map. It is a measurement, as the share of right points or the areas of the map are not. A good map
only makes it sharper. What it cannot see is an error of the person who names the points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.estimation.point_plan import PointCountError, PointPlan
from phaseguide.ratios import FLOOR, Ratio

UNNAMED = -1
"""Answer at a point that nobody has looked at yet."""

UNCLEAR = 0
"""Answer at a point that could not be told."""

_TWO_SIDED_95 = 1.959964


@dataclass(frozen=True)
class PointCountEstimate:
    """Area shares in [0, 1] per phase, shape (K,), among all that is not excluded, and how sure they are.

    ``shares`` are error-adjusted and sum to 1; the interval is 1.96 standard errors to either side, cut at 0 and 1.
    ``map_shares`` are what the map says, and sum to less than 1 where it leaves pixels not classified. ``counts``,
    shape (K + 1, K), are points by stratum (0 not classified, 1..K) and by the phase that was named; ``unclear``,
    shape (K + 1,), those without. ``lowest`` and ``highest`` are the share if none, or all, of the unclear points were
    this phase.
    """

    shares: Ratio
    standard_error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    map_shares: Ratio
    counts: NDArray[np.int64]
    unclear: NDArray[np.int64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def has_map(self) -> bool:
        """Whether a map said where to look; without one the points lie on a grid."""
        return bool(self.map_shares.any())

    @property
    def named(self) -> int:
        """Points that were given a phase."""
        return int(self.counts.sum())

    @property
    def uncertainty(self) -> tuple[float, ...]:
        """Standard error of log(phase : rest) per phase, for who takes the shares as a ratio.

        SE / (p (1 - p)) by linear propagation, with p at least `FLOOR` away from 0 and 1.
        """
        p = np.clip(self.shares, FLOOR, 1 - FLOOR)
        return tuple(float(u) for u in self.standard_error / (p * (1 - p)))


def adjusted_areas(plan: PointPlan, answers: ArrayLike) -> PointCountEstimate:
    """Estimate area shares from named points (Olofsson et al., Remote Sens. Environ. 148, 2014).

    With W_i the area share of stratum i in the map, n_i its named points, n_ij those named j and q_ij = n_ij / n_i:
    share p_j = sum_i W_i q_ij, and SE_j^2 = sum_i W_i^2 q_ij (1 - q_ij) / (n_i - 1). A stratum where no point, or
    every point, is phase j would seem to be without error: there (and only in the standard error) q = (h + 1) / (n_i +
    2) with h = n_ij.

    Unclear points are left out, as if they were like the named points of their stratum; what they could change is in
    ``lowest`` and ``highest``. Points that are not named yet are left out too: since the order is random, an
    unfinished count is valid, only less sharp. A stratum without any named point is shared out like the rest, with q =
    1/2 in its standard error, and a note says so. Answers, shape (N,), are 1..K, `UNCLEAR` or `UNNAMED` in the order
    of the plan; `PointCountError` for others, and where no point is named.
    """
    given = checked_answers(plan, answers)
    k, weights = len(plan.scheme), plan.weights
    table = np.zeros((k + 1, k + 1), dtype=np.int64)  # by stratum and answer; column 0: unclear
    seen = given != UNNAMED
    np.add.at(table, (plan.strata[seen], given[seen]), 1)
    unclear, counts = table[:, 0], table[:, 1:]
    if not counts.any():
        raise PointCountError(
            "No point has been given a phase yet, so there is no estimate. Name some points."
        )
    shares = _weighted(weights, counts, counts.sum(axis=1))
    n = counts.sum(axis=1, keepdims=True).astype(np.float64)
    certain = (counts == 0) | (counts == n)
    q = np.where(certain, (counts + 1) / (n + 2), counts / np.maximum(n, 1))
    error = np.sqrt((weights[:, None] ** 2 * q * (1 - q) / np.maximum(n - 1, 1)).sum(axis=0))
    asked = table.sum(axis=1)
    return PointCountEstimate(
        shares=shares,
        standard_error=error,
        low=np.clip(shares - _TWO_SIDED_95 * error, 0, 1),
        high=np.clip(shares + _TWO_SIDED_95 * error, 0, 1),
        map_shares=weights[1:],
        counts=counts,
        unclear=unclear,
        lowest=_weighted(weights, counts, asked),
        highest=_weighted(weights, counts + unclear[:, None], asked),
        notes=_notes(plan, given, counts),
    )


def checked_answers(plan: PointPlan, answers: ArrayLike) -> NDArray[np.int64]:
    """Return answers as an array; errors as in `adjusted_areas`."""
    given = np.asarray(answers, dtype=np.int64)
    if given.shape != (len(plan),):
        raise PointCountError(
            f"There are {given.size} answers for {len(plan)} points. Use the answers that belong to this plan."
        )
    wrong = given[(given < UNNAMED) | (given > len(plan.scheme))]
    if wrong.size:
        raise PointCountError(
            f"The answer {wrong[0]} is no phase. The phases are {plan.scheme.describe()}; {UNCLEAR} means unclear."
        )
    return given


def _weighted(weights: Ratio, hits: NDArray[np.int64], points: NDArray[np.int64]) -> Ratio:
    """Sum over strata of weight times hits / points; strata without a point take no part."""
    used = points > 0
    shares: Ratio = (weights[used, None] * hits[used] / points[used, None]).sum(axis=0) / weights[used].sum()
    return shares


def _notes(plan: PointPlan, given: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[str, ...]:
    """Sentences for whoever reads the numbers."""
    notes = [f"The map is {plan.map_note}"] if plan.map_note else []
    total, open_, unclear = len(plan), int((given == UNNAMED).sum()), int((given == UNCLEAR).sum())
    if open_:
        notes.append(
            f"{open_} of {total} points are not named yet. The order is random, so the estimate is valid, "
            "only less sharp."
        )
    if unclear:
        notes.append(
            f"{unclear} of {total} points were unclear and are left out; the table says what each share would be "
            "if none or all of them were that phase."
        )
    names = ("not classified", *plan.scheme.names)
    for stratum, name in enumerate(names):
        if plan.pixels[stratum] and not counts[stratum].any():
            notes.append(
                f"No point was named where the map says {name!r} ({plan.weights[stratum] * 100:.1f} % of the "
                "area); that area is taken to be like the rest."
            )
    return tuple(notes)
