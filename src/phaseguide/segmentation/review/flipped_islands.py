"""Which islands flip between two compositions of one image.

Whether 15 % is plausible, a metallographer judges by the islands that would have to be another
phase. So the pixels that two label maps name differently are put into connected groups, and those
that are islands are told apart from the rims of islands that stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.phases import PhaseScheme

Labels = NDArray[np.uint8]
Ints = NDArray[np.int64]
Ways = NDArray[np.uint16]
"""Where pixels come from and go to: 256 times the label before, plus the label after."""
Pixels = tuple[NDArray[np.intp], ...]
Point = tuple[float, float]
Box = tuple[int, int, int, int]
Kind = Literal["whole", "part"]

WHOLE = 0.8
"""A group is a whole island from this part of an island's area on."""

RIM_PX = 2
"""What is nowhere wider than twice this many pixels is a rim."""

SPECK_PX = 12
"""Smaller islands are not listed one by one."""

_NEIGHBOURS = (
    (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]),
    (np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :-1], np.s_[:, 1:]),
)  # fmt: skip


@dataclass(frozen=True)
class Island:
    """Connected pixels that change their phase together and are more than a rim.

    Attributes
    ----------
    number : int
        Its value in `FlippedIslands.numbers`.
    before, after : int
        Labels of its phase in the first and in the second map.
    kind : {"whole", "part"}
        A whole island that the one phase loses or the other gains, or a piece of a larger one.
    area_px : int
    share : float
        Of the pixels that are classified in both maps.
    centroid : tuple of float
        (row, column) in px.
    box : tuple of int
        (top, left, bottom, right) in px; bottom and right just outside.
    """

    number: int
    before: int
    after: int
    kind: Kind
    area_px: int
    share: float
    centroid: Point
    box: Box


@dataclass(frozen=True)
class Change:
    """All pixels that go from one phase to another.

    Attributes
    ----------
    before, after : int
        Labels of the phases.
    islands : int
        Number of `FlippedIslands.islands` among them.
    rims : int
        Number of groups that have other pixels: rims and specks.
    island_px, rim_px : int
        Pixels of each.
    share : float
        Of the pixels that are classified in both maps.
    """

    before: int
    after: int
    islands: int
    rims: int
    island_px: int
    rim_px: int
    share: float


@dataclass(frozen=True)
class FlippedIslands:
    """What `find_flipped_islands` found.

    Attributes
    ----------
    scheme : PhaseScheme
    islands : tuple of Island
        The largest first.
    changes : tuple of Change
        By pair of phases, the largest first.
    share : float
        Part of the classified pixels that changes, in [0, 1].
    shown : ndarray of uint8, shape (H, W)
        Label in the second map where the phase changes, else 0.
    numbers : ndarray of int32, shape (H, W)
        `Island.number` on islands, else 0.
    """

    scheme: PhaseScheme
    islands: tuple[Island, ...]
    changes: tuple[Change, ...]
    share: float
    shown: Labels
    numbers: NDArray[np.int32]

    def describe(self, longest: int = 3) -> str:
        """Say what changes: islands first, rims together, then the largest ``longest`` pairs of phases."""
        if not self.changes:
            return "No pixel changes its phase."
        rims = sum(change.rims for change in self.changes)
        area = sum(island.share for island in self.islands)
        parts = []
        if self.islands:
            parts.append(f"{_count(len(self.islands), 'island', 'islands')} ({_percent(area)})")
        if rims:
            parts.append(f"{_count(rims, 'rim or speck', 'rims and specks')} ({_percent(self.share - area)})")
        verb = "changes" if len(self.islands) + rims == 1 else "change"
        names = dict(enumerate(self.scheme.names, start=1))
        flows = [f"{_percent(c.share)} {names[c.before]} → {names[c.after]}" for c in self.changes[:longest]]
        if len(self.changes) > longest:
            flows.append(f"{_percent(sum(c.share for c in self.changes[longest:]))} between other phases")
        return f"{' and '.join(parts)} {verb}, {_percent(self.share)} of the area: {', '.join(flows)}."


def find_flipped_islands(before: Labels, after: Labels, scheme: PhaseScheme) -> FlippedIslands:
    """Find the connected groups of pixels whose phase differs between two label maps.

    Pixels of one group go from the same phase to the same phase and touch by an edge or a corner, as
    in `phaseguide.segmentation.matching.islands`. A group is a *whole* island if it holds at least `WHOLE` of the
    island it belongs to in either map: one that the phase before loses, or one that the phase after
    gains. Of the other groups, what a morphological opening leaves are *parts* of islands. Everything
    else is a rim that moved, or a speck of less than `SPECK_PX`.

    Parameters
    ----------
    before, after : ndarray of uint8, shape (H, W)
        1..K. Pixels that are 0 or 255 in either map do not count.
    scheme : PhaseScheme

    Raises
    ------
    MicrographError
        Maps of different shapes.
    """
    if before.shape != after.shape:
        raise MicrographError(
            f"The two label maps are {' x '.join(map(str, before.shape))} px and "
            f"{' x '.join(map(str, after.shape))} px. Compare maps of the same image."
        )
    # Wraps around, so that 0 and 255 both end above every phase.
    known = ((before - np.uint8(1)) < len(scheme)) & ((after - np.uint8(1)) < len(scheme))
    changed = known & (before != after)
    shown = np.where(changed, after, np.uint8(0))
    pixels = np.nonzero(changed)
    total = int(np.count_nonzero(known))
    ways = before[pixels].astype(np.uint16) * 256 + after[pixels]
    group = _connect_ways(ways, pixels, shown.shape)
    whole = _whole(group, before, after, pixels)
    numbers = np.zeros(shown.shape, dtype=np.int32)
    numbers[pixels] = group + 1
    chosen = whole | _opened(numbers)[pixels]
    numbers[pixels] = 0
    place = tuple(axis[chosen] for axis in pixels)
    numbers[place] = number = _largest_first(_connect_ways(ways[chosen], place, shown.shape))
    islands = tuple(_list_islands(numbers, number, ways[chosen], whole[chosen], place, total))
    changes = _sum_up(ways, group, chosen, islands, total)
    return FlippedIslands(scheme, islands, changes, ways.size / max(total, 1), shown, numbers)


def _connect_ways(ways: Ways, pixels: Pixels, shape: tuple[int, ...]) -> Ints:
    """Index, from 0, of the connected group that each changed pixel belongs to, shape (N,); way by way."""
    image = np.zeros(shape, dtype=np.uint16)
    image[pixels] = ways
    part = _connect(image)[pixels] - 1
    way = np.zeros(part.max(initial=-1) + 1, dtype=np.uint16)
    way[part] = ways
    rank = np.empty(way.size, dtype=np.int64)
    rank[np.argsort(way, kind="stable")] = np.arange(way.size)
    return rank[part]


def _whole(group: Ints, before: Labels, after: Labels, pixels: Pixels) -> NDArray[np.bool_]:
    """Whether each changed pixel's group is a whole island of either map, and no speck."""
    home = np.minimum(_island_sizes(before, pixels), _island_sizes(after, pixels))
    area = np.bincount(group)[group]
    result: NDArray[np.bool_] = (area >= WHOLE * home) & (area >= SPECK_PX)
    return result


def _island_sizes(labels: Labels, pixels: Pixels) -> Ints:
    """Area in px of the island of a map that each of the pixels lies in."""
    parts = _connect(labels)
    sizes: Ints = np.bincount(parts.ravel())[parts[pixels]]
    return sizes


def _connect(image: NDArray[Any]) -> Ints:
    """Number the groups of equal pixels that touch by an edge or a corner, from 1; 0 stays 0."""
    from skimage.measure import label

    parts: Ints = label(image, background=0, connectivity=2)  # type: ignore[no-untyped-call]
    return parts


def _opened(numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
    """What is left of numbered groups without their parts that are thin; the frame is no border.

    A morphological opening of each group with a diamond of `RIM_PX` steps.
    """
    mask = numbers > 0
    for near, far in _NEIGHBOURS:
        mask[near] &= numbers[near] == numbers[far]
    for _ in range(RIM_PX - 1):
        mask = _step(mask, np.logical_and)
    for _ in range(RIM_PX):
        mask = _step(mask, np.logical_or)
    return mask


def _step(mask: NDArray[np.bool_], join: np.ufunc) -> NDArray[np.bool_]:
    """Join each pixel with its four neighbours, as far as they are in the image."""
    result = mask.copy()
    for near, far in _NEIGHBOURS:
        join(result[near], mask[far], out=result[near])
    return result


def _largest_first(group: Ints) -> NDArray[np.int32]:
    """Number groups from 1 on by their area."""
    order = np.argsort(-np.bincount(group), kind="stable")
    rank = np.empty(order.size, dtype=np.int32)
    rank[order] = np.arange(1, order.size + 1)
    return rank[group]


def _list_islands(
    numbers: NDArray[np.int32],
    number: NDArray[np.int32],
    ways: Ways,
    whole: NDArray[np.bool_],
    pixels: Pixels,
    total: int,
) -> Iterator[Island]:
    """Describe each island, given the number, way and kind of each of the pixels on islands."""
    from scipy.ndimage import find_objects

    area = np.bincount(number)
    row, column = (np.bincount(number, weights=axis) / np.maximum(area, 1) for axis in pixels)
    way, is_whole = np.zeros(area.size, dtype=np.int64), np.zeros(area.size, dtype=bool)
    way[number], is_whole[number] = ways, whole
    for i, (rows, columns) in enumerate(find_objects(numbers), start=1):
        before, after = divmod(int(way[i]), 256)
        kind: Kind = "whole" if is_whole[i] else "part"
        centroid, box = (
            (float(row[i]), float(column[i])),
            (rows.start, columns.start, rows.stop, columns.stop),
        )
        yield Island(i, before, after, kind, int(area[i]), float(area[i] / total), centroid, box)


def _sum_up(
    ways: Ways, group: Ints, chosen: NDArray[np.bool_], islands: tuple[Island, ...], total: int
) -> tuple[Change, ...]:
    """Add up islands and rims by pair of phases."""
    changes = []
    for way in np.unique(ways):
        before, after = divmod(int(way), 256)
        here = ways == way
        count = sum((i.before, i.after) == (before, after) for i in islands)
        rims = np.unique(group[here & ~chosen]).size
        island_px, all_px = int(np.count_nonzero(here & chosen)), int(np.count_nonzero(here))
        changes.append(
            Change(before, after, count, rims, island_px, all_px - island_px, share=all_px / total)
        )
    return tuple(sorted(changes, key=lambda change: -change.share))


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %" if share >= 0.0005 else "<0.1 %"
