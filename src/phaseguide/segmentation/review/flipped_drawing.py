"""How islands that change phase are drawn, so that they are seen on the colours of the phases themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.segmentation.review.flipped_islands import FlippedIslands

LIGHT, DARK = 255, 254
"""Values of what is drawn: an island's edge and the hatching of rims; the line around an island."""

_LINES = 600
"""A line is a pixel wide for so many pixels of the shorter side of an image."""


def drawn(flipped: FlippedIslands) -> NDArray[np.uint8]:
    """Draw what changes: islands in their phase after within a light and a dark line, rims and specks hatched.

    Parameters
    ----------
    flipped : FlippedIslands

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Label of the phase in the second map, `LIGHT`, `DARK`, or 0 where nothing changes.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    picture, numbers = flipped.shown.copy(), flipped.numbers
    width = max(1, round(min(picture.shape) / _LINES))
    highest = maximum_filter(numbers, 2 * width + 1, mode="nearest")
    inside = minimum_filter(numbers, 2 * width + 1, mode="nearest") == highest
    rows, columns = (np.arange(side) for side in picture.shape)
    stripes = (rows[:, None] + columns) // (2 * width) % 2 == 0
    picture[(picture > 0) & (numbers == 0) & stripes] = LIGHT
    picture[(numbers == 0) & (highest > 0)] = DARK
    picture[(numbers > 0) & ~inside] = LIGHT
    return picture
