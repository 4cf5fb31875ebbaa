"""What is remembered of base weights: files that the user added, and checksums, so that a file is read once."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phaseguide.errors import PhaseguideError
from phaseguide.events import Progress
from phaseguide.files.json_files import read_json
from phaseguide.files.stamps import Stamp, stamping, unreadable
from phaseguide.folders import user_data_folder
from phaseguide.models.sam.shapes import SHAPES

_MOST_JSON_BYTES = 8_000_000
_SHA256 = re.compile("[0-9a-f]{64}")
_LOCK_WAIT_S = 5.0
_FORMAT = 1
_TABLES = (
    "CREATE TABLE IF NOT EXISTS added (path TEXT PRIMARY KEY, sha256 TEXT, size TEXT)",
    "CREATE TABLE IF NOT EXISTS checksums (path TEXT PRIMARY KEY, bytes INTEGER, mtime_ns INTEGER, sha256 TEXT)",
)
_ADD = "INSERT OR REPLACE INTO added VALUES (?, ?, ?)"
_STAMP = "INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?)"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Added:
    """A file that the user added: its checksum then, and the encoder ("vit_b"); empty where nobody said."""

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
    return bases_folder() / "index.sqlite"


def json_path() -> Path:
    """Where older versions kept the index; it is taken over once, and stays for them."""
    return bases_folder() / "index.json"


def read_index() -> Index:
    """Read the index; what is damaged in it is left out, since all but the added paths can be had again."""
    try:
        if not index_path().exists() and not json_path().exists():
            return Index()
        with closing(_open()) as table:
            added = table.execute("SELECT path, sha256, size FROM added").fetchall()
            return _sound(added, table.execute("SELECT * FROM checksums").fetchall())
    except (sqlite3.Error, OSError) as error:
        _log.warning("%s: cannot be read (%s).", index_path(), error)
        return _read_json()


def remember_added(path: Path, added: Added) -> None:
    """Remember a file that the user added, or raise `PhaseguideError`."""
    _write((_ADD, (str(path), added.sha256, added.size)))


def forget_added(path: Path) -> bool:
    """Forget a file that was added, or raise `PhaseguideError`; returns whether it had been added."""
    if str(path) not in read_index().added:
        return False
    _write(*((f"DELETE FROM {name} WHERE path = ?", (str(path),)) for name in ("added", "checksums")))
    return True


def remember_checksum(path: Path, stamp: Stamp) -> None:
    """Remember a checksum; where the index cannot be written, for the time of this process."""
    _taken[str(path)] = stamp
    try:
        _write((_STAMP, (str(path), stamp.bytes, stamp.mtime_ns, stamp.sha256)))
    except PhaseguideError as error:
        _log.info("The checksum of %s is not kept: %s", path, error)


def known_checksum(path: Path, index: Index) -> str | None:
    """Checksum of a file if it was taken before and the file looks the same since; else None."""
    try:
        now = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    for stamp in (_taken.get(str(path)), index.stamps.get(str(path))):
        if stamp is not None and (stamp.bytes, stamp.mtime_ns) == (now.st_size, now.st_mtime_ns):
            return stamp.sha256
    return None


def checking(path: Path) -> Generator[Progress, None, str]:
    """Take the checksum of a file, unless it is known, and remember it; returns 64 hex digits, raises `ModelError`."""
    known = known_checksum(path, read_index())
    if known is not None:
        return known
    stamp = yield from stamping(path)
    remember_checksum(path, stamp)
    return stamp.sha256


def _open() -> sqlite3.Connection:
    """Open the index, which is made where there is none; a damaged file is put aside and another one made."""
    path = index_path()
    if path.exists() and not path.is_file():  # a pipe could hold the program for ever
        raise sqlite3.OperationalError("something else is in its place")
    try:
        return _prepared(path)
    except sqlite3.OperationalError:  # locked, or not to be read: it may be sound
        raise
    except sqlite3.DatabaseError as error:
        _log.warning("%s: is damaged and made anew (%s).", path, error)
        path.replace(path.with_name(f"{path.name}.damaged"))
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    # A journal that is rolled back, not WAL: that works neither on a network disk nor in a folder that cannot be
    # written, and a row is written only when a file of gigabytes was read.
    table = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None)
    try:
        if table.execute("PRAGMA user_version").fetchone()[0] < _FORMAT:
            table.execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                table.execute(statement)
            old = _read_json()
            table.executemany(_ADD, [(name, a.sha256, a.size) for name, a in old.added.items()])
            stamps = [(name, s.bytes, s.mtime_ns, s.sha256) for name, s in old.stamps.items()]
            table.executemany(_STAMP, stamps)
            table.execute(f"PRAGMA user_version = {_FORMAT}")
            table.execute("COMMIT")
    except BaseException:
        table.close()
        raise
    return table


def _write(*statements: tuple[str, tuple[Any, ...]]) -> None:
    """Change the index, all or nothing."""
    try:
        bases_folder().mkdir(parents=True, exist_ok=True)
        with closing(_open()) as table:
            table.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                table.execute(statement, values)
            table.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise PhaseguideError(
            f"{index_path()}: cannot be written ({error}). Try again, or choose another folder with the environment "
            "variable PHASEGUIDE_DATA_DIR."
        ) from error


def _read_json() -> Index:
    """The index as older versions wrote it; empty where there is none, or a damaged one."""
    try:
        data = read_json(json_path(), _MOST_JSON_BYTES)
        added, stamps = dict(data["added"]), dict(data["checksums"])
        return _sound(
            [(path, *_values(entry, ("sha256", "size"))) for path, entry in added.items()],
            [(path, *_values(entry, ("bytes", "mtime_ns", "sha256"))) for path, entry in stamps.items()],
        )
    except FileNotFoundError:
        return Index()
    except (OSError, ValueError, TypeError, KeyError) as error:
        _log.warning("%s: cannot be read (%s).", json_path(), error)
        return Index()


def _values(entry: Any, keys: tuple[str, ...]) -> list[Any]:
    """Values of an entry with exactly these keys; else nothing, which `_sound` leaves out."""
    fits = isinstance(entry, dict) and entry.keys() == set(keys)
    return [entry[key] for key in keys] if fits else []


def _sound(added: Iterable[tuple[Any, ...]], stamps: Iterable[tuple[Any, ...]]) -> Index:
    """Index of those rows that name a whole path and have exactly the values that they should."""
    index = Index()
    for row in added:
        if _fits(row, (str, str, str)) and row[2] in ("", *SHAPES) and _SHA256.fullmatch(row[1]):
            index.added[row[0]] = Added(*row[1:])
    for row in stamps:
        if _fits(row, (str, int, int, str)) and _SHA256.fullmatch(row[3]):
            index.stamps[row[0]] = Stamp(*row[1:])
    return index


def _fits(row: tuple[Any, ...], kinds: tuple[type, ...]) -> bool:
    return tuple(map(type, row)) == kinds and Path(row[0]).is_absolute() and "\0" not in row[0]
