"""Grey levels 0..255 of any image, to compare what programs painted into it with what a camera saw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]

_SAMPLE = 1024  # rows and columns that the range is taken from


def grey_levels(data: NDArray[Any], scale: tuple[float, float] | None = None) -> Levels:
    """Return an image, (H, W) or (..., C), as grey levels, shape (..., C); of more than three channels the first three
    count.

    What is not finite becomes darker than anything else. Give the `grey_scale` of the whole image for a part of it.
    """
    low, levels_a_unit = grey_scale(data) if scale is None else scale
    levels = np.asarray(data)[..., None] if data.ndim == 2 else data[..., :3]
    if (low, levels_a_unit) == (0.0, 1.0) and levels.dtype == np.uint8:
        return levels.astype(np.float32)
    # In float64: the offset of a float image may be large beside its range.
    with np.errstate(invalid="ignore"):  # infinite values of an image without contrast
        scaled = (levels.astype(np.float64) - low) * levels_a_unit
    # What is far outside would only make large numbers.
    clipped: Levels = np.clip(np.where(np.isfinite(scaled), scaled, -1024), -1024, 1280).astype(np.float32)
    return clipped


def grey_scale(data: NDArray[Any]) -> tuple[float, float]:
    """Return what grey level 0 is, and how many grey levels one unit is.

    Of types other than uint8, 255 levels are the range of all but the darkest and brightest hundredth, so that hot
    pixels and the offset of a camera do not matter.
    """
    if data.dtype == np.uint8:
        return 0.0, 1.0
    step_y, step_x = (max(1, n // _SAMPLE) for n in data.shape[:2])
    sample = np.asarray(data[::step_y, ::step_x], dtype=np.float64)
    known = sample[np.isfinite(sample)]
    if not known.size:  # no usable image; `check_image` says why
        return 0.0, 0.0
    low, high = (float(v) for v in np.percentile(known, (1, 99)))
    low, high = (low, high) if high > low else (float(known.min()), float(known.max()))
    return low, 255 / (high - low) if high > low else 0.0
