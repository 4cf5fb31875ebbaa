"""What is remembered of base weights: files that the user added, and checksums, so that a file is read once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from phaseguide.atomic import write_text
from phaseguide.errors import ModelError, PhaseguideError
from phaseguide.events import Progress
from phaseguide.files import open_plain
from phaseguide.folders import user_data_folder
from phaseguide.json_files import read_json
from phaseguide.models.sam.shapes import SHAPES

INDEX_NAME = "index.json"
_MOST_INDEX_BYTES = 8_000_000
_SHA256 = re.compile("[0-9a-f]{64}")
_BLOCK = 1 << 22
_TELL_S = 0.1
_LOCK_WAIT_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stamp:
    """The checksum of a file, and what the file looked like when it was read.

    Attributes
    ----------
    bytes : int
    mtime_ns : int
        Time of the last change, nanoseconds.
    sha256 : str
    """

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Added:
    """A file that the user added; it stays where it is.

    Attributes
    ----------
    sha256 : str
        When it was added.
    size : str
        Name of the encoder that it is for ("vit_b"); empty where nobody said.
    """

    sha256: str
    size: str


@dataclass
class Index:
    """Everything that is remembered, by the absolute path of a file."""

    added: dict[str, Added] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)


# Checksums that this process has taken: they hold where the folder of the index cannot be written.
_taken: dict[str, Stamp] = {}


def bases_folder() -> Path:
    """Folder of downloaded base weights, beside that of the user's models."""
    return user_data_folder() / "bases"


def index_path() -> Path:
    """File of the index."""
    return bases_folder() / INDEX_NAME


def read_index() -> Index:
    """Read the index; what is damaged in it is left out, since all but the added paths can be had again."""
    try:
        data = read_json(index_path(), _MOST_INDEX_BYTES)
        added, stamps = dict(data["added"]), dict(data["checksums"])
    except FileNotFoundError:
        return Index()
    except (OSError, ValueError, TypeError, KeyError) as error:
        _log.warning("%s: cannot be read and is made anew (%s).", index_path(), error)
        return Index()
    index = Index()
    for path, entry in added.items():
        if _fits(path, entry, {"sha256": str, "size": str}) and entry["size"] in ("", *SHAPES):
            index.added[path] = Added(**entry)
    for path, entry in stamps.items():
        if _fits(path, entry, {"bytes": int, "mtime_ns": int, "sha256": str}):
            index.stamps[path] = Stamp(**entry)
    return index


def remember_added(path: Path, added: Added) -> None:
    """Remember a file that the user added.

    Raises
    ------
    PhaseguideError
        The index cannot be written.
    """
    with _locked():
        index = read_index()
        index.added[str(path)] = added
        _write(index)


def forget_added(path: Path) -> bool:
    """Forget a file that was added; whether it had been.

    Raises
    ------
    PhaseguideError
        The index cannot be written.
    """
    with _locked():
        index = read_index()
        known = index.added.pop(str(path), None) is not None
        if known:
            index.stamps.pop(str(path), None)
            _write(index)
    return known


def remember_checksum(path: Path, stamp: Stamp) -> None:
    """Remember a checksum; where the index cannot be written, for the time of this process."""
    _taken[str(path)] = stamp
    try:
        with _locked():
            index = read_index()
            index.stamps[str(path)] = stamp
            _write(index)
    except PhaseguideError as error:
        _log.info("The checksum of %s is not kept: %s", path, error)


def known_checksum(path: Path, index: Index) -> str | None:
    """Checksum of a file if it was taken before and the file looks the same since; else None.

    Raises
    ------
    ModelError
        The file cannot be looked at.
    """
    try:
        now = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    for stamp in (_taken.get(str(path)), index.stamps.get(str(path))):
        if stamp is not None and (stamp.bytes, stamp.mtime_ns) == (now.st_size, now.st_mtime_ns):
            return stamp.sha256
    return None


def checking(path: Path) -> Generator[Progress, None, str]:
    """Take the checksum of a file, with progress in bytes, and remember it; returns 64 hex digits.

    A file that has not changed since is not read again.

    Raises
    ------
    ModelError
        It cannot be read.
    """
    known = known_checksum(path, read_index())
    if known is not None:
        return known
    stamp = yield from stamping(path)
    remember_checksum(path, stamp)
    return stamp.sha256


def stamping(path: Path) -> Generator[Progress, None, Stamp]:
    """Take the checksum of a file, with progress in bytes, without remembering it.

    Raises
    ------
    ModelError
        It cannot be read, or changes meanwhile.
    """
    digest, told = hashlib.sha256(), time.monotonic()
    try:
        with open_plain(path) as file:
            before = os.fstat(file.fileno())
            yield Progress(f"Checking {path.name}", 0, before.st_size)
            while block := file.read(_BLOCK):
                digest.update(block)
                if time.monotonic() - told > _TELL_S:
                    told = time.monotonic()
                    yield Progress(f"Checking {path.name}", file.tell(), before.st_size)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(path, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ModelError(f"{path}: changed while it was read. Wait until it is complete, then try again.")
    return Stamp(after.st_size, after.st_mtime_ns, digest.hexdigest())


@contextmanager
def exclusive(path: Path, refusal: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file, where the disk knows locks; it may be released in another thread.

    Raises
    ------
    ModelError
        Another program, or another part of this one, holds it.
    """
    lock = FileLock(path, timeout=wait_s, poll_interval=0.05, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise ModelError(refusal) from error
    except (OSError, NotImplementedError) as error:
        # A network disk without locks: better to go on alone than not at all.
        _log.info("%s: no lock can be had there (%s).", path, error)
    try:
        yield
    finally:
        lock.release()


def _locked() -> AbstractContextManager[None]:
    try:
        bases_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhaseguideError(
            f"{bases_folder()}: cannot be made ({error.strerror or error}). Choose another folder with the "
            "environment variable PHASEGUIDE_DATA_DIR."
        ) from error
    refusal = f"{index_path()}: another program is writing it. Try again."
    return exclusive(bases_folder() / f".{INDEX_NAME}.lock", refusal, _LOCK_WAIT_S)


def _write(index: Index) -> None:
    data = {
        "format": 1,
        "added": {path: asdict(added) for path, added in index.added.items()},
        "checksums": {path: asdict(stamp) for path, stamp in index.stamps.items()},
    }
    write_text(index_path(), json.dumps(data, indent=2) + "\n")


def _fits(path: str, entry: Any, kinds: Mapping[str, type]) -> bool:
    """Whether an entry of the index is of a file by its whole path, and has exactly the values that it should."""
    return (
        Path(path).is_absolute()
        and "\0" not in path
        and isinstance(entry, dict)
        and entry.keys() == kinds.keys()
        and all(type(entry[key]) is kind for key, kind in kinds.items())
        and _SHA256.fullmatch(entry["sha256"]) is not None
    )


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path}: cannot be read ({error.strerror or error}). Check that it is there.")
