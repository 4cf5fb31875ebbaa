"""Find the information bars that microscopes and report programs paint below and above an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.micrographs.grey_levels import Levels, grey_levels, grey_scale

_SMALLEST_IMAGE = 48
_SMALLEST_BAR = 8
_LARGEST_SHARE = 0.5
_LARGEST_BLANK_SHARE = 0.25  # of a band without any text; a taller one is an empty rim, not a bar
_WINDOW = 16  # rows of image that a bar is compared with
_TOLERANCES = (2.0, 8.0)  # grey levels of 255 about the background: as stored, and after JPEG
_NOISE_REACH = 3.0  # standard deviations of camera noise that count as background
_LARGEST_TOLERANCE = 42.0  # that noise may ask for
_CLEAN = 0.9  # a bar has a margin: a row near its top is nearly all background
_JUMP = 0.5  # by how much a bar's rows are more background than the image above
_STRAIGHT = 4.0  # grey levels that rows of a bar which is shaded from top to bottom are off a straight line
_STEP_SHARE = (
    0.3,
    0.7,
)  # of the columns jump by this many grey levels at the edge: after JPEG, and with noise
_STEP_JPEG = 24.0
_EXACT_WIDTH = (
    160  # in a narrower image only a bar of one exact value is told from metal with straight borders
)
_INK_CONTRAST = 25  # grey levels between background and text
_INK_SHARE = 0.25  # of the pixels that are not background; in noisy resin there are none
_INK_OF_NOISY_BAR = (0.002, 0.4)  # share of text in a bar that is told from noisy metal by nothing else
_MOST_COLUMNS = 2048
_SMOOTH = 31  # columns over which a shade is followed


def detect_info_bar(data: NDArray[Any]) -> int:
    """Count the rows at the bottom of an image that belong to an information bar.

    A bar is a band over the full width whose pixels have one background except for text, logos and a scale bar of
    clearly other value, and which ends in a straight, sharp edge at the image. The background may be shaded from left
    to right or from top to bottom, and carry noise. Bars of different backgrounds on top of one another are one. Dark
    resin at the border of a micrograph fails on the edge, its noise fails on the contrast. It covers at most half of
    the height. Turn the image upside down to find the bar at the top.
    """
    height = data.shape[0]
    if height < _SMALLEST_IMAGE or data.shape[1] < _SMALLEST_IMAGE:
        return 0
    levels = grey_levels(data[:, :: -(-data.shape[1] // _MOST_COLUMNS)], grey_scale(data))
    most, found = int(height * _LARGEST_SHARE), 0
    while found < most:
        rows = _bar_rows(levels[: height - found], most - found, int(height * _LARGEST_BLANK_SHARE) - found)
        if not rows:
            break
        found += rows
    return found


def _bar_rows(levels: Levels, most: int, most_blank: int) -> int:
    """Rows of the lowest band of one background; with text at most ``most``, without at most ``most_blank``.

    The tallest of what the possible backgrounds give: a part of a shaded bar may look like one of an even grey.
    """
    tallest = 0
    levels = levels[-(most + _WINDOW) :]
    near = max(_SMALLEST_BAR, len(levels) // 24)
    if len(levels) < near + _WINDOW:
        return 0
    for background in _backgrounds(levels, near):
        distance = np.abs(levels - background).max(axis=-1)
        noise = 1.4826 * float(np.median(distance[-near:]))
        tolerances: tuple[float, ...] = _TOLERANCES if levels.shape[1] >= _EXACT_WIDTH else _TOLERANCES[:1]
        if len(tolerances) > 1 and _TOLERANCES[-1] < _NOISE_REACH * noise < _LARGEST_TOLERANCE:
            tolerances = (*_TOLERANCES, _NOISE_REACH * noise)
        for tolerance in tolerances:
            top = _edge((distance <= tolerance).mean(axis=1))
            if top is None:
                continue
            other = distance[top:][distance[top:] > tolerance]
            step = np.abs(levels[top + 1] - levels[top - 2]).max(axis=-1)
            if tolerance > _TOLERANCES[-1]:
                low, high = _INK_OF_NOISY_BAR
                ink = (other > _INK_CONTRAST + tolerance).sum() / distance[top:].size
                is_bar = low < ink < high and (step > tolerance).mean() >= _STEP_SHARE[1]
            else:
                blank = other.size == 0 and len(levels) - top <= most_blank
                is_bar = blank or (other > _INK_CONTRAST).sum() > _INK_SHARE * other.size > 0
                exact = tolerance == _TOLERANCES[0] and levels.shape[1] >= _EXACT_WIDTH
                is_bar &= exact or (step > _STEP_JPEG).mean() >= _STEP_SHARE[0]
            if is_bar:
                tallest = max(tallest, len(levels) - top + _frame_rows(levels[top - 4 : top]))
                break
    return tallest


def _backgrounds(levels: Levels, near: int) -> Iterator[Levels]:
    """What the background of a bar may be, from the rows at the very bottom: (1 or rows, 1 or columns, channels)."""
    from scipy.ndimage import median_filter

    bottom = levels[-near:]
    whole = np.rint(bottom).astype(np.int64)
    low = whole.min(axis=(0, 1))
    channels = range(levels.shape[-1])
    modes = [int(np.bincount((whole[..., c] - low[c]).ravel()).argmax() + low[c]) for c in channels]
    yield np.array([[modes]], dtype=np.float32)
    # A noisy one is not the most frequent value but the middle; a shade follows the columns, or the rows.
    yield np.median(bottom, axis=(0, 1), keepdims=True).astype(np.float32)
    columns = np.median(bottom, axis=0, keepdims=True)
    columns = median_filter(columns, size=(1, _SMOOTH, 1), mode="nearest").astype(np.float32)
    yield columns
    yield columns + _slope(np.median(levels - columns, axis=1).astype(np.float64), near)


def _slope(rows: NDArray[np.float64], near: int) -> Levels:
    """Straight line through the rows at the bottom, and on as far as they follow it: (rows, 1, channels)."""
    at = np.arange(len(rows))
    lines = np.empty((len(rows), 1, rows.shape[1]), np.float32)
    for channel, values in enumerate(rows.T):
        count = near
        for _ in range(4):
            line = np.polyval(np.polyfit(at[-count:], values[-count:], 1), at)
            off = np.abs(values - line)[::-1] > _STRAIGHT
            follow = int(off.argmax()) if off.any() else len(rows)
            count = max(near, follow)
        lines[:, 0, channel] = line
    return lines


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


def _frame_rows(above: Levels) -> int:
    """Rows of a frame line drawn along the top of the bar, among the few rows above it."""
    even = np.abs(above - np.median(above, axis=1, keepdims=True)).max(axis=-1) <= _TOLERANCES[0]
    is_line = even.mean(axis=1) >= _CLEAN
    # If all of them are even, it is a smooth image that ends here and not a line.
    return 0 if is_line.all() else int(is_line[::-1].argmin())
