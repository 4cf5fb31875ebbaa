"""Stored samples as a viewer shows them: grey or RGB, upright, without transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]


def upright(array: Pixels, orientation: int, first: int) -> Pixels:
    """Turn and mirror an image as the orientation of EXIF and TIFF, 1 to 8, says; its rows are axis ``first``, its
    columns the next. An unknown number changes nothing.
    """
    rows, columns = first, first + 1
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, rows, columns)
    if orientation in (3, 4, 7, 8):
        array = np.flip(array, rows)
    if orientation in (2, 3, 6, 7):
        array = np.flip(array, columns)
    return array


def inverted(samples: Pixels, bits: int) -> Pixels:
    """Exchange dark and bright."""
    if samples.dtype.kind == "f":
        return -samples
    if bits > 16:  # counted down from 2**32, small differences would be lost in single precision
        return -samples.astype(np.float64)
    if samples.dtype.kind == "u":
        return np.asarray(samples.dtype.type(2**bits - 1) - samples)
    return ~samples


def full_range(samples: Pixels, bits: int) -> Pixels:
    """Spread values of fewer than 8 bits over 0 to 255."""
    if bits >= 8 or samples.dtype.kind not in "ub":
        return samples
    top = 2**bits - 1
    table: Pixels = (np.arange(top + 1) * 255 // top).astype(np.uint8)
    spread: Pixels = table[samples.astype(np.uint8)]
    return spread


def from_palette(indices: Pixels, palette: Pixels) -> Pixels:
    """Return the colours of indices; ``palette`` has shape (3, N) and 16-bit values or, as some write, 8-bit ones."""
    table = palette.T >> 8 if palette.max() > 255 else palette.T
    shown: Pixels = table.astype(np.uint8)[indices.astype(np.intp)]
    return shown


def without_premultiplication(colours: Pixels, alpha: Pixels) -> Pixels:
    """Return colours as they were before they were darkened by their transparency."""
    top = np.iinfo(colours.dtype).max if colours.dtype.kind == "u" else 1.0
    full = np.zeros_like(colours)
    for row in np.ndindex(alpha.shape[:-1]):  # a row at a time: the numbers need eight bytes each
        seen = np.where(alpha[row] > 0, alpha[row], top).astype(np.float64)
        values = np.clip(colours[row] * (top / seen[:, None]), 0, top)
        full[row] = np.round(values) if colours.dtype.kind == "u" else values
    return full


def by_pillow(samples: Pixels, kind: str) -> Pixels:
    """Convert inks, CIE L*a*b* or YCbCr, as TIFF names them, to RGB by Pillow, in 8 bits; shape (..., H, W, S)."""
    from PIL import Image

    mode = {"SEPARATED": "CMYK", "YCBCR": "YCbCr"}.get(kind, "LAB")
    eight = (samples >> (8 * samples.dtype.itemsize - 8)).astype(np.uint8)
    if kind == "ICCLAB":  # a and b count from -128 there, and around 0 in CIELAB
        eight[..., 1:] ^= 128
    height, width, channels = samples.shape[-3:]
    planes = eight.reshape(-1, height, width, channels)
    shown = [Image.frombytes(mode, (width, height), plane.tobytes()).convert("RGB") for plane in planes]
    return np.stack([np.asarray(one) for one in shown]).reshape(*samples.shape[:-1], 3)


def grey_if_grey(array: Pixels) -> Pixels:
    """Return (..., H, W) of one channel, or of three equal ones: many programs save grey images as RGB."""
    red = array[..., 0]
    is_grey = array.shape[-1] == 1 or all(np.array_equal(red, array[..., i]) for i in (1, 2))
    return np.ascontiguousarray(red if is_grey else array)
