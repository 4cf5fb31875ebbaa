"""Versions of the model: each is a file of its own with its parent, data and settings; none is written over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.errors import ProjectError
from phaseguide.files import resolved
from phaseguide.micrographs.records import sha256_of_file
from phaseguide.models.zoo import find_model, list_models
from phaseguide.projects.change import Change, find_entry
from phaseguide.projects.journal import now
from phaseguide.projects.places import RECYCLE, own_file
from phaseguide.projects.schema import ProjectFile, VersionEntry, version_file

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter


def add(change: Change, segmenter: GuidedSegmenter, card: Card, **origin: Any) -> VersionEntry:
    """Save a model as the next version; ``origin`` are the other entries of `VersionEntry`."""
    from phaseguide.models.model_file import save_model

    number = len(change.file.versions) + 1
    taken = {entry.id for entry in change.file.versions}
    # A file that nobody knows of was put there by somebody.
    while _id(number) in taken or (change.folder / version_file(_id(number))).exists():
        number += 1
    name, target = _id(number), version_file(_id(number))
    staged = change.stage(target)
    save_model(staged, segmenter, card.model_copy(update={"version": name}))
    entry = VersionEntry(id=name, file=target, sha256=sha256_of_file(staged), created=now(), **origin)
    change.update(versions=[*change.file.versions, entry])
    return entry


def delete(change: Change, version_id: str) -> VersionEntry:
    """Move the file of a version to the recycle folder; its entry stays."""
    entry = _find(change.file, version_id)
    if version_id == change.file.current:
        raise ProjectError(f"Version {version_id} is in use. Put another model to use first.")
    path(change.folder, change.file, version_id)
    recycled = change.recycled(entry.file)
    change.move(entry.file, recycled)
    return _put(change, entry.model_copy(update={"file": recycled, "deleted": True}))


def restore(change: Change, version_id: str) -> VersionEntry:
    """Bring a deleted version back."""
    entry = _find(change.file, version_id)
    target = version_file(version_id)
    if not entry.deleted:
        raise ProjectError(f"Version {version_id} was not deleted.")
    if not (change.folder / entry.file).is_file() or (change.folder / target).exists():
        raise ProjectError(
            f"{change.folder / target}: version {version_id} cannot be brought back. Its file must be in "
            f"{change.folder / entry.file}, and no other in its place."
        )
    change.move(entry.file, target)
    return _put(change, entry.model_copy(update={"file": target, "deleted": False}))


def path(folder: Path, file: ProjectFile, version_id: str) -> Path:
    """Return the file of a version; `ProjectError` if there is none, it was deleted, or its file is gone."""
    entry = _find(file, version_id)
    if entry.deleted:
        raise ProjectError(f"Version {version_id} was deleted to {RECYCLE}. Restore it first.")
    found = own_file(folder, entry.file)
    if not found.is_file():
        raise ProjectError(
            f"{found}: the model of version {version_id} is not there. Bring it back from a copy."
        )
    return found


def model_path(folder: Path, file: ProjectFile, model: str) -> Path:
    """Return the file of a model by version, zoo name or path; `ProjectError` or `ModelError` if there is none."""
    if any(entry.id == model for entry in file.versions):
        return path(folder, file, model)
    return find_model(model)


def name_of(folder: Path, file: ProjectFile, model: str | Path) -> str:
    """Return the one name that a project has for a model: version, else zoo name, else absolute path."""
    found = resolved(model_path(folder, file, str(model)))
    for entry in file.versions:
        if resolved(folder / entry.file) == found:
            return entry.id
    return next((entry.name for entry in list_models() if resolved(entry.path) == found), str(found))


def checked_name(folder: Path, file: ProjectFile, model: str | Path) -> str:
    """Return what `name_of` does, for a file that is a model; raises `ModelError` too if it is none."""
    from phaseguide.models.model_file import read_card

    read_card(model_path(folder, file, str(model)))
    return name_of(folder, file, model)


def _find(file: ProjectFile, version_id: str) -> VersionEntry:
    return find_entry(file.versions, version_id, "version", file.name)


def _put(change: Change, entry: VersionEntry) -> VersionEntry:
    change.update(versions=[entry if old.id == entry.id else old for old in change.file.versions])
    return entry


def _id(number: int) -> str:
    return f"v{number:03d}"
