"""One file of embeddings: arrays, what they are of, and their checksum, as a zarr archive. Free of torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK_BYTES = 1 << 25
_MOST_ARRAYS = 64
_MOST_BYTES = 1 << 34  # of one array: more than any tile has
_CODECS = {"bytes", "blosc"}


@dataclass(frozen=True)
class Unit:
    """What one file holds: arrays, and JSON values that say how to use them."""

    arrays: tuple[NDArray[Any], ...]
    details: Mapping[str, Any]


def write_unit(
    path: Path, about: Mapping[str, Any], arrays: Sequence[NDArray[Any]], details: Mapping[str, Any]
) -> None:
    """Write a file; ``about`` and ``details`` are JSON values."""
    import zarr
    from zarr.codecs import BloscCodec
    from zarr.storage import ZipStore

    # A tenth smaller than without, and no slower to write and read.
    compressor = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")
    store = ZipStore(path, mode="w")
    try:
        attributes = {
            "about": dict(about),
            "details": dict(details),
            "arrays": len(arrays),
            "sha256": _checksum(arrays),
        }
        group = zarr.create_group(store, zarr_format=3, attributes=attributes)
        for number, array in enumerate(arrays):
            group.create_array(
                str(number),
                data=array,
                chunks=_chunks(array),
                compressors=compressor,
                # Else a chunk of zeros would look like one that was lost.
                config={"write_empty_chunks": True},
            )
    finally:
        store.close()


def read_unit(path: Path, about: Mapping[str, Any]) -> Unit | None:
    """Read a file; None if it is about something else, and any error where it is not what was written."""
    import zarr
    from zarr.storage import ZipStore

    store = ZipStore(path, mode="r")
    try:
        group = zarr.open_group(store, mode="r", zarr_format=3)
        if group.attrs["about"] != dict(about):
            return None
        arrays: list[NDArray[Any]] = []
        count: Any = group.attrs["arrays"]
        for number in range(min(count, _MOST_ARRAYS)):
            array = group[str(number)]
            if not isinstance(array, zarr.Array) or array.nchunks_initialized != array.nchunks:
                raise ValueError(f"array {number} is not complete")
            if array.dtype.kind not in "fiu" or array.nbytes > _MOST_BYTES:
                raise ValueError(f"array {number} holds no numbers, or too many")
            codecs: Any = array.metadata.to_dict()["codecs"]
            if {codec["name"] for codec in codecs} - _CODECS:
                raise ValueError(f"array {number} is packed in another way than ours")
            arrays.append(np.asarray(array[...]))
        if group.attrs["sha256"] != _checksum(arrays):
            raise ValueError("the numbers do not match their checksum")
        details: Any = group.attrs["details"]
        return Unit(tuple(arrays), dict(details))
    finally:
        store.close()


def of_image(about: Mapping[str, Any], image: str) -> dict[str, Any]:
    """What a file is about, the image included: a file that lies in another image's folder is not of that image."""
    return {**about, "image": image}


def _checksum(arrays: Sequence[NDArray[Any]]) -> str:
    """Sha256 of types, shapes and numbers."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}|{array.shape}|".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """Cut along the first axis that is longer than 1, so that chunks lie in one piece and can be compressed."""
    chunks = [max(1, side) for side in array.shape]
    axis = next((i for i, side in enumerate(chunks) if side > 1), None)
    if axis is not None:
        rest = array.itemsize * int(np.prod(chunks[axis + 1 :]))
        chunks[axis] = max(1, min(chunks[axis], _CHUNK_BYTES // max(1, rest)))
    return tuple(chunks)
