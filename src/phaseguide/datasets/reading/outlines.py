"""Outlines of phases in pixels of an image: what is wrong with one, and drawing them into a label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError
from phaseguide.micrographs.polygons import polygon_mask

SLACK_PX = 1.0
"""How far beyond the border a corner may lie: tools round, and some count pixels from 1."""

CENTRE = 0.5
"""Annotations put (0, 0) at the corner of the top left pixel; `polygon_mask` puts it at its centre."""

_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Outline:
    """One region of a phase, and where it stands, for messages: file, and line or entry.

    ``rings`` are closed lines of corners (x, y), (N, 2), together filled by the even-odd rule, so that a ring within
    a ring is a hole. A region that is no polygon has no rings but a mask of the image's shape.
    """

    phase: str
    where: str
    rings: tuple[NDArray[np.float64], ...] = ()
    mask: NDArray[np.bool_] | None = None

    @property
    def made_of(self) -> str:
        """All that decides what is drawn, as one text."""
        parts = [ring.tobytes().hex() for ring in self.rings]
        return " ".join(
            [self.phase, *parts, "" if self.mask is None else np.packbits(self.mask).tobytes().hex()]
        )


def as_ring(corners: ArrayLike, where: str) -> NDArray[np.float64]:
    """Return corners as (N, 2), one that repeats its neighbour left out; `DatasetError` for what are no pairs."""
    try:
        ring = np.asarray(corners, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"{where}: its corners are not pairs of numbers. Write each as x and y in pixels."
        ) from error
    if ring.size == 0:
        return np.zeros((0, 2))
    if ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all():
        raise DatasetError(
            f"{where}: its corners are not pairs of finite numbers. Write each as x and y in pixels."
        )
    kept: NDArray[np.float64] = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return kept


def fault(outline: Outline, shape: tuple[int, int]) -> str:
    """Say what is wrong with an outline in an image of this shape (H, W); empty if nothing is."""
    return _without_area(outline) or _outside(outline, shape) or _crossing(outline)


def draw(
    outlines: Sequence[Outline], values: dict[str, int], below: NDArray[np.uint8], options: LayoutOptions
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Draw outlines onto a label map, later ones over earlier ones; also return what there is to tell.

    ``values`` are the labels of phases. `DatasetError` names the first outline that is not sound, unless such are to
    be repaired or dropped.
    """
    labels, painted = below.copy(), np.zeros(below.shape, dtype=np.bool_)
    mended: dict[str, list[str]] = {}
    overlap = 0
    for outline in outlines:
        wrong = fault(outline, below.shape)
        if wrong and options.bad_polygons == "refuse":
            raise DatasetError(
                f"{outline.where}: the polygon ({outline.phase}) {wrong}. Correct it, or say --bad-polygons repair, "
                "or drop."
            )
        if wrong:
            lost = options.bad_polygons == "drop" or bool(_without_area(outline))
            mended.setdefault("left out" if lost else "repaired", []).append(f"{outline.where} {wrong}")
            if lost:
                continue
        rows, columns, inside = region(outline, below.shape)
        value, there, done = values[outline.phase], labels[rows, columns], painted[rows, columns]
        overlap += int((inside & done & (there != value)).sum())
        there[inside], done[inside] = value, True
    told = [
        f"{len(which)} polygon{'s' * (len(which) > 1)} {how}: {which[0]}{' ...' if len(which) > 1 else ''}."
        for how, which in mended.items()
    ]
    if overlap:
        told.append(
            f"{overlap} pixels lie in polygons of several phases; the one that stands later in the file counts."
        )
    return labels, tuple(told)


def region(outline: Outline, shape: tuple[int, int]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Return rows and columns of an image that hold an outline, and which pixels of them lie inside."""
    if outline.mask is not None:
        return slice(0, shape[0]), slice(0, shape[1]), outline.mask
    every = np.concatenate(outline.rings) - CENTRE
    low = np.clip(np.floor(every.min(axis=0)), 0, (shape[1], shape[0])).astype(int)
    high = np.clip(np.ceil(every.max(axis=0)) + 1, low, (shape[1], shape[0])).astype(int)
    rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
    inside = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.bool_)
    if inside.size:
        for ring in outline.rings:
            inside ^= polygon_mask((ring - CENTRE - low)[:, ::-1], inside.shape)
    return rows, columns, inside


def _without_area(outline: Outline) -> str:
    if outline.mask is not None:
        return ""
    least = min((len(ring) for ring in outline.rings), default=0)
    if least < 3:
        return f"has {least} corner{'s' * (least != 1)}, and needs at least three"
    if any(_area(ring) == 0 and not _first_crossing(ring) for ring in outline.rings):
        return "has no area, since its corners lie on one line"
    return ""


def _area(ring: NDArray[np.float64]) -> float:
    x, y = (ring - ring[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _outside(outline: Outline, shape: tuple[int, int]) -> str:
    height, width = shape
    for ring in outline.rings:
        beyond = ((ring < -SLACK_PX) | (ring > np.array([width, height]) + SLACK_PX)).any(axis=1)
        if beyond.any():
            x, y = ring[beyond.argmax()]
            return f"has a corner at x = {x:g}, y = {y:g}, outside of the image of {width} x {height} px"
    return ""


def _crossing(outline: Outline) -> str:
    for ring in outline.rings:
        if (at := _first_crossing(ring)) is not None:
            return f"crosses itself near x = {at[0]:.4g}, y = {at[1]:.4g}"
    return ""


def _first_crossing(ring: NDArray[np.float64]) -> tuple[float, float] | None:
    """Where two edges of a ring cross in their insides; None if none do. Edges that only touch do not."""
    start, end = ring, np.roll(ring, -1, axis=0)
    left, right = np.minimum(start, end)[:, 0], np.maximum(start, end)[:, 0]
    order = np.argsort(left, kind="stable")
    start, end, left, right = start[order], end[order], left[order], right[order]
    for first in range(0, len(ring), _CHUNK):
        some = slice(first, first + _CHUNK)
        last = int(np.searchsorted(left, right[some].max(), side="right"))
        a, b = start[some, None], end[some, None]
        c, d = start[None, first:last], end[None, first:last]
        across = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
        if across.any():
            i, j = np.argwhere(across)[0]
            p, q, r, s = start[first + i], end[first + i], start[first + j], end[first + j]
            part = _side(r, s, p) / (_side(r, s, p) - _side(r, s, q))
            x, y = p + part * (q - p)
            return float(x), float(y)
    return None


def _side(a: NDArray[np.float64], b: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """On which side of the line from a to b a point lies: positive, negative, or 0 on it."""
    along, to = b - a, point - a
    side: NDArray[np.float64] = np.sign(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0])
    return side
