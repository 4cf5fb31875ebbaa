"""Decode a PNG, JPEG, BMP or other everyday picture by Pillow, as a viewer shows it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs import colours
from phaseguide.micrographs.decoded import Decoded, first_known, lossy_sentence
from phaseguide.micrographs.picture_size import check_size
from phaseguide.micrographs.sidecars import find_beside

if TYPE_CHECKING:
    from PIL.Image import Image

# Named, since some of the others run a program or open a further file.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "PCX", "SGI")
_LOSSLESS = {"PNG", "BMP", "DIB", "GIF", "PPM", "PCX", "SGI"}
_DEEP = ("RGB;16B", "RGBA;16B", "LA;16B")
_SPREAD = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies grey values of 2 and 4 bits by."""

_guard = threading.Lock()


def decode_other(path: Path, *, as_labels: bool) -> Decoded:
    """Read the first picture of a file that is no TIFF; any error of a decoder on a damaged file passes through.

    `MicrographError`, without the name of the file, where it is too large, or lossy where labels are wanted.
    """
    with _open(path) as image:
        if as_labels and not _is_lossless(image, path):
            raise MicrographError(lossy_sentence(str(image.format)))
        width, height = image.size
        deep = _stored_as(image) in _DEEP
        check_size((height, width, len(image.getbands())), 2 if deep else _bytes_a_value(image))
        count = getattr(image, "n_frames", 1)
        stored, orientation = _deep_png(image, path) if deep else _stored(image, as_labels)
    notices = (
        (f"The file holds {count} pictures. The first is read; save the others as files of their own.",)
        if count > 1
        else ()
    )
    size, source = first_known([find_beside(path, width)])
    pixels, transparent = _upright(stored, orientation)
    return Decoded(pixels, size, source, 0, notices, transparent=transparent)


def pixels_of(image: Image, as_labels: bool = False) -> NDArray[Any]:
    """Return the pixels of a Pillow image upright, in grey (H, W) or RGB (H, W, 3), or the labels that it holds."""
    return _upright(*_stored(image, as_labels))[0]


def _stored(image: Image, as_labels: bool) -> tuple[NDArray[Any], int]:
    """Grey or RGB values, with transparency if there is any, as they lie in the file, and its orientation."""
    # Read first: loading forgets some of the headers.
    mode, stored_as, orientation = image.mode, _stored_as(image), _orientation(image)
    if mode == "1":
        array = np.asarray(image).astype(np.uint8) * (1 if as_labels else 255)
    elif mode in ("P", "PA") and as_labels:
        array = np.array(image.getchannel("P") if mode == "PA" else image)
    elif mode == "PA" or (mode == "P" and "transparency" in image.info):
        array = np.array(image.convert("RGBA"))
    elif mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        array = np.array(image.convert("RGB"))
    elif mode in ("RGBa", "La"):
        array = np.array(image.convert("RGBA" if mode == "RGBa" else "LA"))
    else:
        array = np.array(image)
    if as_labels and stored_as in _SPREAD:
        array = array // _SPREAD[stored_as]
    elif not as_labels and mode in ("L", "RGB", "I;16") and "transparency" in image.info:
        array = np.dstack([array, ~_is_value(array, image.info["transparency"])])
    return array, orientation


def _stored_as(image: Image) -> str:
    """How Pillow calls the samples in the file, before it spreads them over 8 bits."""
    tiles = getattr(image, "tile", ())
    return str(tiles[0][3]) if image.format == "PNG" and tiles else ""


def _is_value(array: NDArray[Any], value: Any) -> NDArray[np.bool_]:
    """Where an image has the one value that its file says is transparent."""
    same: NDArray[np.bool_] = (np.atleast_3d(array) == np.asarray(value)).all(axis=-1)
    return same


def _upright(stored: NDArray[Any], orientation: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return grey or RGB upright, and what of it is transparent."""
    array = colours.upright(stored if stored.ndim == 3 else stored[..., None], orientation, 0)
    clear = array[..., -1] == 0 if array.shape[-1] in (2, 4) else None
    # What can be seen through in part is metal too.
    array = colours.grey_if_grey(array[..., : 1 if array.shape[-1] < 3 else 3])
    return array.astype(array.dtype.newbyteorder("="), copy=False), clear


def _open(path: Path) -> Image:
    """Open a picture without Pillow's own limit to its size, which stitched fields exceed; `check_size` is ours."""
    from PIL import Image

    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # not every build of Pillow has all
    with _guard:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=known)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _bytes_a_value(image: Image) -> int:
    return 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;16") else 1


def _deep_png(image: Image, path: Path) -> tuple[NDArray[Any], int]:
    """Do what `_stored` does for a PNG with 16 bits a colour, of which Pillow keeps 8."""
    import imagecodecs

    return imagecodecs.png_decode(path.read_bytes()), _orientation(image)


def _orientation(image: Image) -> int:
    try:
        told = image.getexif().get(274, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, IndexError, OSError, OverflowError):
        return 1  # a header that cannot be read turns nothing in a viewer either
    return told if isinstance(told, int) else 1


def _is_lossless(image: Image, path: Path) -> bool:
    if image.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8 " not in file.read(4096)[12:]
    return image.format in _LOSSLESS
