"""Label maps as files: uint8, 0 not classified, 1..K the phases, 255 excluded."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError
from phaseguide.files.atomic import write_bytes
from phaseguide.files.foreign import open_plain
from phaseguide.micrographs.arrays import as_label_array
from phaseguide.micrographs.decoding import decode

SOFTWARE = "Phase Guide, label map"
"""What a label map that the program wrote says of itself, in the tag for the software ..."""

TAGS = 4096
"""... which stands among the first bytes of the file."""


def read_label_map(path: str | Path) -> NDArray[np.uint8]:
    """Read a label map from a TIFF, PNG or BMP file.

    Palette images give their indices, as label tools mean them, and black-and-white images and inverted grey scales
    their stored values; an RGB file is accepted if its three channels are equal. A picture that its file says is
    turned stands upright, as `read_micrograph` reads its image. Of a pyramid the full size is read.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ndarray of uint8, shape (H, W) or (Z, H, W)
        Values as they are in the file; compare them with a scheme by `PhaseScheme.check_labels`.

    Raises
    ------
    MicrographError
        Missing, damaged, not an image, in colour, stored in a way that changes values (JPEG and its kind), or
        values outside 0..255.
    """
    labels = decode(Path(path), as_labels=True).pixels
    if labels.ndim > 2 and labels.shape[-1] == 3:
        raise MicrographError(
            f"{path}: is a colour picture, not a label map. Save the labels themselves: one channel, "
            "0 not classified, 1..K the phases, 255 excluded."
        )
    return as_label_array(labels, str(path))


def write_label_map(path: str | Path, labels: ArrayLike, pixel_size_um: float | None = None) -> None:
    """Write a label map as a compressed TIFF that ImageJ, napari and `read_micrograph` read with scale.

    Parameters
    ----------
    path : str or Path
        By convention ``<stem>_labels.tif``. It is replaced only when the new file is complete.
    labels : array_like of int, shape (H, W) or (Z, H, W)
        Values 0..255; see `as_label_array`.
    pixel_size_um : float or None
        Edge of a pixel in micrometres; None for scale unknown.

    Raises
    ------
    MicrographError
        Wrong shape, values outside 0..255, or a pixel size that is not positive.
    PhaseguideError
        The file cannot be written.
    """
    write_bytes(path, label_map_bytes(path, labels, pixel_size_um))


def label_map_bytes(path: str | Path, labels: ArrayLike, pixel_size_um: float | None = None) -> bytes:
    """Return what `write_label_map` writes; ``path`` is named in errors."""
    import tifffile

    array = as_label_array(labels, str(path))
    if array.ndim not in (2, 3) or array.size == 0:
        raise MicrographError(
            f"{path}: labels of shape {array.shape} are neither an image nor a stack of images."
        )
    metadata: dict[str, object] = {"axes": "ZYX"[-array.ndim :]}
    resolution = None
    if pixel_size_um is not None:
        if not 0 < pixel_size_um < float("inf"):
            raise MicrographError(
                f"{path}: a pixel cannot be {pixel_size_um} um wide. Give its size, or none."
            )
        resolution = (1 / pixel_size_um, 1 / pixel_size_um)
        metadata["unit"] = "um"
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array,
        imagej=True,
        compression="zlib",
        resolution=resolution,
        software=SOFTWARE,
        metadata=metadata,
    )
    return buffer.getvalue()


def is_own_label_map(path: str | Path) -> bool:
    """Whether `write_label_map` wrote a file; False for one that cannot be read."""
    try:
        with open_plain(path) as file:
            return SOFTWARE.encode() in file.read(TAGS)
    except (OSError, ValueError):  # ValueError: a zero in the name
        return False
