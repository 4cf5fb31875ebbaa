"""Where base weights may lie on this computer, and what to say when they do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from phaseguide.errors import ModelError
from phaseguide.models.sam.checksums import bases_folder, read_index
from phaseguide.models.sam.shapes import OFFICIAL, OfficialFile

WEIGHTS_VARIABLE = "PHASEGUIDE_SAM_WEIGHTS"
MIRROR_VARIABLE = "PHASEGUIDE_SAM_MIRROR"
SUFFIXES = (".pth", ".pt")
"""Endings of files in the format of the official ones."""


@dataclass(frozen=True)
class Place:
    """Somewhere to look.

    Attributes
    ----------
    title : str
        What it is, in words a user reads.
    path : Path
        A folder, or a file.
    """

    title: str
    path: Path


def own_places() -> list[Place]:
    """Places that are the user's or ours: every file of weights in them is looked at."""
    places = [Place("files that you added", Path(path)) for path in read_index().added]
    places.append(Place("folder of base weights", bases_folder()))
    told = told_path()
    if told is not None:
        places.append(Place(WEIGHTS_VARIABLE, told))
    return places


def told_path() -> Path | None:
    """File or folder that the environment variable names; None where it is not set."""
    told = os.environ.get(WEIGHTS_VARIABLE)
    return Path(told).expanduser().absolute() if told else None


def other_places() -> list[Place]:
    """Folders of other programs: looked at for official weights only, and never written to."""
    home = Path.home()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    micro_sam = Path(os.environ.get("MICROSAM_CACHEDIR") or platformdirs.user_cache_dir("micro_sam"))
    return [
        Place("torch hub", torch_home / "hub" / "checkpoints"),
        Place("micro-sam", micro_sam.expanduser() / "models"),
        Place("home folder", home / ".sam_models"),
    ]


def own_files() -> list[Path]:
    """Files of weights in the places of `own_places`, in order, each once."""
    found: dict[Path, None] = {}
    for place in own_places():
        if _is_file(place.path):
            found[place.path] = None
            continue
        try:
            inside = sorted(place.path.iterdir())
        except OSError:  # not there, or not to be read: the message of a search names the place
            continue
        found.update((path, None) for path in inside if path.suffix.lower() in SUFFIXES and _is_file(path))
    return list(found)


def official_files(size: str) -> list[Path]:
    """Files that may hold the official weights of a size, the likely ones first.

    Of the user's files those by the official name, then those about as large, whatever their name;
    then what other programs have by the names that they use.
    """
    official = OFFICIAL[size]
    own = own_files()
    named = [path for path in own if path.name == official.name]
    alike = [path for path in own if path.name != official.name and _about_as_large(path, official)]
    # micro-sam stores the file under the name of the size, without an ending.
    others = [place.path / name for place in other_places() for name in (official.name, size)]
    return [*named, *alike, *(path for path in others if _is_file(path))]


def size_of_checksum(sha256: str) -> str | None:
    """Size whose official file has a checksum; None where no official file has it."""
    return next((size for size, official in OFFICIAL.items() if official.sha256 == sha256), None)


def check_official_size(size: str) -> OfficialFile:
    """Return the official file of a size.

    Raises
    ------
    ModelError
        There is none.
    """
    if size not in OFFICIAL:
        raise ModelError(f"There are no official weights {size!r}. Choose one of {', '.join(OFFICIAL)}.")
    return OFFICIAL[size]


def by_hand(official: OfficialFile) -> str:
    """Say how to bring a file without a network."""
    return (
        f"Offline: get {official.url} on another computer, put it into {bases_folder()} under the name "
        f"{official.name}, or set {WEIGHTS_VARIABLE} to the file or its folder."
    )


def missing(sha256: str, odd: list[str]) -> ModelError:
    """Say that a base was not found, where it was looked for, and every way out.

    Parameters
    ----------
    sha256 : str
    odd : list of str
        What was found that could have been it, in sentences.
    """
    size = size_of_checksum(sha256)
    places = own_places() + (other_places() if size is not None else [])
    looked = "; ".join(_seen(place) for place in places)
    found = "".join(f" {sentence}" for sentence in odd)
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


def _seen(place: Place) -> str:
    there = "" if place.path.exists() else ", not there"
    return f"{place.title} ({place.path}{there})"


def _about_as_large(path: Path, official: OfficialFile) -> bool:
    """Whether it is worth reading a file of another name: the size is known to the megabyte."""
    return abs(path.stat().st_size / 1e6 - official.megabytes) <= 1


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def stopped_downloads() -> Iterator[tuple[str, Path]]:
    """Sizes of which a part was downloaded, and the file of that part."""
    for size, official in OFFICIAL.items():
        part = part_path(bases_folder() / official.name)
        if _is_file(part):
            yield size, part


def part_path(target: Path) -> Path:
    """File of a download that is not complete."""
    return target.with_name(f"{target.name}.part")
