"""Find the information bar that microscopes paint below an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST_IMAGE = 48
_SMALLEST_BAR = 8
_LARGEST_SHARE = 0.25
_WINDOW = 16  # rows of image that a bar is compared with
_TOLERANCES = (2, 8)  # grey levels of 255 about the background: as stored, and after JPEG
_CLEAN = 0.9  # a bar has a margin: a row near its top is nearly all background
_JUMP = 0.35  # by how much a bar's rows are more background than the image above
_INK_CONTRAST = 25  # grey levels between background and text
_INK_SHARE = 0.25  # of the pixels that are not background; in noisy resin there are none


def detect_info_bar(data: NDArray[Any]) -> int:
    """Count the rows at the bottom of an image that belong to an information bar.

    A bar is a band over the full width whose pixels have one background value except for text and
    a scale bar of clearly other value, and which ends in a straight, sharp edge below the image.
    Dark resin at the bottom of a micrograph fails on the edge, its noise fails on the contrast.

    Parameters
    ----------
    data : ndarray, shape (H, W) or (H, W, 3)
        Any real number type.

    Returns
    -------
    int
        Rows of the bar, 0 if there is none; a bar covers at most a quarter of the height.
    """
    height = data.shape[0]
    if height < _SMALLEST_IMAGE or data.shape[1] < _SMALLEST_IMAGE:
        return 0
    largest = int(height * _LARGEST_SHARE)
    levels = _bottom_levels(data, rows=largest + _WINDOW)
    near_bottom = levels[-max(_SMALLEST_BAR, height // 40) :]
    background = int(np.bincount(near_bottom.ravel(), minlength=256).argmax())
    distance = np.abs(levels.astype(np.int16) - background)
    for tolerance in _TOLERANCES:
        top = _edge((distance <= tolerance).mean(axis=1))
        if top is None:
            continue
        other = distance[top:][distance[top:] > tolerance]
        if other.size == 0 or (other > _INK_CONTRAST).mean() > _INK_SHARE:
            return len(levels) - top + _frame_rows(levels[top - 4 : top])
    return 0


def _edge(share: NDArray[np.float64]) -> int | None:
    """The row where the share of background pixels rises most, if it does so as at a bar's edge."""
    total = np.concatenate([[0.0], np.cumsum(share)])
    tops = np.arange(_WINDOW, len(share) - _SMALLEST_BAR + 1)
    below = (total[-1] - total[tops]) / (len(share) - tops)
    above = (total[tops] - total[tops - _WINDOW]) / _WINDOW
    best = int((below - above).argmax())
    top = int(tops[best])
    sharp = share[top : top + 2].max() - share[top - 3 : top - 1].max()
    if min(below[best] - above[best], sharp) < _JUMP or share[top : top + 8].max() < _CLEAN:
        return None
    return top


def _frame_rows(above: NDArray[np.uint8]) -> int:
    """Rows of a frame line drawn along the top of the bar, among the few rows above it."""
    values = above.astype(np.int16)
    even = np.abs(values - np.median(values, axis=1, keepdims=True)) <= _TOLERANCES[0]
    is_line = even.mean(axis=1) >= _CLEAN
    # If all of them are even, it is a smooth image that ends here and not a line.
    return 0 if is_line.all() else int(is_line[::-1].argmin())


def _bottom_levels(data: NDArray[Any], rows: int) -> NDArray[np.uint8]:
    """The last rows as grey levels 0..255; types other than uint8 are stretched to their own range."""
    bottom = data[-rows:]
    if bottom.ndim == 3:
        bottom = bottom.mean(axis=-1)
    if data.dtype == np.uint8:
        return bottom.astype(np.uint8)
    low, high = float(data.min()), float(data.max())
    if not np.isfinite(high - low) or low == high:  # no usable image; `check_image` says why
        return np.zeros(bottom.shape, np.uint8)
    stretched: NDArray[np.uint8] = ((bottom - low) * (255 / (high - low))).astype(np.uint8)
    return stretched
