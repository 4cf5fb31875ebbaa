"""Decode an image file into an array of planes: TIFF by tifffile, everything else by Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs.tiff_metadata import UNKNOWN, data_bar_rows, pixel_size_um

if TYPE_CHECKING:
    from PIL.Image import Image
    from tifffile import TiffFile

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Decoded:
    """The content of a file.

    Attributes
    ----------
    pixels : ndarray, shape (H, W), (H, W, 3), (Z, H, W) or (Z, H, W, 3)
        Any type, native byte order; colour only where the channels differ.
    pixel_size_um : float or None
        Edge of a pixel in micrometres.
    scale_source : str
        Where that number comes from, or ``"scale unknown"``.
    bar_rows : int
        Height of the information bar as the microscope recorded it; 0 if it did not.
    """

    pixels: NDArray[Any]
    pixel_size_um: float | None = None
    scale_source: str = UNKNOWN
    bar_rows: int = 0


def decode(path: Path, *, as_labels: bool = False) -> Decoded:
    """Read a file by its content, whatever its suffix says.

    Parameters
    ----------
    path : Path
    as_labels : bool
        Keep stored values: palette indices instead of colours, black-and-white as 0 and 1, no
        inversion of inverted grey scales.

    Raises
    ------
    MicrographError
        Missing, a folder, not permitted, empty, not an image, damaged or incomplete.
    """
    if path.is_dir():
        raise MicrographError(f"{path}: is a folder, not an image. Choose a file in it.")
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError as error:
        raise MicrographError(f"{path}: there is no such file. Check the name and the folder.") from error
    except OSError as error:
        raise MicrographError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if not start:
        raise MicrographError(f"{path}: is empty. Export or copy the image again.")
    from PIL import UnidentifiedImageError

    try:
        decoded = _decode_tiff(path, as_labels) if start in _TIFF_STARTS else _decode_other(path, as_labels)
    except UnidentifiedImageError as error:
        raise MicrographError(
            f"{path}: is not a readable image. Export it as TIFF (keeps the scale), PNG, JPEG or BMP."
        ) from error
    except MicrographError as error:
        raise MicrographError(f"{path}: {error}") from error
    except Exception as error:  # decoders raise anything on a damaged file, struct.error to MemoryError
        reason = str(error) or type(error).__name__
        raise MicrographError(
            f"{path}: is damaged or incomplete ({reason}). Export or copy the image again."
        ) from error
    if 0 in decoded.pixels.shape:
        raise MicrographError(f"{path}: holds no pixels. Export the image again.")
    return decoded


def _decode_tiff(path: Path, as_labels: bool) -> Decoded:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        size, source = pixel_size_um(tiff)
        page = tiff.pages.first
        try:
            pixels = _planes(tiff)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            pixels = _tiff_by_pillow(path, as_labels)
        else:
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not as_labels:
                pixels = ~pixels if pixels.dtype.kind in "ub" else -pixels
            if pixels.dtype == np.bool_:
                pixels = pixels.astype(np.uint8) * (1 if as_labels else 255)
        return Decoded(_grey_if_grey(pixels), size, source, data_bar_rows(tiff))


def _planes(tiff: TiffFile) -> NDArray[Any]:
    """The first series as (H, W), (Z, H, W), or either with colour channels last."""
    series = tiff.series[0]
    array, axes = series.asarray(), series.axes
    kept = [
        i
        for i, (axis, length) in enumerate(zip(axes, array.shape, strict=True))
        if length > 1 or axis in "YX"
    ]
    array = array.reshape([array.shape[i] for i in kept])
    axes = "".join(axes[i] for i in kept)
    tail = "YXS" if "S" in axes else "YX"
    order = [i for i, axis in enumerate(axes) if axis not in tail] + [axes.index(axis) for axis in tail]
    array = array.transpose(order)
    n_image_axes = len(tail)
    if array.ndim > n_image_axes:
        array = array.reshape(-1, *array.shape[-n_image_axes:])
    if tail == "YXS":
        array = _without_alpha(array)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _tiff_by_pillow(path: Path, as_labels: bool) -> NDArray[Any]:
    """Decode compressions that tifffile leaves to an optional package (LZW, JPEG, fax)."""
    from PIL import Image, ImageSequence

    with Image.open(path) as image:
        pages = [_pillow_pixels(page, as_labels) for page in ImageSequence.Iterator(image)]
    same = [page for page in pages if page.shape == pages[0].shape and page.dtype == pages[0].dtype]
    return same[0] if len(same) == 1 else np.stack(same)


def _decode_other(path: Path, as_labels: bool) -> Decoded:
    from PIL import Image

    with Image.open(path) as image:
        pixels = _pillow_pixels(image, as_labels)
    return Decoded(_grey_if_grey(pixels))


def _pillow_pixels(image: Image, as_labels: bool) -> NDArray[Any]:
    mode = image.mode
    if mode == "1":
        return np.asarray(image).astype(np.uint8) * (1 if as_labels else 255)
    if mode in ("P", "PA"):
        return np.array(image.convert("P") if as_labels else image.convert("RGB"))
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return np.array(image.convert("RGB"))
    array = np.array(image)
    array = _without_alpha(array) if array.ndim == 3 else array
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _without_alpha(array: NDArray[Any]) -> NDArray[Any]:
    """Keep grey or RGB of channels-last data; transparency says nothing about the metal."""
    channels = array.shape[-1]
    if channels in (1, 2):
        return array[..., 0]
    if channels in (3, 4):
        return array[..., :3]
    raise MicrographError(f"has {channels} channels, which is neither grey nor RGB. Export one of them.")


def _grey_if_grey(array: NDArray[Any]) -> NDArray[Any]:
    """Drop two of three equal channels: many programs save grey images as RGB."""
    if array.ndim < 3 or array.shape[-1] != 3:
        return array
    red = array[..., 0]
    if np.array_equal(red, array[..., 1]) and np.array_equal(red, array[..., 2]):
        return np.ascontiguousarray(red)
    return np.ascontiguousarray(array)
