"""Records beside results: which image and model made it, told by checksum, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.atomic import write_text
from phaseguide.errors import PhaseguideError
from phaseguide.files import open_plain
from phaseguide.json_files import read_json


def sha256_of_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits.

    Raises
    ------
    PhaseguideError
        The file cannot be read.
    """
    try:
        with open_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PhaseguideError(f"{path}: cannot be read ({error.strerror or error}).") from error


def sha256_of_array(array: ArrayLike) -> str:
    """Return the SHA-256 of an array's type, shape and values as 64 hex digits.

    The same on every machine: values are hashed in C order and little-endian.
    """
    values = np.ascontiguousarray(array)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{values.dtype.str}{values.shape}".encode())
    digest.update(values.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_record(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as indented JSON in UTF-8, atomically; the order of its keys is kept.

    Parameters
    ----------
    path : str or Path
        Usually ``<stem>.json`` beside the result.
    record : mapping
        JSON values, also NumPy numbers and arrays, paths and sets; a number that is not finite is
        written as ``null``, since JSON has no NaN.

    Raises
    ------
    PhaseguideError
        The file cannot be written.
    """
    write_text(path, json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def result_record(labels: str | Path) -> Path | None:
    """Return the record beside a label map that the program wrote; None for any other label map.

    Parameters
    ----------
    labels : path
        ``<stem>_labels.tif`` has its record in ``<stem>.json``.
    """
    path = Path(labels)
    record = path.with_name(f"{path.stem.removesuffix('_labels')}.json")
    try:
        told = read_json(record)
        written = told["labels"] == path.name and "model" in told
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if written else None


def _plain(value: Any) -> Any:
    """Turn a value into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
