"""Arrays of any kind as images and label maps: numpy, torch, dask, zarr, Pillow, lists, memory maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs.picture_size import check_size
from phaseguide.phases import EXCLUDED


def as_image_array(data: Any, name: str) -> NDArray[Any]:
    """Return an image of any kind as an array that the networks can take.

    ``data`` is whatever numpy can take, torch tensors of any device and Pillow images too; ``name`` is named in the
    error. In native byte order, contiguous; the very array where it is that already. Black-and-white becomes 0 and
    255; integers of other widths become uint16 where their values fit, else float32. `MicrographError` for what holds
    no numbers, rows of unequal length, masked pixels, or too much for the free memory.
    """
    pixels = _as_array(data, name, as_labels=False)
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        if pixels.dtype == np.bool_:
            pixels = pixels.astype(np.uint8) * 255
        elif pixels.dtype.kind in "iu":
            fits = not pixels.size or (pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max)
            pixels = pixels.astype(np.uint16 if fits else np.float32)
        elif pixels.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what overflows is infinite, which `check_image` tells
                pixels = pixels.astype(np.float32)
        else:
            raise MicrographError(
                f"{name}: holds values of type {pixels.dtype}, not grey values. Export it as 8 or 16 bit."
            )
    if not pixels.dtype.isnative:
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    return np.ascontiguousarray(pixels)


def as_label_array(data: Any, name: str) -> NDArray[np.uint8]:
    """Return labels of any kind, whole numbers from 0 to 255 of any type, as uint8; errors as `as_image_array`."""
    labels = _as_array(data, name, as_labels=True)
    if labels.dtype == np.uint8:
        return np.ascontiguousarray(labels)
    if labels.dtype.kind not in "biuf":
        raise MicrographError(f"{name}: holds values of type {labels.dtype}, which are no labels.")
    if labels.size:
        low, high = labels.min(), labels.max()  # NaN shows up in both
        if not (low >= 0 and high <= EXCLUDED) or (labels.dtype.kind == "f" and np.any(labels % 1)):
            raise MicrographError(
                f"{name}: label values run from {low} to {high}; a label map holds whole numbers from 0 to "
                f"{EXCLUDED}. Relabel it, or check that it is not a micrograph."
            )
    return np.ascontiguousarray(labels.astype(np.uint8))


def _as_array(data: Any, name: str, *, as_labels: bool) -> NDArray[Any]:
    try:
        if hasattr(data, "detach") and hasattr(data, "cpu"):  # torch, which is not imported for others
            data = data.detach().cpu()
            data = (
                (data.float() if str(data.dtype) == "torch.bfloat16" else data).resolve_conj().resolve_neg()
            )
            data = data.to_dense().numpy()
        elif hasattr(data, "getbands"):  # Pillow, which numpy would hand out the stored samples of
            from phaseguide.micrographs.pillow_decoding import pixels_of

            data = pixels_of(data, as_labels)
        elif not isinstance(data, np.ndarray) and hasattr(data, "shape") and hasattr(data, "dtype"):
            check_size(data.shape, np.dtype(data.dtype).itemsize)
        if np.ma.is_masked(data):
            raise MicrographError(
                "has masked pixels. Give the plain array (its .data), and mark the masked pixels as excluded, "
                f"{EXCLUDED}, in the edits."
            )
        return np.asarray(data)
    except MicrographError as error:
        raise MicrographError(f"{name}: {error}") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise MicrographError(
            f"{name}: a {type(data).__name__} cannot be taken as an image ({error}). Give an array of numbers."
        ) from error
