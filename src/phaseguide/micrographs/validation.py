"""Say early and clearly that an image holds nothing to segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.phases import EXCLUDED


def check_image(data: NDArray[np.generic], name: str, labels: NDArray[np.uint8] | None = None) -> None:
    """Raise `MicrographError` if an image cannot be segmented: one plane, (H, W) or (H, W, 3), of any real number
    type.

    It must be more than one pixel high and wide, finite, and neither black nor alike all over; values of what the
    labels exclude (255) do not matter.
    """
    check_shape(data, name)
    check_values(data, name, labels)


def check_shape(data: NDArray[np.generic], name: str) -> None:
    """Do the part of `check_image` that needs no look at the pixels."""
    if data.ndim != 2 and not (data.ndim == 3 and data.shape[-1] == 3):
        raise MicrographError(
            f"{name}: has shape {data.shape}; expected one grey (height, width) or RGB (height, width, 3) "
            "image. Choose a single plane or channel."
        )
    if data.dtype.kind not in "uifb":
        raise MicrographError(
            f"{name}: holds values of type {data.dtype}, not grey values. Convert it first."
        )
    height, width = data.shape[:2]
    if min(height, width) < 2:
        raise MicrographError(
            f"{name}: is only {width} x {height} pixels (width x height); there is no texture to segment. "
            "Choose a whole micrograph."
        )


def check_values(data: NDArray[np.generic], name: str, labels: NDArray[np.uint8] | None = None) -> None:
    """Do the part of `check_image` that is about the pixels."""
    excluded = None if labels is None else labels == EXCLUDED
    if excluded is not None and excluded.any() and not excluded.all():
        data = data[~excluded]
    low, high = data.min(), data.max()  # NaN and infinity both show up in these two
    if not (np.isfinite(low) and np.isfinite(high)):
        raise MicrographError(
            f"{name}: contains values that are not finite (NaN or infinite). Replace them, for example by "
            "the mean of the image, or export the image again."
        )
    if low == high:
        state = "is all black (every pixel is 0)" if low == 0 else f"is constant (every pixel is {low})"
        raise MicrographError(
            f"{name}: {state}; there is nothing to segment. Check that the right file, plane or channel "
            "is chosen."
        )
