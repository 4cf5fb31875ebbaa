"""Each region of an image matched to its own ratio, exact to one pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED
from phaseguide.ratios import Ratio
from phaseguide.segmentation.constraints.regions import Owner, Region, measure_regions, region_title
from phaseguide.segmentation.matching.islands import raise_cleaned, remove_small_islands
from phaseguide.segmentation.matching.match import Match, match_ratio


@dataclass(frozen=True)
class RegionMatch:
    """What `match_regions` found.

    Attributes
    ----------
    labels : ndarray of uint8, shape (H, W)
        1..K, and 255 where excluded.
    achieved : ndarray of float64, shape (R + 1, K)
        Area shares of ``labels`` in the rest of the field (row 0) and in each region; NaN where no pixel
        carries a phase.
    notices : tuple of str
        What could not be imposed and why; each names its region.
    """

    labels: NDArray[np.uint8]
    achieved: NDArray[np.float64]
    notices: tuple[str, ...]


def match_regions(
    scores: NDArray[Any],
    regions: Sequence[Region],
    owner: Owner,
    imposed: NDArray[np.float64],
    *,
    start: NDArray[np.uint8],
    fixed: NDArray[np.uint8] | None = None,
    min_island_px: int = 0,
) -> RegionMatch:
    """Match each region by itself, exact to one pixel; see `phaseguide.segmentation.matching.match.match_ratio`.

    Parameters
    ----------
    scores : ndarray of float, shape (K, H, W)
        May be a memory map; it is read region by region in rows, and not copied unless islands are cleaned.
    regions : sequence of Region
    owner : ndarray of unsigned int, shape (H, W)
        From `regions_labels`.
    imposed : ndarray of float64, shape (R + 1, K)
        Composition of the rest of the field (row 0) and of each region; a row of NaN leaves its pixels as
        they are in ``start``.
    start : ndarray of uint8, shape (H, W)
        The map without any ratio; edits are laid on top of it.
    fixed : ndarray of uint8, shape (H, W), optional
        Manual edits: 0 free; 1..K this pixel *is* that phase; 255 excluded.
    min_island_px : int
        Islands of fewer pixels join their surroundings before the regions are matched a last time; an
        island may reach over the border of a region. 0 is off.

    Returns
    -------
    RegionMatch

    Raises
    ------
    RatioError, SchemeError, PhaseguideError
        As `match_ratio`.
    """
    labels = start.copy() if fixed is None else np.where(fixed > 0, fixed, start)
    asked = np.flatnonzero(~np.isnan(imposed).any(axis=1)).tolist()
    parts = [_Part(row, owner, fixed) for row in asked]
    matches = [part.match(scores[:, part.rows], imposed[part.row], labels) for part in parts]
    if min_island_px and parts:
        labels = remove_small_islands(labels, min_island_px, fixed)
        for at, part in enumerate(parts):
            aims = np.where(part.inside, labels[part.rows], np.uint8(EXCLUDED))
            held = raise_cleaned(scores[:, part.rows], aims, matches[at].offsets)
            matches[at] = part.match(held, imposed[part.row], labels)
    notices = [
        f"{region_title(regions, part.row)}: {warning}"
        for part, match in zip(parts, matches, strict=True)
        if (warning := _warning(match))
    ]
    achieved, _ = measure_regions(labels, owner, len(imposed) - 1, imposed.shape[1])
    return RegionMatch(labels, achieved, tuple(notices))


class _Part:
    """The pixels of one region: full rows, all else in them excluded, which needs no copy of the scores."""

    def __init__(self, row: int, owner: Owner, fixed: NDArray[np.uint8] | None) -> None:
        mine = owner == row
        held = np.flatnonzero(mine.any(axis=1))
        self.row = row
        self.rows = slice(int(held[0]), int(held[-1]) + 1)
        self.inside = mine[self.rows]
        given = np.uint8(0) if fixed is None else fixed[self.rows]
        self.fixed = np.where(self.inside, given, np.uint8(EXCLUDED)).astype(np.uint8, copy=False)

    def match(self, scores: NDArray[Any], wanted: Ratio, labels: NDArray[np.uint8]) -> Match:
        """Match on the scores of these rows, and write the result into ``labels``."""
        match = match_ratio(scores, wanted, fixed=self.fixed)
        np.copyto(labels[self.rows], match.labels, where=self.inside)
        return match


def _warning(match: Match) -> str:
    if not match.determinable:
        return (
            "the model's scores are the same all over it, so no place is more one phase than another; "
            "the ratio could not be imposed."
        )
    return (
        ""
        if match.reachable
        else "your manual edits hold more of a phase than the ratio allows; the edits win."
    )
