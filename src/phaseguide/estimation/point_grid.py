"""Points on a plain grid, for a count on an image that nobody has segmented."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.estimation.point_plan import MOST_POINTS, PointCountError, PointPlan
from phaseguide.micrographs.arrays import as_label_array
from phaseguide.phases import EXCLUDED, PhaseScheme

EXAMPLES = (0.1, 0.5)
"""Area shares for which the error to expect is told."""


def propose_grid(area: ArrayLike, scheme: PhaseScheme, count: int, seed: int) -> PointPlan:
    """Lay a square grid with a random start over an image, and put its points in random order.

    The systematic point count of ASTM E562, with one pixel a point. Every pixel has the same chance, so the share of
    points that are a phase is an unbiased estimate of its area. `phaseguide.estimation.point_count` takes the points
    as if each was drawn alone, which says too large an error rather than too small, unless the structure repeats
    itself with the spacing of the grid.

    Parameters
    ----------
    area : array_like of uint8, shape (H, W)
        255 where nothing is to be counted, else 0.
    scheme : PhaseScheme
        The phases to be named.
    count : int
        About so many points, as many as fit.
    seed : int
        The same area, count and seed give the same points.

    Returns
    -------
    PointPlan
        All in the stratum *not classified*.

    Raises
    ------
    PointCountError
        Too few or too many points for the image.
    """
    open_area = as_label_array(area, "the image") != EXCLUDED
    pixels = int(open_area.sum())
    most = min(MOST_POINTS, pixels)
    if not 2 <= count <= most:
        raise PointCountError(f"{count} points do not fit on {pixels} px. Ask for 2 to {most}.")
    rng = np.random.default_rng(seed)
    step = math.sqrt(pixels / count)
    first = rng.random(2) * step
    down, right = (np.arange(first[axis], open_area.shape[axis], step) for axis in (0, 1))
    rows, columns = (one.ravel() for one in np.meshgrid(down.astype(int), right.astype(int), indexing="ij"))
    inside = open_area[rows, columns]
    rows, columns = rows[inside], columns[inside]
    if rows.size < 2:
        raise PointCountError(f"A grid of {count} points misses the image. Ask for more points.")
    order = rng.permutation(rows.size)
    sizes = np.zeros(len(scheme) + 1, dtype=np.int64)
    sizes[0] = pixels
    height, width = open_area.shape
    strata = np.zeros(rows.size, dtype=np.uint8)
    return PointPlan(rows[order], columns[order], strata, sizes, (height, width), scheme, seed)


def grid_errors(count: int) -> NDArray[np.float64]:
    """Standard error to expect for each of `EXAMPLES` from so many points, in area shares."""
    shares = np.array(EXAMPLES)
    error: NDArray[np.float64] = np.sqrt(shares * (1 - shares) / count)
    return error
