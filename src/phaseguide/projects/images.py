"""Images of fields: they stay where they are, and are known by their checksums."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from phaseguide.errors import ProjectError
from phaseguide.files.foreign import resolved
from phaseguide.micrographs.reading import Micrograph, read_micrograph
from phaseguide.micrographs.records import sha256_of_file
from phaseguide.micrographs.validation import check_image
from phaseguide.projects.places import own_file
from phaseguide.projects.schema import FieldEntry, ImageRef, ProjectFile


def refer(folder: Path, path: str | Path, detector: str, known: ProjectFile) -> tuple[ImageRef, Micrograph]:
    """Read an image that is new to a project, and return how the project refers to it.

    `ProjectError` if it is in the project already, or is a stack.
    """
    path = resolved(path)
    told = _told(folder, path)
    micrograph = read_micrograph(path)
    if micrograph.is_stack:
        raise ProjectError(
            f"{path}: is a stack of {len(micrograph.data)} planes, but a field of a project is one plane. Save the "
            "planes as single images and add those."
        )
    check_image(micrograph.data, str(path), micrograph.excluding(None))
    reference = ImageRef(path=told, sha256=micrograph.sha256, detector=detector)
    for entry in known.fields:
        if any(image.sha256 == reference.sha256 for image in entry.images):
            raise ProjectError(f"{path}: is in the project already, as field {entry.id!r}.")
    return reference, micrograph


def read_checked(folder: Path, entry: FieldEntry) -> Micrograph:
    """Read the first image of a field; `ProjectError` if the file is gone, or is not what it was when it was added.

    A size of a pixel that the user told takes the place of that of the file.
    """
    reference = entry.images[0]
    path = Path(reference.path) if reference.is_elsewhere else own_file(folder, reference.path)
    if not path.is_file():
        raise ProjectError(
            f"{path}: the image of field {entry.id!r} is not there any more. Put it back, or tell where it is now "
            "(phaseguide project relink). Edits and results are safe."
        )
    if sha256_of_file(path) != reference.sha256:
        raise ProjectError(
            f"{path}: is not the image that field {entry.id!r} was made of (its checksum differs). Put the old "
            "image back, or add this one as a new field. Edits and results of the old one are safe."
        )
    micrograph = read_micrograph(path)
    if not entry.scale_source:
        return micrograph
    return replace(micrograph, pixel_size_um=entry.pixel_size_um, scale_source=entry.scale_source)


def relinked(folder: Path, entry: FieldEntry, path: str | Path) -> FieldEntry:
    """Return a field with the new place of one of its images, which its checksum tells; else `ProjectError`."""
    path = resolved(path)
    checksum = sha256_of_file(path)
    if checksum not in {image.sha256 for image in entry.images}:
        raise ProjectError(
            f"{path}: is no image of field {entry.id!r} (its checksum differs). Choose the file that was moved, or "
            "add this one as a new field."
        )
    told = _told(folder, path)
    images = [i.model_copy(update={"path": told}) if i.sha256 == checksum else i for i in entry.images]
    return entry.model_copy(update={"images": images})


def free_id(stem: str, taken: Iterable[str]) -> str:
    """Turn the name of a file into an id that is a safe file name everywhere and not taken yet."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:80] or "field"
    known = {name.casefold() for name in taken}  # many disks take A and a for the same
    number, free = 1, base
    while free.casefold() in known:
        number += 1
        free = f"{base}-{number}"
    return free


def _told(folder: Path, path: Path) -> str:
    """Return how a project refers to a file; `ProjectError` for a name that no text file can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ProjectError(
            f"{str(path)!a}: the name of the file, or of a folder above it, is not UTF-8. Rename it, then try again."
        ) from error
    if not path.is_relative_to(folder):
        return str(path)
    told = path.relative_to(folder).as_posix()
    try:
        own_file(folder, told)
    except ProjectError:  # a name that another system could not have
        return str(path)
    return told
