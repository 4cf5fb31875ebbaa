"""What comes out of an image file, whatever its format."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "scale unknown"
NO_MEMORY = "there is not enough memory to read it. Close other programs, or crop or bin the image."

_CREDIBLE_UM = (1e-5, 1e3)


@dataclass(frozen=True)
class Decoded:
    """The content of a file: pixels of shape (H, W), (H, W, 3), (Z, H, W) or (Z, H, W, 3), colour only where the
    channels differ.

    ``scale_source`` is ``"scale unknown"`` without a pixel size. ``bar_rows`` is the height of the information bar as
    the microscope recorded it. ``transparent`` are pixels, (H, W) or (Z, H, W), that a viewer does not show at all;
    None if the file has no transparency.
    """

    pixels: NDArray[Any]
    pixel_size_um: float | None = None
    scale_source: str = UNKNOWN
    bar_rows: int = 0
    notices: tuple[str, ...] = ()
    sha256: str = ""
    transparent: NDArray[np.bool_] | None = None


def first_known(candidates: Iterable[tuple[float | None, str] | None]) -> tuple[float | None, str]:
    """Return the first pixel size that a microscope can have, with its source, or unknown."""
    low, high = _CREDIBLE_UM
    for candidate in candidates:
        size, source = candidate or (None, UNKNOWN)
        if size is not None and math.isfinite(size) and low <= size <= high:
            return size, source
    return None, UNKNOWN


def lossy_sentence(how: str) -> str:
    """Say why a label map is refused that was stored in a way which changes values."""
    return (
        f"is stored as {how}, which changes values at every boundary, so it is no label map any more. Save the labels "
        "again from the program that made them, as PNG or as TIFF with LZW or ZIP compression."
    )
