"""Regions of an image, each with its own ratio: a coating on its substrate, the zones of a weld.

How a strategy uses it (`match_regions` is in `region_matching`), with ``labels`` the map without any ratio::

    regions = check_regions(request.regions, shape, scheme)
    owner = regions_labels(regions, shape)
    own, areas = measure_regions(labels, owner, len(regions), len(scheme))
    field = (request.asked, request.uncertainty)
    imposed, notices = impose_regions(regions, field, own, blend)
    match = match_regions(scores, regions, owner, imposed, start=labels, fixed=edits, min_island_px=...)
    shares = report_regions(regions, field, own, areas, imposed, match.achieved)
    whole = whole_composition(imposed, own, areas)  # for a network that wants one ratio for the field

Arrays with a row for each region have R + 1 rows: row 0 is the *rest of the field*, outside all regions, and
row r the r-th region. The ratio of the field is that of this rest; without one, the rest stays as the model
sees it. Where regions overlap, a pixel belongs to the later one, as with shapes drawn on top of each other: a
coating drawn over its substrate cuts itself out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Ratio, closed, validate_ratio

Owner = NDArray[np.unsignedinteger[Any]]
"""Which region each pixel belongs to, (H, W): 0 the rest of the field, 1..R the regions in their order."""

Uncertainty = float | tuple[float, ...]

REST = "Rest of the field"
"""What the pixels outside all regions are called."""

_ROWS = 256  # rows a step when counting, so that temporaries stay small


@dataclass(frozen=True, eq=False)
class Region:
    """A part of an image with a ratio of its own.

    Attributes
    ----------
    name : str
        What to call it in tables and errors ("coating").
    mask : ndarray of bool, shape (H, W)
        Its pixels.
    asked : ndarray of float64, shape (K,)
        Area shares of the phases within the region, NaN where open. All open: the region is only measured.
    uncertainty : float or tuple of float
        Log-ratio standard deviation of ``asked``, for all phases or one each; 0 is exact.
    """

    name: str
    mask: NDArray[np.bool_]
    asked: Ratio
    uncertainty: Uncertainty = 0.3

    @property
    def asks(self) -> bool:
        """Whether anything is asked of it."""
        return not np.isnan(self.asked).all()


@dataclass(frozen=True)
class RegionShares:
    """What is known of one region of a result, or of the rest of the field.

    Attributes
    ----------
    name : str
        `REST` for what lies outside all regions.
    pixels : int
        Those that carry a phase.
    asked : ndarray of float64, shape (K,), or None
        None if nothing was asked of it, so that its areas are those that the model finds.
    uncertainty : float or tuple of float or None
        None with ``asked``.
    own : ndarray of float64, shape (K,)
        Area shares without any ratio; NaN without a pixel.
    imposed : ndarray of float64, shape (K,), or None
        What it should have; None if nothing was imposed.
    achieved : ndarray of float64, shape (K,)
        Area shares of the final map.
    """

    name: str
    pixels: int
    asked: Ratio | None
    uncertainty: Uncertainty | None
    own: Ratio
    imposed: Ratio | None
    achieved: Ratio


def check_regions(
    regions: Sequence[Region], shape: tuple[int, int], scheme: PhaseScheme
) -> tuple[Region, ...]:
    """Check regions and return them with valid ratios; errors name the region.

    Parameters
    ----------
    regions : sequence of Region
        In drawing order: later ones lie on top.
    shape : (int, int)
        Height and width of the image.
    scheme : PhaseScheme

    Raises
    ------
    MicrographError
        A mask of another shape, without a pixel (outside the image, or smaller than one), or hidden
        altogether under later regions.
    RatioError
        A ratio or an uncertainty that cannot be meant.
    """
    checked = []
    hidden = np.zeros(shape, dtype=bool)
    for region in reversed(regions):
        mask = np.asarray(region.mask)
        if mask.shape != tuple(shape) or mask.dtype != bool:
            raise MicrographError(
                f"Region {region.name!r}: its mask is {mask.dtype} {mask.shape}, but the image is "
                f"{shape[0]} x {shape[1]} px (height x width). Make a mask of true and false of that shape."
            )
        if not mask.any():
            raise MicrographError(
                f"Region {region.name!r} holds no pixel: it lies outside the image, or is too small. Move or "
                "remove it."
            )
        if not (mask & ~hidden).any():
            raise MicrographError(
                f"Region {region.name!r} lies altogether under regions that were drawn later. Draw it after "
                "them, or remove it."
            )
        hidden |= mask
        try:
            asked = validate_ratio(region.asked, scheme)
            _check_uncertainty(region.uncertainty, len(scheme))
        except RatioError as error:
            raise RatioError(f"Region {region.name!r}: {error}") from error
        checked.append(replace(region, asked=asked))
    return tuple(reversed(checked))


def regions_labels(regions: Sequence[Region], shape: tuple[int, int]) -> Owner:
    """Return which region each pixel belongs to: 0 none, r the r-th; of overlapping ones the later."""
    owner = np.zeros(shape, dtype=np.min_scalar_type(len(regions)))
    for number, region in enumerate(regions, start=1):
        owner[region.mask] = number
    return owner


def measure_regions(
    labels: NDArray[np.uint8], owner: Owner, n_regions: int, n_phases: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Measure area shares in each region; 0 (not classified) and 255 (excluded) are left out.

    Returns
    -------
    shares : ndarray of float64, shape (R + 1, K)
        Row 0 is the rest of the field; NaN where no pixel carries a phase.
    areas : ndarray of int64, shape (R + 1,)
        Pixels that carry a phase.
    """
    counts = np.zeros((n_regions + 1) * 256, dtype=np.int64)
    for start in range(0, len(labels), _ROWS):
        rows = slice(start, start + _ROWS)
        both = owner[rows].astype(np.int64) * 256 + labels[rows]
        counts += np.bincount(both.ravel(), minlength=counts.size)
    of_phase = counts.reshape(n_regions + 1, 256)[:, 1 : n_phases + 1]
    areas = of_phase.sum(axis=1)
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = of_phase / areas[:, None]
    return shares, areas


def impose_regions(
    regions: Sequence[Region],
    field: tuple[Ratio | None, Uncertainty],
    own: NDArray[np.float64],
    blend: Callable[[Ratio, Ratio, Uncertainty], Ratio],
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Weigh what is asked of each region, and of the rest of the field, against what the model sees there.

    Parameters
    ----------
    regions : sequence of Region
        From `check_regions`.
    field : (ndarray of shape (K,) or None, float or tuple of float)
        Ratio of the field, which is that of its rest (None or all open for none), and its uncertainty.
    own : ndarray of float64, shape (R + 1, K)
        Area shares without any ratio, from `measure_regions`.
    blend : callable
        ``blend(asked, own, uncertainty)`` gives the imposed composition of one region; a session passes
        `phaseguide.ratios.blend_ratios` with the model's own error.

    Returns
    -------
    imposed : ndarray of float64, shape (R + 1, K)
        NaN in the rows of regions where nothing is to be imposed.
    notices : tuple of str
        Ratios that act nowhere, because no pixel is left for them.
    """
    wishes = [field, *((region.asked, region.uncertainty) for region in regions)]
    imposed, notices = np.full(own.shape, np.nan), []
    for row, (asked, uncertainty) in enumerate(wishes):
        if asked is None or np.isnan(asked).all():
            continue
        if np.isnan(own[row]).any():
            notices.append(
                f"{region_title(regions, row)}: no pixel is left to segment, so its ratio acts nowhere."
            )
        else:
            imposed[row] = blend(asked, own[row], uncertainty)
    return imposed, tuple(notices)


def whole_composition(
    imposed: NDArray[np.float64], own: NDArray[np.float64], areas: NDArray[np.int64]
) -> Ratio:
    """Return the composition of the field, (K,), when every region has its imposed one, and the others their own."""
    aims = np.where(np.isnan(imposed), own, imposed)
    seen = areas > 0
    mean: Ratio = np.average(aims[seen], axis=0, weights=areas[seen])
    return closed(mean)


def report_regions(
    regions: Sequence[Region],
    field: tuple[Ratio | None, Uncertainty],
    own: NDArray[np.float64],
    areas: NDArray[np.int64],
    imposed: NDArray[np.float64],
    achieved: NDArray[np.float64],
) -> tuple[RegionShares, ...]:
    """Put together what is known of each region, the rest of the field last if there is any."""
    named = [(REST, *field), *((one.name, one.asked, one.uncertainty) for one in regions)]
    shares = []
    for row, (name, asked, uncertainty) in enumerate(named):
        wish = None if asked is None or np.isnan(asked).all() else asked
        aim = None if np.isnan(imposed[row]).any() else imposed[row]
        unsure = None if wish is None else uncertainty
        shares.append(RegionShares(name, int(areas[row]), wish, unsure, own[row], aim, achieved[row]))
    rest = shares[:1] if areas[0] else []
    return (*shares[1:], *rest)


def region_title(regions: Sequence[Region], row: int) -> str:
    """How a sentence names a region, or the rest of the field (row 0)."""
    return f"Region {regions[row - 1].name!r}" if row else f"{REST}, outside the regions"


def _check_uncertainty(uncertainty: Uncertainty, n_phases: int) -> None:
    values = np.asarray(uncertainty, dtype=np.float64)
    if values.shape not in ((), (n_phases,)) or not np.isfinite(values).all() or (values < 0).any():
        raise RatioError(
            f"The uncertainty {uncertainty!r} is neither one number from 0 (exact) upwards nor one for each of "
            f"the {n_phases} phases."
        )
