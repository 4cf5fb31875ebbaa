"""Adds what a person drops on a project: image files, and folders that are searched for micrographs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.image_files import results_among
from phaseguide.micrographs.reading import IMAGE_SUFFIXES
from phaseguide.projects.places import FILE

if TYPE_CHECKING:
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

_NAMED = 3
"""Suffixes and reasons that are told one by one."""


@dataclass
class FoundImages:
    """Image files, and what was left out.

    Attributes
    ----------
    images : list of Path
    results : int
        Files that an earlier run of the program wrote, records among them.
    others : Counter of str
        Files that are no images, by their suffix.
    projects : list of Path
        Folders of projects, which nothing is taken from.
    """

    images: list[Path] = field(default_factory=list)
    results: int = 0
    others: Counter[str] = field(default_factory=Counter)
    projects: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class AddedImages:
    """The new fields, and in a sentence what was added and what was left out."""

    entries: list[FieldEntry]
    told: str


def search_images(paths: Sequence[Path]) -> FoundImages:
    """Look through files and folders for micrographs.

    Folders are searched with all folders in them. Where one holds ``images/``, only that is searched, since what lies
    beside it are labels. Hidden files and folders of projects are passed over.

    Parameters
    ----------
    paths : sequence of Path

    Returns
    -------
    FoundImages
        Each file once, in the order of the paths, those of a folder by name.
    """
    found = FoundImages()
    for path in paths:
        if path.is_dir():
            _search_folder(path, found)
        else:
            _sort_files([path], found)
    found.images = list(dict.fromkeys(found.images))
    return found


def add_images(project: Project, paths: Sequence[Path]) -> AddedImages:
    """Add the micrographs among files and folders as fields; one that cannot be added keeps no other back.

    Parameters
    ----------
    project : Project
    paths : sequence of Path
        As for `search_images`.
    """
    found, entries, refused = search_images(paths), [], []
    for path in found.images:
        try:
            entries.append(project.add_field(path))
        except PhaseguideError as error:
            refused.append(str(error))
    return AddedImages(entries, _told(len(entries), found, refused))


def _search_folder(folder: Path, found: FoundImages) -> None:
    for place, inner, names in os.walk(folder):
        here = Path(place)
        if FILE in names:
            found.projects.append(here)
            inner.clear()
            continue
        if "images" in inner:
            inner[:], names = ["images"], []
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        _sort_files([here / name for name in sorted(names) if not name.startswith(".")], found)


def _sort_files(files: Sequence[Path], found: FoundImages) -> None:
    results = results_among(files)
    found.results += len(results)
    for path in files:
        if path.suffix.lower() in IMAGE_SUFFIXES and path not in results:
            found.images.append(path)
        elif path not in results:
            found.others[path.suffix.lower() or "no suffix"] += 1


def _told(added: int, found: FoundImages, refused: list[str]) -> str:
    first = f"Added {_count(added, 'micrograph', 'micrographs')}." if added else "No micrograph was added."
    parts = []
    if found.results:
        parts.append(_count(found.results, "file of an earlier result", "files of earlier results"))
    if found.others:
        kinds = [suffix for suffix, _ in found.others.most_common(_NAMED)]
        more = ", …" if len(found.others) > _NAMED else ""
        number = sum(found.others.values())
        parts.append(f"{_count(number, 'other file', 'other files')} ({', '.join(kinds)}{more})")
    if found.projects:
        names = ", ".join(folder.name for folder in found.projects[:_NAMED])
        parts.append(f"{_count(len(found.projects), 'project', 'projects')} ({names})")
    if parts:
        first += f" Left out: {', '.join(parts)}."
    if refused:
        more = f" And {len(refused) - 1} more." if len(refused) > 1 else ""
        first += f" {_count(len(refused), 'image', 'images')} could not be added: {refused[0]}{more}"
    return first


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
