"""Polygons to pixels, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError


def polygon_mask(vertices: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie inside a polygon.

    Exact, by crossings with each pixel row (even-odd rule for outlines that cross themselves). A centre
    on the outline belongs to the polygon on its right or below it, so that two polygons with a common
    edge share no pixel and leave none out.

    Parameters
    ----------
    vertices : array_like of float, shape (N, 2)
        Corners as (row, column) in px, N >= 3; closed by itself. (0, 0) is the centre of the top left
        pixel. What lies outside the image is cut off.
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    ndarray of bool, shape `shape`

    Raises
    ------
    MicrographError
        Fewer than three corners, not pairs, or not finite.
    """
    corners = np.asarray(vertices, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise MicrographError(
            "An outline needs at least three corners, each a row and a column in pixels. Draw it again."
        )
    height, width = shape
    # Each crossing of an edge with the centre line of a row turns everything to its right inside out.
    turns = np.zeros((height, width + 1), dtype=np.uint8)
    for pair in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # From its upper end, so that an edge that two polygons share is rounded alike in both.
        (y0, x0), (y1, x1) = sorted(map(tuple, pair))
        rows = np.arange(np.clip(np.ceil(y0), 0, height), np.clip(np.ceil(y1), 0, height))
        if rows.size:
            crossings = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(crossings), 0, width).astype(np.intp)
            turns[rows.astype(np.intp), columns] ^= 1
    inside: NDArray[np.uint8] = np.bitwise_xor.accumulate(turns[:, :width], axis=1)
    return inside.view(np.bool_)
