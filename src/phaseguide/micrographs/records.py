"""Records beside results: which image and model made it, told by checksum, as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from phaseguide.atomic import Refusal, write_bytes, write_together
from phaseguide.errors import PhaseguideError
from phaseguide.files import open_plain
from phaseguide.json_files import json_bytes, read_json
from phaseguide.plain_text import readable

PARTS = "parts"
"""Key of a record: the files of the result by name, each with its SHA-256."""

RECORD_MOST_BYTES = 16 * 1024 * 1024


def sha256_of_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits; `PhaseguideError` if it cannot be read."""
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

    Values may be NumPy numbers and arrays, paths and sets too; a number that is not finite is written as ``null``.
    """
    write_bytes(path, json_bytes(_plain(record)))


def write_result(
    record_path: Path, record: Mapping[str, Any], parts: Mapping[Path, bytes], *, replace: bool = True
) -> None:
    """Write the files of a result together with their record, which tells the checksum of each.

    Either all are new, or all are as they were. A file that is there already is only replaced if it is of an earlier
    result, as that wrote it; what else that result consisted of goes. Parts lie in the folder of the record.
    `OutputError` if a file must stay; nothing was changed then.
    """
    sums = {readable(path.name): hashlib.sha256(data).hexdigest() for path, data in parts.items()}
    told = json_bytes(_sealed(_plain({**record, PARTS: sums}), readable(record_path.name)))
    # Only names of this very result, since a record may come from somebody else.
    mine = [name for name in parts_of(record_path) or () if name.startswith(f"{readable(record_path.stem)}_")]
    old = [record_path.with_name(name) for name in mine if replace and name not in sums]
    gone = [path for path in old if path.is_file() and not why_kept(path, record_path)]
    refusal: Refusal | None = (lambda path: why_kept(path, record_path)) if replace else None
    write_together({**parts, record_path: told}, refusal, without=gone)


def why_kept(path: Path, record: Path) -> str:
    """Say why a file may not be replaced by a new result of the same name; empty where it may.

    ``record`` is where the record of its result would be, perhaps the same.
    """
    advice = "It stays: move it away, or choose another --out."
    if path.is_symlink() or not path.is_file():
        return f"{path}: is there already, and is no plain file. {advice}"
    parts = parts_of(record)
    if path == record:
        if parts is None:
            return f"{path}: is there already, and Phase Guide did not write it. {advice}"
        return "" if _is_unchanged(path) else f"{path}: was changed since Phase Guide wrote it. {advice}"
    known = (parts or {}).get(readable(path.name))
    if known is None:
        return f"{path}: is there already, and no record says that Phase Guide wrote it. {advice}"
    if known and sha256_of_file(path) != known:
        return f"{path}: was changed or replaced since Phase Guide wrote it. {advice}"
    return ""


def _sealed(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Put among the parts of a record its own checksum, which is that of the record without it."""
    parts = {key: value for key, value in record[PARTS].items() if key != name}
    bare = {**record, PARTS: parts}
    return {**bare, PARTS: {**parts, name: hashlib.sha256(json_bytes(bare)).hexdigest()}}


def _is_unchanged(record: Path) -> bool:
    """Whether a record is as it was written; those of earlier versions cannot tell."""
    told, name = read_json(record, RECORD_MOST_BYTES), readable(record.name)
    return name not in told.get(PARTS, {}) or _sealed(told, name) == told


def parts_of(record: Path) -> dict[str, str] | None:
    """Files of the result whose record this is, by name with their SHA-256; None if it is no record of a result.

    Records of earlier versions tell no checksum; it is then empty.
    """
    try:
        told = read_json(record, RECORD_MOST_BYTES)
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or "model" not in told:
        return None
    parts, labels = told.get(PARTS), told.get("labels")
    if isinstance(parts, dict) and all(isinstance(value, str) for value in parts.values()):
        return {name: value for name, value in parts.items() if name and name == Path(name).name}
    return {labels: ""} if isinstance(labels, str) else None


def files_of_results(folder: Path) -> frozenset[str]:
    """Names of the files in a folder that are parts of results, as the records there tell; see `readable`."""
    try:
        records = sorted(folder.glob("*.json"))
    except OSError:
        return frozenset()
    return frozenset(name for record in records for name in parts_of(record) or ())


def result_record(labels: str | Path) -> Path | None:
    """Return the record beside a label map that the program wrote; None for any other label map.

    A map that was changed or replaced since is another one: see `record_of_another`.
    """
    record, known = _told_of(Path(labels))
    return record if known is not None and known in ("", _sum_of(Path(labels))) else None


def record_of_another(labels: str | Path) -> Path | None:
    """Return the record beside a label map whose checksum is that of another map; None where all is well."""
    record, known = _told_of(Path(labels))
    return record if known and known != _sum_of(Path(labels)) else None


def _told_of(labels: Path) -> tuple[Path, str | None]:
    """The record beside a label map and the checksum in it; None if it does not name this map."""
    record = labels.parent / f"{labels.stem.removesuffix('_labels')}.json"
    return record, (parts_of(record) or {}).get(readable(labels.name))


def _sum_of(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except PhaseguideError:
        return "unreadable"


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
