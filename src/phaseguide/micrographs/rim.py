"""Find the empty rims of stitched, turned and framed pictures: of one exact value, with straight edges."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.micrographs.grey_levels import grey_levels, grey_scale

Mask = NDArray[np.bool_]

_SMALLEST_IMAGE = 48
_LARGEST_SIDE = 6144  # of a larger image every n-th row and column is looked at
_EXACT, _JPEG = 0.01, 2.0  # grey levels of 255 about the value of a rim: as stored, and after JPEG
_RINGING = 16.0  # grey levels that JPEG is off beside an edge ...
_RINGING_PX = 8  # ... so far from it
_SHORTEST = {_EXACT: 40, _JPEG: 80}  # px of the edge to the metal, and of the side of the image that is rim
_SMALLEST_SHARE = {_EXACT: 0.001, _JPEG: 0.003}  # of the image
_CONTACT = 0.6  # px of that side to a px of the edge; a crack or a void that comes to the border has less
_LONG_RUN = 12  # px without a step in an edge along rows and columns
_STRAIGHT_SHARE = {_EXACT: 0.95, _JPEG: 0.93}  # of the edge that lies on straight lines
_BAND_PX = {_EXACT: 2, _JPEG: 4}  # how wide a straight line may be
_AT_ONCE = 0.8  # of the metal's distance from the value of a rim that is there three px from its edge ...
_CLEAR = 64.0  # ... and grey levels that are enough
_MOST_LINES = 4
_APART = 32  # px between two of one direction
_CONTRAST = {_EXACT: 6.0, _JPEG: 16.0}  # grey levels that three quarters of the metal beside it differ by
_RUNS = 3  # stretches of a side of the image that are looked at
_MOST_POINTS = 1500
_ANGLES = np.deg2rad(np.arange(-2.0, 2.0, 0.08))  # about the direction of most of the edge


def find_rim(data: NDArray[Any]) -> Mask | None:
    """Find what was left empty when a picture was stitched, turned or framed.

    A rim comes in from the border of the image, has one exact value (or nearly, after JPEG), and its edges are
    straight: along rows and columns, or on at most four lines at right angles. Dark voids and cracks and bright
    carbides that come to the border fail on their edges, blank metal on its noise. Shape (H, W); None if there is no
    rim.
    """
    if min(data.shape[:2]) < _SMALLEST_IMAGE:
        return None
    # Memory is not to grow with the image much.
    step = -(-max(data.shape[:2]) // _LARGEST_SIDE)
    if step > 1:
        few = find_rim(data[::step, ::step])
        height, width = data.shape[:2]
        return None if few is None else few.repeat(step, axis=0)[:height].repeat(step, axis=1)[:, :width]
    scale = grey_scale(data)
    values = _border_values(data, scale)
    if not values:
        return None
    levels = grey_levels(data, scale)
    ends = (levels.min() + _JPEG, levels.max() - _JPEG)
    rims = [
        rim
        for value in values
        for distance in [np.abs(levels - value).max(axis=-1)]
        for tolerance, grown in ((_EXACT, False), (_JPEG, False), (_JPEG, True))
        # What is not of one exact value is a rim only if it is black or white.
        if (tolerance == _EXACT or value.max() <= ends[0] or value.min() >= ends[1])
        and (rim := _rim_of(distance, tolerance, grown=grown)) is not None
    ]
    found: Mask = np.logical_or.reduce(rims) if rims else np.zeros(data.shape[:2], dtype=bool)
    return found if found.any() and not found.all() else None


def _border_values(data: NDArray[Any], scale: tuple[float, float]) -> list[NDArray[np.float32]]:
    """Values in grey levels, (C,), that long stretches of the image's border have, but for JPEG's noise."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    values: list[NDArray[np.float32]] = []
    for side in (data[:1], data[-1:], data[:, :1], data[:, -1:]):
        levels = grey_levels(side, scale)
        levels = levels.reshape(-1, levels.shape[-1])
        spread = maximum_filter1d(levels, _LONG_RUN, axis=0) - minimum_filter1d(levels, _LONG_RUN, axis=0)
        even = np.concatenate([[False], (spread <= 2 * _JPEG).all(axis=1), [False]])
        starts, ends = (np.flatnonzero(np.diff(even.astype(np.int8)) == sign) for sign in (1, -1))
        for run in np.argsort(starts - ends, kind="stable")[:_RUNS]:
            value = np.median(levels[starts[run] : ends[run]], axis=0)
            if all(np.abs(value - known).max() > _EXACT for known in values):
                values.append(value)
    return values


def _rim_of(distance: NDArray[np.float32], tolerance: float, *, grown: bool) -> Mask | None:
    """The rims of one value: its areas that come to the border and have straight edges."""
    from scipy.ndimage import binary_dilation, find_objects, label

    flat = distance <= tolerance
    areas, count = label(flat)
    border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    boxes = find_objects(areas, max_label=count)
    rim: Mask | None = None
    for number in border[border > 0]:
        rows, columns = boxes[number - 1]
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        if size < _SMALLEST_SHARE[tolerance] * flat.size:
            continue
        # With what surrounds it, so that its edge and the metal beside it are seen.
        around = (
            slice(max(0, rows.start - 2 * _RINGING_PX), rows.stop + 2 * _RINGING_PX),
            slice(max(0, columns.start - 2 * _RINGING_PX), columns.stop + 2 * _RINGING_PX),
        )
        area, off = areas[around] == number, distance[around]
        if grown:  # into what JPEG has made uneven
            area = binary_dilation(area, iterations=_RINGING_PX, mask=off <= _RINGING)
        ends = tuple((s.start == 0, s.stop >= n) for s, n in zip(around, flat.shape, strict=True))
        if _is_rim(area, off, ends, tolerance):
            rim = np.zeros(flat.shape, dtype=bool) if rim is None else rim
            rim[around] |= _with_mixed_edge(area, off)
    return rim


def _is_rim(
    area: Mask, off: NDArray[np.float32], ends: tuple[tuple[bool, bool], ...], tolerance: float
) -> bool:
    (top, bottom), (left, right) = ends
    contact = sum(
        int(side.sum())
        for side, there in (
            (area[0], top), (area[-1], bottom), (area[:, 0], left), (area[:, -1], right),
        )
        if there
    )  # fmt: skip
    down, across = area[1:] != area[:-1], area[:, 1:] != area[:, :-1]
    length = int(down.sum() + across.sum())
    if min(contact, length) < _SHORTEST[tolerance] or contact < _CONTACT * length:
        return False
    if not _stands_out(area, off, tolerance):
        return False
    share = _STRAIGHT_SHARE[tolerance]
    along = _in_long_runs(down) + _in_long_runs(across.T)
    return along >= share * length or _on_lines(area, down, across, _BAND_PX[tolerance]) >= share


def _stands_out(area: Mask, off: NDArray[np.float32], tolerance: float) -> bool:
    """Whether the metal beside an area is clearly of other values, and at once, not gradually."""
    from scipy.ndimage import binary_dilation

    rings = [area]
    for _ in range(7):
        rings.append(binary_dilation(rings[-1]))
    near, far = off[rings[3] & ~rings[2]], off[rings[7] & ~rings[5]]
    if not near.size or not far.size:
        return False
    return bool(
        np.percentile(near, 25) >= _CONTRAST[tolerance] and near.mean() >= _AT_ONCE * min(far.mean(), _CLEAR)
    )


def _in_long_runs(edges: Mask) -> int:
    """How many px of edges along rows lie in stretches without a step."""
    padded = np.zeros((edges.shape[0], edges.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = edges
    change = np.diff(padded, axis=1)
    lengths = np.nonzero(change.ravel() < 0)[0] - np.nonzero(change.ravel() > 0)[0]
    return int(lengths[lengths >= _LONG_RUN].sum())


def _on_lines(area: Mask, down: Mask, across: Mask, band: int) -> float:
    """Share of an edge's px on a few straight lines, all of one direction or at right angles to it."""
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(area.astype(np.float32), 3)
    at_down, at_across = np.nonzero(down), np.nonzero(across)
    rise = np.gradient(soft)
    direction = np.concatenate([np.arctan2(rise[1][at], rise[0][at]) for at in (at_down, at_across)])
    # The mean of directions that are the same at right angles: four times the angle.
    main = np.angle(np.exp(4j * direction).sum()) / 4
    points = np.concatenate(
        [np.argwhere(down) + np.array([0.5, 0.0]), np.argwhere(across) + np.array([0.0, 0.5])]
    )
    points = points[:: -(-len(points) // _MOST_POINTS)]
    best = 0.0
    for angle in main + _ANGLES:
        covered = 0
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        allowed = np.ones((2, 1 + int(np.ptp(points @ turned, axis=0).max()) + band), dtype=np.int64)
        places = np.floor(points @ turned).astype(np.int64)
        places -= places.min(axis=0)
        for _ in range(_MOST_LINES):
            if not len(places):
                break
            counts: list[tuple[int, int, int]] = []
            for axis in (0, 1):
                sums = np.convolve(np.bincount(places[:, axis]), np.ones(band, np.int64), mode="full")
                sums *= allowed[axis, : len(sums)]
                counts.append((int(sums.max()), axis, int(sums.argmax())))
            most, axis, last = max(counts)
            covered += most
            places = places[(places[:, axis] > last) | (places[:, axis] <= last - band)]
            # Lines side by side would cover an edge that only winds a little.
            allowed[axis, max(0, last - _APART) : last + _APART] = 0
        best = max(best, covered / len(points))
    return best


def _with_mixed_edge(area: Mask, off: NDArray[np.float32]) -> Mask:
    """Add the px along the edge in which turning a picture has mixed rim and metal."""
    from scipy.ndimage import binary_dilation

    rings = [area]
    for _ in range(5):
        rings.append(binary_dilation(rings[-1]))
    beside = [off[outer & ~inner] for inner, outer in pairwise(rings)]
    metal = np.concatenate(beside[3:])
    if not metal.size:
        return area
    mixed = 0
    while mixed < 2 and np.mean(beside[mixed]) < 0.8 * np.mean(metal):
        mixed += 1
    return rings[mixed]
