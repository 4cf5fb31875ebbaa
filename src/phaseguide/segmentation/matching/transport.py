"""Semi-discrete optimal transport on a few thousand pixels: offsets for wanted counts, and the exact map.

Scores are float64 (K, M), counts int64 (K,). A phase that is not *active* gets no pixel and has the
offset minus infinity. Offsets that differ by a common shift mean the same.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

_MAX_SWEEPS = 200


def round_shares(amounts: Floats, total: int) -> Ints:
    """Round amounts to whole numbers of the given sum by largest remainder, the first of equals."""
    # Sums of shares such as 0.3 * 10 must not lose a pixel to the last bit.
    whole = np.floor(amounts + 1e-9).astype(np.int64)
    remainder = amounts - whole
    missing = total - int(whole.sum())
    order = np.argsort(-np.round(remainder, 9), kind="stable")
    whole[order[: max(missing, 0)]] += 1
    return whole


def _leads(scores: Floats, raised: Floats, phases: list[int], k: int) -> Floats:
    """Offset at which phase k takes each pixel from the others, (M,)."""
    others = [j for j in phases if j != k]
    lead: Floats = raised[others[0]].copy()
    for j in others[1:]:
        np.maximum(lead, raised[j], out=lead)
    lead -= scores[k]
    return lead


def _offset_for(leads: Floats, count: int) -> float:
    """Offset that exceeds exactly `count` of the leads: the middle of the gap, or just beyond the ends."""
    last = len(leads) - 1
    if count <= 0 or count > last:
        lowest, highest = float(leads.min()), float(leads.max())
        beyond = (highest - lowest) / len(leads)
        return lowest - beyond if count <= 0 else highest + beyond
    below, above = np.partition(leads, (count - 1, count))[count - 1 : count + 1]
    return float(below + (above - below) / 2)


def balance(scores: Floats, need: Ints, active: Mask, start: Floats, tolerance: int) -> tuple[Floats, int]:
    """Set the offsets phase by phase, each exactly right for the others, until no count is off.

    Parameters
    ----------
    scores : ndarray of float64, shape (K, M)
    need : ndarray of int64, shape (K,)
        Pixels per phase, sum M.
    active : ndarray of bool, shape (K,)
    start : ndarray of float64, shape (K,)
    tolerance : int
        Largest count error to stop at.

    Returns
    -------
    offsets : ndarray of float64, shape (K,)
    error : int
        Largest count error in the last sweep; above `tolerance` if the sweeps did not suffice.
    """
    offsets = start.copy()
    step = np.zeros_like(offsets)
    phases = [int(k) for k in np.flatnonzero(active)]
    error = 0
    for sweep in range(1, _MAX_SWEEPS + 1):
        before, earlier = offsets.copy(), step
        raised = scores + offsets[:, None]
        error = 0
        for k in phases:
            leads = _leads(scores, raised, phases, k)
            miss = abs(int(np.count_nonzero(leads < offsets[k])) - int(need[k]))
            if miss:
                error = max(error, miss)
                offsets[k] = _offset_for(leads, int(need[k]))
                raised[k] = scores[k] + offsets[k]
        if error <= tolerance:
            break
        step = np.zeros_like(offsets)
        step[active] = offsets[active] - before[active]
        step[active] -= step[active].mean()
        if sweep % 5 == 0 and earlier.any():
            # Late steps shrink by a constant factor: add up the geometric series that is to come.
            factor = min(max(float(step @ earlier / (earlier @ earlier)), 0.0), 0.98)
            offsets[active] += (step * factor / (1 - factor))[active]
    return offsets, error


def offset_box(scores: Floats, active: Mask, centre: Floats, margin: int) -> tuple[Floats, Floats]:
    """Lowest and highest offsets that change a phase's count in the sample by about `margin`.

    Where the sample is exhausted the box is open: few pixels can be concerned there.
    """
    low, high = np.full_like(centre, -np.inf), np.full_like(centre, np.inf)
    high[~active] = -np.inf
    raised = scores + centre[:, None]
    phases = [int(k) for k in np.flatnonzero(active)]
    for k in phases:
        leads = _leads(scores, raised, phases, k)
        have = int(np.count_nonzero(leads < centre[k]))
        below, above = have - margin, have + margin
        ranks = [r for r in (below, above) if 0 <= r < len(leads)]
        ordered = np.partition(leads, ranks) if ranks else leads
        if below >= 0:
            low[k] = ordered[below]
        if above < len(leads):
            high[k] = ordered[above]
    return low, high


def fits(offsets: Floats, low: Floats, high: Floats, active: Mask) -> bool:
    """True if the offsets lie between `low` and `high` after some common shift."""
    return bool(np.max(low[active] - offsets[active]) <= np.min(high[active] - offsets[active]))


def solve_exactly(scores: Floats, need: Ints, active: Mask, start: Floats) -> tuple[Labels, Floats]:
    """Find the assignment of highest total score with exactly the wanted counts.

    Balanced offsets leave a handful of pixels in the wrong phase; these are moved along shortest
    chains of swaps, which keeps the assignment the best one for its counts (successive shortest
    paths of minimum-cost flow, on a graph whose nodes are the phases).

    Parameters
    ----------
    scores : ndarray of float64, shape (K, M)
    need : ndarray of int64, shape (K,)
        Pixels per phase, sum M; 0 where not active.
    active : ndarray of bool, shape (K,)
    start : ndarray of float64, shape (K,)

    Returns
    -------
    labels : ndarray of uint8, shape (M,)
        1..K.
    offsets : ndarray of float64, shape (K,)
        Prove the optimum: no pixel has a higher ``scores + offsets`` than in its own phase.
    """
    n_phases = len(scores)
    offsets, _ = balance(scores, need, active, start, tolerance=0)
    raised = scores + offsets[:, None]
    owner = np.argmax(raised, axis=0)
    surplus = np.bincount(owner, minlength=n_phases) - need
    cost = np.empty((n_phases, n_phases))
    cheapest = np.empty((n_phases, n_phases), dtype=np.int64)
    stale = list(range(n_phases))
    while True:
        for i in stale:
            cost[i], cheapest[i] = _cheapest_moves(raised, owner, i)
        if not surplus.any():
            break
        stale = _shortest_path(cost, surplus)
        # All pixels are chosen before the first is moved: each leaves another phase.
        moves = [(cheapest[i, j], j) for i, j in pairwise(stale)]
        for pixel, phase in moves:
            owner[pixel] = phase
        surplus[stale[0]] -= 1
        surplus[stale[-1]] += 1
    distance = _all_distances(cost[np.ix_(active, active)])
    # Two extreme sets of offsets that prove the optimum; their mean is one too, and lies in the middle.
    offsets[active] += (distance.min(axis=0) - distance.min(axis=1)) / 2
    return (owner + 1).astype(np.uint8), offsets


def _cheapest_moves(raised: Floats, owner: Ints, i: int) -> tuple[Floats, Ints]:
    """For each phase, the least score lost by moving a pixel there from phase i, and that pixel."""
    members = np.flatnonzero(owner == i)
    if not len(members):
        return np.where(np.arange(len(raised)) == i, 0.0, np.inf), np.zeros(len(raised), dtype=np.int64)
    loss = raised[i, members] - raised[:, members]
    best = loss.argmin(axis=1)
    return loss[np.arange(len(raised)), best], members[best]


def _shortest_path(cost: Floats, surplus: Ints) -> list[int]:
    """Phases on the cheapest way from a phase with too many pixels to one with too few (Bellman-Ford)."""
    distance = np.where(surplus > 0, 0.0, np.inf)
    steps = []
    for _ in range(len(cost) - 1):
        through = distance[:, None] + cost
        before = through.argmin(axis=0)
        shorter = through.min(axis=0) < distance
        steps.append(np.where(shorter, before, np.arange(len(cost))))
        distance = np.where(shorter, through.min(axis=0), distance)
    path = [int(np.argmin(np.where(surplus < 0, distance, np.inf)))]
    for step in reversed(steps):
        node = int(step[path[-1]])
        if node in path:  # no step here, or a cycle that rounding made look shorter: cut it off
            del path[path.index(node) + 1 :]
        else:
            path.append(node)
    return path[::-1]


def _all_distances(cost: Floats) -> Floats:
    """All-pairs shortest distances (Floyd-Warshall)."""
    distance = cost.copy()
    for k in range(len(cost)):
        np.minimum(distance, distance[:, k, None] + distance[None, k, :], out=distance)
    np.fill_diagonal(distance, 0.0)
    return distance
