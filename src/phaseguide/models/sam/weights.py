"""Base weights of Segment Anything: find them on this computer, add a file, download the official ones."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.new_file import move_new
from phaseguide.models.sam.checksums import (
    Added,
    Stamp,
    bases_folder,
    checking,
    forget_added,
    index_path,
    known_checksum,
    read_index,
    remember_added,
    remember_checksum,
    stamping,
)
from phaseguide.models.sam.download import check_address, downloading
from phaseguide.models.sam.places import (
    SUFFIXES,
    check_official_size,
    missing,
    official_files,
    own_files,
    size_of_checksum,
    stopped_downloads,
)
from phaseguide.models.sam.shapes import OFFICIAL, find_shape

T = TypeVar("T")


@dataclass(frozen=True)
class BaseEntry:
    """A file of base weights.

    Attributes
    ----------
    size : str
        Name of the encoder ("vit_b"); empty where it is not known.
    name : str
        Name of the file.
    sha256 : str
        Checksum that models name it by: for an added file that of the time when it was added.
    official : bool
        Whether that is the checksum of an official file.
    path : Path or None
        Where it is; None if it is not on this computer.
    bytes : int
        Size on the disk; 0 if it is not there.
    problem : str
        Why it cannot be used, in a sentence; empty if it can, or if it was just never fetched.
    note : str
        What else should be known of it.
    """

    size: str
    name: str
    sha256: str
    official: bool
    path: Path | None
    bytes: int = 0
    problem: str = ""
    note: str = ""


def find_base(sha256: str) -> Path:
    """Return the file with a checksum; see `finding`."""
    return _drain(finding(sha256))


def find_read_anew(sha256: str) -> Path:
    """Return the file with a checksum, which is taken now, whatever is remembered: for who is about to use it.

    Raises
    ------
    ModelError
        As `finding`.
    """
    while True:
        path = find_base(sha256)
        stamp = _drain(_stamped(path))
        if stamp.sha256 == sha256:
            return path
        remember_checksum(path, stamp)  # so that it is not found again


def _stamped(path: Path) -> Iterator[Progress | Finished[Stamp]]:
    stamp = yield from stamping(path)
    yield Finished(stamp)


def find_official(size: str) -> Path:
    """Return the official file of a size ("vit_b"), its checksum verified; see `finding`."""
    return find_base(check_official_size(size).sha256)


def finding(sha256: str) -> Iterator[Progress | Finished[Path]]:
    """Look for the file with a checksum in all known places.

    A file is read once; after that its checksum is known as long as its size and time stay.

    Parameters
    ----------
    sha256 : str
        64 hex digits.

    Yields
    ------
    Progress
        In bytes, while a file is read.
    Finished
        The path.

    Raises
    ------
    ModelError
        Not a checksum, or not found: says where it was looked for, and every way out.
    """
    wanted = sha256.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise ModelError(f"{sha256!r} is no SHA-256 checksum of base weights; that has 64 hex digits.")
    path, odd = yield from _search(wanted)
    if path is None:
        raise missing(wanted, odd)
    yield Finished(path)


def add_base(path: str | Path, size: str | None = None) -> BaseEntry:
    """Remember a file of base weights; see `adding`. What it would tell stands in `BaseEntry.note`."""
    return _drain(adding(path, size))


def adding(path: str | Path, size: str | None = None) -> Iterator[Progress | Notice | Finished[BaseEntry]]:
    """Remember a file of base weights where it lies, after taking its checksum. Nothing is copied.

    Parameters
    ----------
    path : str or Path
        A file in the format of the official ones, with any checksum.
    size : str, optional
        Encoder that it is for; needed for none, told in lists. Default: what its checksum or name says.

    Yields
    ------
    Progress
        In bytes.
    Notice
        It has the name of an official file, but not its checksum.
    Finished
        The entry.

    Raises
    ------
    ModelError
        No such file, an empty one, a wrong ending, one that cannot be read, or no such size.
    PhaseguideError
        It cannot be remembered, since the data folder cannot be written.
    """
    if size is not None:
        find_shape(size)
    file = Path(path).expanduser().absolute()
    _check_file(file)
    sha256 = yield from checking(file)
    actual = size_of_checksum(sha256)
    if actual is not None and size not in (None, actual):
        raise ModelError(f"{file}: is the official file of {actual}, not of {size}. Leave the size out.")
    size = size or actual or _size_of_name(file.name) or ""
    note = _mismatch(file, sha256)
    if note:
        note += " It is kept, and found by its own checksum only."
        yield Notice(note)
    remember_added(file, Added(sha256, size))
    yield Finished(
        BaseEntry(size, file.name, sha256, actual is not None, file, file.stat().st_size, "", note)
    )


def forget_base(path: str | Path) -> Path:
    """Forget a file that was added; the file itself stays. Returns its path.

    Raises
    ------
    ModelError
        It was not added.
    PhaseguideError
        The index cannot be written.
    """
    file = Path(path).expanduser().absolute()
    if not forget_added(file):
        known = ", ".join(read_index().added) or "none"
        raise ModelError(f"{file}: is not among the base weights that you added. Added: {known}.")
    return file


def fetch_base(size: str, mirror: str | None = None) -> Iterator[Progress | Notice | Finished[Path]]:
    """Download the official weights of a size, unless they are on this computer already.

    It may be stopped between any two events and goes on later from where it was.

    Parameters
    ----------
    size : str
        "vit_b", "vit_l" or "vit_h".
    mirror : str, optional
        Address of a folder that offers the files by their official names, http or https. Default: the
        environment variable PHASEGUIDE_SAM_MIRROR, else the authors' own.

    Yields
    ------
    Progress
        In bytes.
    Notice
        The download starts anew or is tried again; a file had to be moved aside.
    Finished
        The path, its checksum verified.

    Raises
    ------
    ModelError
        No such size or address; no network; the server refuses, breaks off or sends something else; the disk
        is full or cannot be written. The message says how to go on and how to do without a network.
    """
    official = check_official_size(size)
    address = check_address(official, mirror)
    path, _ = yield from _search(official.sha256)
    if path is not None:
        yield Notice(f"{official.name} is on this computer already; nothing is downloaded.")
        yield Finished(path)
        return
    target = bases_folder() / official.name
    if target.is_file():
        sha256 = yield from checking(target)
        aside = target.with_name(f"{target.stem}.{sha256[:8]}{target.suffix}")
        if not aside.exists():
            move_new(target, aside)
            yield Notice(f"{target}: checksum mismatch; it is kept as {aside.name} and downloaded again.")
    yield from downloading(official, size, address, target)


def list_bases() -> list[BaseEntry]:
    """List the official sizes and whatever else there is; see `listing`."""
    return _drain(listing())


def listing() -> Iterator[Progress | Finished[list[BaseEntry]]]:
    """List base weights: the official sizes, there or not, then other files of the user's.

    Yields
    ------
    Progress
        In bytes, while a file is read whose checksum is not known yet.
    Finished
        The entries; no error is raised for one of them, its `BaseEntry.problem` tells.
    """
    entries = []
    parts = dict(stopped_downloads())
    for size, official in OFFICIAL.items():
        path, odd = yield from _search(official.sha256)
        note = ""
        if path is None and size in parts:
            done = f"{parts[size].stat().st_size / 1e6:.0f} of {official.megabytes} MB are downloaded"
            note = f"{done}; go on with: phaseguide models base get {size}"
        there = 0 if path is None else path.stat().st_size
        problem = " ".join(odd) if path is None else ""
        entries.append(BaseEntry(size, official.name, official.sha256, True, path, there, problem, note))
    added = read_index().added
    gone = [Path(path) for path in added if not Path(path).is_file()]
    for file in [*own_files(), *gone]:
        entry = yield from _describe(file, added.get(str(file)))
        if not (entry.official and not entry.problem):  # told above
            entries.append(entry)
    yield Finished(entries)


def _describe(file: Path, added: Added | None) -> Generator[Progress, None, BaseEntry]:
    """Entry of a file of the user's."""
    size, sha256, problem, there = "", "", "", 0
    if added is not None:
        size, sha256 = added.size, added.sha256
    try:
        now = yield from checking(file)
        there = file.stat().st_size
    except (ModelError, OSError):
        now, problem = (
            "",
            f"{file}: is gone or cannot be read. Bring it back, or: phaseguide models base forget {file}",
        )
    if now and sha256 and now != sha256:
        problem = (
            f"{file}: has changed since it was added; its checksum is now {now[:12]}... Models that name the old "
            "one do not find it. Bring the old file back, or add this one again."
        )
    sha256 = sha256 or now
    official = size_of_checksum(sha256) is not None
    size = size_of_checksum(sha256) or size or _size_of_name(file.name) or ""
    note = "" if problem else _mismatch(file, now)
    return BaseEntry(size, file.name, sha256, official, file if now else None, there, problem, note)


def _search(sha256: str) -> Generator[Progress, None, tuple[Path | None, list[str]]]:
    """Look for a checksum: the file or None, and sentences on files that could have been it."""
    size = size_of_checksum(sha256)
    files = own_files() if size is None else official_files(size)
    index = read_index()
    for file in files:  # what is known without reading
        with suppress(ModelError):
            if known_checksum(file, index) == sha256:
                return file, []
    odd = []
    for file in files:
        try:
            found = yield from checking(file)
        except ModelError as error:
            odd.append(str(error))
            continue
        if found == sha256:
            return file, []
        mismatch = _mismatch(file, found)
        if mismatch and size is not None and size == _size_of_name(file.name):
            odd.append(mismatch)
    for path, added in index.added.items():
        if added.sha256 == sha256:
            odd.append(f"{path} was added with this checksum, and has changed or gone since.")
    return None, odd


def _check_file(file: Path) -> None:
    """Make sure that a file can be base weights, before it is read."""
    if file.is_dir():
        raise ModelError(f"{file}: is a folder. Give the file of weights in it ({' or '.join(SUFFIXES)}).")
    if not file.is_file():
        raise ModelError(f"{file}: there is no such file.")
    if file.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"{file}: base weights end in {' or '.join(SUFFIXES)}, as the official "
            f"{', '.join(official.name for official in OFFICIAL.values())}. "
            "A model of Phase Guide (.safetensors) is added with: phaseguide models add FILE."
        )
    if file.stat().st_size == 0:
        raise ModelError(f"{file}: is empty. Perhaps its download was stopped; get it again.")


def _size_of_name(name: str) -> str | None:
    return next((size for size, official in OFFICIAL.items() if official.name == name), None)


def _mismatch(file: Path, sha256: str) -> str:
    """A sentence if a file has the name of an official one but not its checksum."""
    size = _size_of_name(file.name)
    if size is None or OFFICIAL[size].sha256 == sha256:
        return ""
    megabytes = file.stat().st_size / 1e6
    return (
        f"{file}: checksum mismatch: it has the name of the official weights of {size}, but the checksum "
        f"{sha256[:12]}... instead of {OFFICIAL[size].sha256[:12]}... ({megabytes:.0f} MB; the official file has "
        f"{OFFICIAL[size].megabytes}). It is another file, or damaged."
    )


def _drain(events: Iterator[Progress | Notice | Finished[T]]) -> T:
    """Run a generator of events to its end and return the result."""
    for event in events:
        if isinstance(event, Finished):
            return event.result
    raise AssertionError("the last event is Finished")


__all__ = [
    "BaseEntry",
    "add_base",
    "adding",
    "bases_folder",
    "fetch_base",
    "find_base",
    "find_official",
    "find_read_anew",
    "finding",
    "forget_base",
    "index_path",
    "list_bases",
    "listing",
]
