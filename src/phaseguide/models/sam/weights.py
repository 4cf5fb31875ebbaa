"""Base weights of Segment Anything: find them on this computer, add a file, download the official ones."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress, run_to_end
from phaseguide.files.new_file import move_new
from phaseguide.files.stamps import Stamp, stamping
from phaseguide.models.sam.checksums import (
    Added,
    bases_folder,
    checking,
    forget_added,
    known_checksum,
    read_index,
    remember_added,
    remember_checksum,
)
from phaseguide.models.sam.download import (
    WEIGHTS_VARIABLE,
    by_hand,
    check_address,
    downloading,
    stopped_downloads,
)
from phaseguide.models.sam.shapes import OFFICIAL, find_shape, official_file, size_of_checksum

if TYPE_CHECKING:
    from phaseguide.models.card import Card

SUFFIXES = (".pth", ".pt")
"""Endings of files in the format of the official ones."""

Places = list[tuple[str, Path]]
"""Where to look: what it is, in words, and a folder or a file."""


@dataclass(frozen=True)
class BaseEntry:
    """A file of base weights: its checksum is the one that models name it by, for an added file as it was then.

    ``path`` is None, and ``bytes`` 0, if it is not on this computer. ``problem`` says why it cannot be used, ``note``
    what else should be known, each in a sentence; both are empty for what was just never fetched.
    """

    size: str
    name: str
    sha256: str
    path: Path | None
    bytes: int = 0
    problem: str = ""
    note: str = ""

    @property
    def official(self) -> bool:
        """Whether it is, or was when it was added, an official file."""
        return size_of_checksum(self.sha256) is not None


def base_title(sha256: str, encoder: str) -> str:
    """Name base weights as people do: ``SAM ViT-B weights``; those that are not official with their checksum."""
    size = size_of_checksum(sha256)
    name = (size or encoder).removeprefix("vit_")
    title = f"SAM ViT-{name.upper() if len(name) == 1 else name} weights"
    return title if size is not None else f"{title} (checksum {sha256[:12]}...)"


def missing_base(card: Card) -> str:
    """Return what a model lacks, such as ``needs SAM ViT-B weights``; empty if it seems to have all.

    Told in a moment: no file of weights is read for it.
    """
    sha256 = card.base_sha256
    if not sha256 or probably_present(sha256):
        return ""
    return f"needs {base_title(sha256, card.backbone.encoder)}"


def probably_present(sha256: str) -> bool:
    """Whether a file with a checksum is known, or there is one that could be it and was never read."""
    index = read_index()
    for file in _candidates(sha256):
        with suppress(ModelError):
            if known_checksum(file, index) in (sha256, None):
                return True
    return False


def find_base(sha256: str) -> Path:
    """Return the file with a checksum; see `finding`."""
    path: Path = run_to_end(finding(sha256))
    return path


def find_read_anew(sha256: str) -> Path:
    """Return the file with a checksum, which is taken now, whatever is remembered: for who is about to use it."""
    while True:
        path = find_base(sha256)
        stamp: Stamp = run_to_end(_stamped(path))
        if stamp.sha256 == sha256:
            return path
        remember_checksum(path, stamp)  # so that it is not found again


def _stamped(path: Path) -> Iterator[Progress | Finished[Stamp]]:
    stamp = yield from stamping(path)
    yield Finished(stamp)


def find_official(size: str) -> Path:
    """Return the official file of a size; see `finding`."""
    return find_base(official_file(size).sha256)


def finding(sha256: str) -> Iterator[Progress | Finished[Path]]:
    """Look for the file with a checksum (64 hex digits) in all known places; it is read once, as long as it stays.

    Raises
    ------
    ModelError
        Not a checksum, or not found: says where it was looked for, and every way out.
    """
    wanted = sha256.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise ModelError(f"{sha256!r} is no SHA-256 checksum of base weights; that has 64 hex digits.")
    path, rejected = yield from _search(wanted)
    if path is None:
        raise _missing(wanted, rejected)
    yield Finished(path)


def fetch_base(size: str, mirror: str | None = None) -> Iterator[Progress | Notice | Finished[Path]]:
    """Download the official weights of a size ("vit_b"), unless they are on this computer already.

    It may be stopped between any two events and goes on later from where it was. ``mirror`` is the address of a folder
    that offers the files by their official names; default: the variable PHASEGUIDE_SAM_MIRROR, else the authors' own.

    Raises
    ------
    ModelError
        No such size or address; no network; the server refuses, breaks off or sends something else; the disk
        is full or cannot be written. The message says how to go on and how to do without a network.
    """
    official = official_file(size)
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


def _search(sha256: str) -> Generator[Progress, None, tuple[Path | None, list[str]]]:
    """Look for a checksum: the file or None, and sentences on files that could have been it."""
    size = size_of_checksum(sha256)
    files, index = _candidates(sha256), read_index()
    for file in files:  # what is known without reading
        with suppress(ModelError):
            if known_checksum(file, index) == sha256:
                return file, []
    rejected = []
    for file in files:
        try:
            found = yield from checking(file)
        except ModelError as error:
            rejected.append(str(error))
            continue
        if found == sha256:
            return file, []
        mismatch = _mismatch(file, found)
        if mismatch and size is not None and size == _size_of_name(file.name):
            rejected.append(mismatch)
    for path, added in index.added.items():
        if added.sha256 == sha256:
            rejected.append(f"{path} was added with this checksum, and has changed or gone since.")
    return None, rejected


def _missing(sha256: str, rejected: list[str]) -> ModelError:
    """Say that a base was not found, where it was looked for, and every way out."""
    size = size_of_checksum(sha256)
    places = _own_places() + (_other_places() if size is not None else [])
    looked = "; ".join(f"{title} ({path}{'' if path.exists() else ', not there'})" for title, path in places)
    found = "".join(f" {sentence}" for sentence in rejected)
    if size is None:
        return ModelError(
            f"The base weights with the checksum {sha256} were not found; they are none of the official ones. Looked "
            f"in: {looked}.{found} Ask whoever made the model for the file, then: phaseguide models base add FILE. "
            f"Or put it into {bases_folder()}, or set {WEIGHTS_VARIABLE} to the file or its folder."
        )
    official = OFFICIAL[size]
    return ModelError(
        f"The base weights {official.name} ({size}, checksum {sha256[:12]}...) were not found. Looked in: {looked}."
        f"{found} Download them ({official.megabytes} MB): phaseguide models base get {size}. If you have the file: "
        f"phaseguide models base add FILE. {by_hand(official)}"
    )


def _own_places() -> Places:
    """Places that are the user's or ours: every file of weights in them is looked at."""
    places = [("files that you added", Path(path)) for path in read_index().added]
    places.append(("folder of base weights", bases_folder()))
    if told := os.environ.get(WEIGHTS_VARIABLE):
        places.append((WEIGHTS_VARIABLE, Path(told).expanduser().absolute()))
    return places


def _other_places() -> Places:
    """Folders of other programs: looked at for official weights only, and never written to."""
    home = Path.home()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    micro_sam = Path(os.environ.get("MICROSAM_CACHEDIR") or platformdirs.user_cache_dir("micro_sam"))
    return [
        ("torch hub", torch_home / "hub" / "checkpoints"),
        ("micro-sam", micro_sam.expanduser() / "models"),
        ("home folder", home / ".sam_models"),
    ]


def _own_files() -> list[Path]:
    """Files of weights in `_own_places`, in order, each once."""
    found: dict[Path, None] = {}
    for _, path in _own_places():
        if os.path.isfile(path):
            found[path] = None
            continue
        with suppress(OSError):  # not there, or not to be read: the message of a search names the place
            inside = sorted(path.iterdir())
            found.update((p, None) for p in inside if p.suffix.lower() in SUFFIXES and os.path.isfile(p))
    return list(found)


def _candidates(sha256: str) -> list[Path]:
    """Files that may have a checksum, the likely ones first.

    For an official one: of the user's files those by its name, then those about as large, whatever their name;
    then what other programs have by the names that they use.
    """
    own, size = _own_files(), size_of_checksum(sha256)
    if size is None:
        return own
    official = OFFICIAL[size]
    named = [path for path in own if path.name == official.name]
    # The size is known to the megabyte, which tells whether it is worth reading a file of another name.
    alike = [p for p in own if p not in named and abs(p.stat().st_size / 1e6 - official.megabytes) <= 1]
    # micro-sam stores the file under the name of the size, without an ending.
    others = [folder / name for _, folder in _other_places() for name in (official.name, size)]
    return [*named, *alike, *filter(os.path.isfile, others)]


def adding(path: str | Path, size: str | None = None) -> Iterator[Progress | Notice | Finished[BaseEntry]]:
    """Remember a file of base weights where it lies, after taking its checksum, which may be any. Nothing is copied.

    ``size`` is the encoder that it is for, to be told in lists; default: what its checksum or name says. A notice, and
    `BaseEntry.note`, tells of a file with the name of an official one, but not its checksum.

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
    yield Finished(BaseEntry(size, file.name, sha256, file, file.stat().st_size, "", note))


def add_base(path: str | Path, size: str | None = None) -> BaseEntry:
    """Remember a file of base weights; see `adding`."""
    entry: BaseEntry = run_to_end(adding(path, size))
    return entry


def forget_base(path: str | Path) -> Path:
    """Forget a file that was added, or raise `ModelError`; the file itself stays. Returns its path."""
    file = Path(path).expanduser().absolute()
    if not forget_added(file):
        known = ", ".join(read_index().added) or "none"
        raise ModelError(f"{file}: is not among the base weights that you added. Added: {known}.")
    return file


def listing() -> Iterator[Progress | Finished[list[BaseEntry]]]:
    """List base weights: the official sizes, there or not, then other files of the user's.

    No error is raised for one of them: its `BaseEntry.problem` tells.
    """
    entries = []
    parts = stopped_downloads()
    for size, official in OFFICIAL.items():
        path, rejected = yield from _search(official.sha256)
        note = ""
        if path is None and size in parts:
            done = f"{parts[size].stat().st_size / 1e6:.0f} of {official.megabytes} MB are downloaded"
            note = f"{done}; go on with: phaseguide models base get {size}"
        there = 0 if path is None else path.stat().st_size
        problem = " ".join(rejected) if path is None else ""
        entries.append(BaseEntry(size, official.name, official.sha256, path, there, problem, note))
    added = read_index().added
    gone = [Path(path) for path in added if not Path(path).is_file()]
    for file in [*_own_files(), *gone]:
        entry = yield from _describe(file, added.get(str(file)))
        if not (entry.official and not entry.problem):  # told above
            entries.append(entry)
    yield Finished(entries)


def _describe(file: Path, added: Added | None) -> Generator[Progress, None, BaseEntry]:
    """Entry of a file of the user's."""
    problem, there = "", 0
    try:
        now = yield from checking(file)
        there = file.stat().st_size
    except (ModelError, OSError):
        now = ""
        problem = (
            f"{file}: is gone or cannot be read. Bring it back, or: phaseguide models base forget {file}"
        )
    sha256 = now if added is None else added.sha256
    if now and now != sha256:
        problem = (
            f"{file}: has changed since it was added; its checksum is now {now[:12]}... Models that name the old "
            "one do not find it. Bring the old file back, or add this one again."
        )
    size = size_of_checksum(sha256) or (added and added.size) or _size_of_name(file.name) or ""
    note = "" if problem else _mismatch(file, now)
    return BaseEntry(size, file.name, sha256, file if now else None, there, problem, note)


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
