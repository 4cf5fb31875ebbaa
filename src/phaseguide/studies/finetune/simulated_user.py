"""A simulated user for studies: strokes of the true labels, painted with a round brush, from a seed.

It stands for a patient person who knows the phases. It paints inside a region and never across its
border, so no stroke is wrong; and it sees where a prediction is wrong, which a real user has to find
out. Both flatter every method alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

DIRECTIONS = 12
"""Directions tried for a stroke; the one that stays inside longest is taken."""

MOST_TRIES = 500
"""Strokes of one visit, so that a region of single pixels does not take for ever."""


@dataclass(frozen=True)
class Brush:
    """A round brush: its diameter and the length of a stroke, px."""

    width: int = 7
    length: int = 48


BRUSH = Brush()


def first_strokes(
    truth: Labels, n_phases: int, most: int, rng: np.random.Generator, brush: Brush = BRUSH
) -> Labels:
    """Paint one stroke in each phase that the image has, together ``most`` pixels at most, each phase the same
    part; return 1..K where painted, else 0.
    """
    painted = np.zeros_like(truth)
    present = [k for k in range(1, n_phases + 1) if bool((truth == k).any())]
    for k in present:
        paint_stroke(painted, truth == k, k, most // len(present), rng, brush)
    return painted


def correcting_strokes(
    truth: Labels,
    predicted: Labels,
    painted: Labels,
    n_phases: int,
    most: int,
    rng: np.random.Generator,
    *,
    within: Mask | None = None,
    brush: Brush = BRUSH,
) -> Labels:
    """Paint the true phase where a prediction is wrong and nothing is painted yet, at most ``most`` pixels; return
    the new strokes alone.

    A phase gets its turn with a probability proportional to the square root of the area in which it is missed, so
    that a rare one is not forgotten. A stroke starts rather in the middle of a large wrong island than at its rim
    (`paint_stroke`). Where the truth is 0 or 255, nothing is wrong.
    """
    if truth.shape != predicted.shape:
        raise PhaseguideError(
            f"The true labels are {truth.shape[0]} x {truth.shape[1]} px, the prediction "
            f"{predicted.shape[0]} x {predicted.shape[1]} px. A simulated user needs maps of the same image."
        )
    free = (painted == NOT_CLASSIFIED) & (predicted != truth)
    return _strokes(truth, free if within is None else free & within, n_phases, most, rng, brush)


def labelling_strokes(
    truth: Labels,
    predicted: Labels,
    painted: Labels,
    n_phases: int,
    most: int,
    rng: np.random.Generator,
    *,
    within: Mask,
    brush: Brush = BRUSH,
) -> Labels:
    """Label a place: first correct what is wrong there, then confirm what is right, up to ``most`` pixels.

    So a visit costs the same number of pixels wherever it leads, as far as the place has room.
    """
    strokes = correcting_strokes(truth, predicted, painted, n_phases, most, rng, within=within, brush=brush)
    left = most - int(np.count_nonzero(strokes))
    free = within & (painted == NOT_CLASSIFIED) & (strokes == NOT_CLASSIFIED)
    return strokes | _strokes(truth, free, n_phases, left, rng, brush)


def aim(region: Mask, deep_px: int) -> NDArray[np.float64]:
    """How probably a hand aims at each pixel of the flat image: rather well inside a region than at its rim.

    From ``deep_px`` to the border on, a pixel is in the middle as far as the hand is concerned.
    """
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    weight = np.square(np.minimum(depth, deep_px)).ravel()
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def paint_stroke(
    painted: Labels, region: Mask, phase: int, most: int, rng: np.random.Generator, brush: Brush = BRUSH
) -> int:
    """Paint one stroke of a phase into a region of ``painted``, and return how many pixels it took (0: an empty
    region).

    It passes through a pixel drawn with a probability that grows with the square of its distance from the region's
    border, straight on in the direction in which the region reaches farthest.
    """
    if most <= 0 or not region.any():
        return 0
    weight = aim(region, 4 * brush.width)
    start = int(rng.choice(weight.size, p=weight))
    row, column = divmod(start, region.shape[1])
    count = 0
    for y, x in _path(region, row, column, brush.length):
        count += _dab(painted, region, y, x, brush.width / 2, phase, most - count)
        if count >= most:
            break
    return count


def _strokes(
    truth: Labels, free: Mask, n_phases: int, most: int, rng: np.random.Generator, brush: Brush
) -> Labels:
    strokes = np.zeros_like(truth)
    open_ = free & (truth != NOT_CLASSIFIED) & (truth != EXCLUDED)
    for _ in range(MOST_TRIES):
        if most <= 0:
            break
        areas = np.sqrt(np.bincount(truth[open_], minlength=n_phases + 1)[1 : n_phases + 1])
        if not areas.any():
            break
        phase = 1 + int(rng.choice(n_phases, p=areas / areas.sum()))
        most -= paint_stroke(strokes, open_ & (truth == phase), phase, most, rng, brush)
        open_ &= strokes == NOT_CLASSIFIED
    return strokes


def _path(region: Mask, row: int, column: int, length: int) -> list[tuple[int, int]]:
    """Pixels along the longest of some lines through a pixel that stay inside, from end to end."""
    best: list[tuple[int, int]] = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        step = (float(np.sin(angle)), float(np.cos(angle)))
        ahead = _ray(region, row, column, step, length)
        behind = _ray(region, row, column, (-step[0], -step[1]), length)
        line = [*behind[::-1], (row, column), *ahead]
        if len(line) > length:  # the middle of it, as near to the start as the two sides allow
            cut = min(max(len(behind) - length // 2, 0), len(line) - length)
            line = line[cut : cut + length]
        if len(line) > len(best):
            best = line
    return best


def _ray(
    region: Mask, row: int, column: int, step: tuple[float, float], length: int
) -> list[tuple[int, int]]:
    found = []
    for i in range(1, length):
        y, x = round(row + i * step[0]), round(column + i * step[1])
        if not (0 <= y < region.shape[0] and 0 <= x < region.shape[1] and region[y, x]):
            break
        found.append((y, x))
    return found


def _dab(painted: Labels, region: Mask, y: int, x: int, radius: float, phase: int, most: int) -> int:
    """Press the brush on one pixel; return how many pixels are newly painted, at most ``most``."""
    reach = int(radius)
    top, left = max(0, y - reach), max(0, x - reach)
    rows = np.arange(top, min(region.shape[0], y + reach + 1))[:, None]
    columns = np.arange(left, min(region.shape[1], x + reach + 1))[None]
    away = (rows - y) ** 2 + (columns - x) ** 2
    window = (slice(top, top + rows.size), slice(left, left + columns.size))
    new = np.flatnonzero((away <= radius**2) & region[window] & (painted[window] != phase))
    # The nearest pixels first, where not all may be painted.
    new = new[np.argsort(away.ravel()[new], kind="stable")][:most]
    patch = painted[window]
    patch[np.unravel_index(new, patch.shape)] = phase
    return int(new.size)
