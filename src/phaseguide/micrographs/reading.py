"""Read a micrograph: its grey or colour values, the size of a pixel, the rows of its information bar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs.arrays import as_image_array
from phaseguide.micrographs.decoded import NO_MEMORY
from phaseguide.micrographs.decoding import decode
from phaseguide.micrographs.margins import LabelsOrNone, Margins, find_margins

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
    notices : tuple of str
        Sentences on what else the file holds and is left out, for the user.
    sha256 : str
        Checksum of the file when it was read, 64 hex digits.
    info_bar_rows_top : int
        The same at the top.
    empty_rim : ndarray of bool, shape (H, W) or (Z, H, W), or None
        What was left empty when the picture was stitched, turned or framed; None if nothing was.
    """

    data: NDArray[Any]
    pixel_size_um: float | None
    scale_source: str
    path: Path
    info_bar_rows: int
    notices: tuple[str, ...] = ()
    sha256: str = ""
    info_bar_rows_top: int = 0
    empty_rim: NDArray[np.bool_] | None = None

    @property
    def is_rgb(self) -> bool:
        """Whether the last axis holds red, green and blue."""
        return self.data.ndim > 2 and self.data.shape[-1] == 3

    @property
    def margins(self) -> Margins:
        """The bars and the rim: what is proposed to be excluded."""
        return Margins(self.info_bar_rows, self.info_bar_rows_top, self.empty_rim)

    @property
    def is_stack(self) -> bool:
        """Whether the first axis counts planes."""
        return self.data.ndim - self.is_rgb == 3

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.data.shape[self.is_stack :][:2]
        return height, width

    def excluding(self, labels: LabelsOrNone) -> NDArray[np.uint8] | LabelsOrNone:
        """Return edits or labels of the whole image with its bars and its rim excluded; see `Margins.exclude`."""
        return self.margins.exclude(labels, self.data.shape[: self.data.ndim - self.is_rgb])


def read_micrograph(path: str | Path) -> Micrograph:
    """Read a TIFF, PNG, JPEG or BMP micrograph, as a viewer shows it.

    Inverted grey scales, palettes, inks and other colour spaces become grey or RGB, pictures that their file says
    are turned stand upright. Transparency is dropped, but what cannot be seen at all is in `Micrograph.empty_rim`;
    three equal channels become one, black-and-white becomes 0 and 255, and integers of other widths become uint16
    where their values fit, else float32. Of several pictures in a file the largest is read, equal ones as a stack;
    `Micrograph.notices` names what is left out.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Micrograph

    Raises
    ------
    MicrographError
        Missing, a folder, not permitted, not an image, damaged, incomplete or too large; names the file.
    """
    path = Path(path)
    decoded = decode(path)
    try:
        data = as_image_array(decoded.pixels, str(path))
        margins = find_margins(data, bottom=decoded.bar_rows, empty=decoded.transparent)
    except MemoryError as error:
        raise MicrographError(f"{path}: {NO_MEMORY}") from error
    return Micrograph(
        data,
        decoded.pixel_size_um,
        decoded.scale_source,
        path,
        info_bar_rows=margins.bottom,
        notices=decoded.notices,
        sha256=decoded.sha256,
        info_bar_rows_top=margins.top,
        empty_rim=margins.rim,
    )
