"""Read a micrograph: its grey or colour values, the size of a pixel, the rows of its information bar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs.decoding import decode
from phaseguide.micrographs.info_bar import detect_info_bar

IMAGE_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"})
"""Lower-case suffixes by which a folder is searched for images; reading itself goes by content."""


@dataclass(frozen=True)
class Micrograph:
    """An image as a microscope saved it.

    Attributes
    ----------
    data : ndarray of uint8, uint16 or float32
        Shape (H, W) grey or (H, W, 3) RGB; a stack has a leading axis: (Z, H, W) or (Z, H, W, 3).
    pixel_size_um : float or None
        Edge of a (square) pixel in micrometres, None if unknown.
    scale_source : str
        Where that number comes from, for example ``"Zeiss metadata"``; ``"scale unknown"`` if None.
    path : Path
        The file.
    info_bar_rows : int
        Rows at the bottom that show an information bar instead of metal; 0 if there is none.
    """

    data: NDArray[Any]
    pixel_size_um: float | None
    scale_source: str
    path: Path
    info_bar_rows: int

    @property
    def is_rgb(self) -> bool:
        """Whether the last axis holds red, green and blue."""
        return self.data.ndim > 2 and self.data.shape[-1] == 3

    @property
    def is_stack(self) -> bool:
        """Whether the first axis counts planes."""
        return self.data.ndim - self.is_rgb == 3


def read_micrograph(path: str | Path) -> Micrograph:
    """Read a TIFF, PNG, JPEG or BMP micrograph.

    Transparency is dropped, three equal channels become one, black-and-white becomes 0 and 255,
    and integers of other widths become uint16 where their values fit, else float32.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Micrograph

    Raises
    ------
    MicrographError
        Missing, a folder, not permitted, not an image, damaged or incomplete; names the file.
    """
    path = Path(path)
    decoded = decode(path)
    data = _supported_type(decoded.pixels, path)
    micrograph = Micrograph(data, decoded.pixel_size_um, decoded.scale_source, path, decoded.bar_rows)
    if decoded.bar_rows:
        return micrograph
    first_plane = data[0] if micrograph.is_stack else data
    return Micrograph(data, decoded.pixel_size_um, decoded.scale_source, path, detect_info_bar(first_plane))


def _supported_type(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.dtype in (np.uint8, np.uint16, np.float32):
        return pixels
    if pixels.dtype.kind in "iu":
        fits = pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max
        return pixels.astype(np.uint16 if fits else np.float32)
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    raise MicrographError(
        f"{path}: holds values of type {pixels.dtype}, not grey values. Export it as 8 or 16 bit."
    )
