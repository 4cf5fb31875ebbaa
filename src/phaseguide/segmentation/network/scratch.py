"""Arrays larger than memory: scratch files that vanish with their array and never fill the memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DeviceError

_STEP = 1 << 24  # values copied at once
_DROP = getattr(mmap, "MADV_DONTNEED", None)  # Windows drops pages by itself, by their age


def scratch_array(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make an array of zeros in a file without a name; raises `DeviceError` where the disk has not enough space."""
    size = 4 * int(np.prod(shape))
    # The array holds the file open, and the file has no other name: both go together, whatever happens.
    with tempfile.TemporaryFile(prefix="phaseguide-scores-") as file:
        _reserve(file, size)
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def empty_beside(scores: NDArray[Any]) -> NDArray[Any]:
    """Make an array of the same shape and type where `scores` lies: in memory, or in a scratch file."""
    if isinstance(scores, np.memmap) and scores.dtype == np.float32:
        return scratch_array(scores.shape)
    return np.empty(scores.shape, dtype=scores.dtype)


def copy_beside(scores: NDArray[Any]) -> NDArray[Any]:
    """Copy an array to where it lies, see `empty_beside`, a little at a time."""
    copy = empty_beside(scores)
    source, target = scores.reshape(-1), copy.reshape(-1)
    for start in range(0, source.size, _STEP):
        target[start : start + _STEP] = source[start : start + _STEP]
        release(source)
        release(target)
    return copy


def release(array: NDArray[Any]) -> None:
    """Give the memory of a mapped file's pages back; the file keeps what was written.

    Pages that were read or written count as this process' memory until then. Any other array is left alone.
    """
    # A private (copy-on-write) mapping would lose what was written to it.
    if _DROP is not None and isinstance(array, np.memmap) and array.mode != "c":
        mapping: mmap.mmap | None = getattr(array, "_mmap", None)
        if mapping is not None:
            mapping.madvise(_DROP)


def _reserve(file: Any, size: int) -> None:
    """Claim the disk space now: a mapped file that outgrows the disk kills the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        raise DeviceError(
            f"The scores of this image need {size / 1e9:.1f} GB of scratch space in "
            f"{tempfile.gettempdir()}, and there is not as much ({error.strerror}). Free some space, "
            "raise the memory budget, or crop the image."
        ) from error
