"""Where the files of a project may lie. A folder that somebody sent is data: nothing in it acts outside of it.

Every path that ``project.json``, the list of a change or the recycle folder tells goes through here, before
anything is read or moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from phaseguide.errors import ProjectError
from phaseguide.files import UnsafePathError, is_safe_name, path_inside
from phaseguide.models.zoo import SUFFIX
from phaseguide.projects.schema import ProjectFile

FILE = "project.json"
STAGING = ".staging"
COMMIT = f"{STAGING}/commit.json"
RECYCLE = "recycle"
LOCK = ".lock"
_FOLDERS = (STAGING, RECYCLE, "edits", "truth", "results", "models", "training")
_TARGETS = {FILE, "edits", "truth", "results", "models", RECYCLE}


def check_folder(folder: Path) -> None:
    """Make sure that the parts of a project's folder are what they should be, and lie in it.

    Raises
    ------
    ProjectError
        One is a link that leads out, or a pipe, a device, a file in place of a folder.
    """
    for name in _FOLDERS:
        path = folder / name
        if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
            raise ProjectError(
                f"{path}: is a link or no folder, so files of this project would lie elsewhere. Put a folder in "
                "its place, then open the project again. Nothing was touched."
            )
    for name in (FILE, LOCK, "log.jsonl", COMMIT, "training/.lock"):
        if os.path.lexists(folder / name):
            own_file(folder, name)


def own_file(folder: Path, told: Any, *tops: str) -> Path:
    """Return a file of a project by the path that a file tells.

    Parameters
    ----------
    folder : Path
    told : Any
        Relative to the folder.
    *tops : str
        Parts of the project where it may lie; none for anywhere in the folder.

    Raises
    ------
    ProjectError
        It leads out of the folder, lies elsewhere in it, or is no plain file.
    """
    try:
        path = path_inside(folder, told)
    except UnsafePathError as error:
        raise ProjectError(str(error)) from error
    if tops and told.split("/", 1)[0] not in tops:
        raise ProjectError(
            f"{folder}: a file in it names the path {told!r}, which should be in {' or '.join(tops)}. Nothing was "
            "touched; get a sound copy."
        )
    return path


def check_told(folder: Path, file: ProjectFile) -> None:
    """Make sure that the ids and paths of a ``project.json`` are safe to use.

    Raises
    ------
    ProjectError
        An id that is no plain name, an id or a file that is there twice, a path that leads elsewhere.
    """
    _check_ids(folder, "field", [entry.id for entry in file.fields])
    _check_ids(folder, "version", [entry.id for entry in file.versions])
    owned: list[str] = []
    for entry in file.fields:
        for image in entry.images:
            if not Path(image.path).is_absolute():  # an absolute one is only ever read, and only as an image
                own_file(folder, image.path)
        result = (entry.result.labels, entry.result.record) if entry.result is not None else ()
        for told, top in (
            (entry.edits, "edits"),
            (entry.truth, "truth"),
            *((path, "results") for path in result),
        ):
            if told is not None:
                own_file(folder, told, top)
                owned.append(told)
    for version in file.versions:
        own_file(folder, version.file, RECYCLE if version.deleted else "models")
        if not version.file.endswith(SUFFIX):
            raise ProjectError(
                f"{folder}: version {version.id!r} names {version.file!r}, which is no model file."
            )
        owned.append(version.file)
    double = _first_double(owned)
    if double is not None:
        raise ProjectError(f"{folder}: {FILE} names the file {double!r} twice. Bring it back from a copy.")


def check_moves(folder: Path, moves: Any) -> Mapping[str, str]:
    """Return the list of a change: what is moved where within a project.

    Raises
    ------
    ProjectError
        It is no such list, or something in it is not moved by any change of a project.
    """
    if not isinstance(moves, dict):
        raise ProjectError(f"{folder / COMMIT}: is not the list of a change. Nothing was touched.")
    for source, target in moves.items():
        own_file(folder, source, STAGING, "models", RECYCLE)
        own_file(folder, target, *_TARGETS)
        top = target.split("/", 1)[0]
        staged = source.startswith(f"{STAGING}/")
        if (not staged and top not in ("models", RECYCLE)) or (top == FILE and target != FILE):
            raise ProjectError(
                f"{folder / COMMIT}: wants to move {source!r} to {target!r}, which no change of a project does. "
                "Nothing was touched; get a sound copy."
            )
    return moves


def _check_ids(folder: Path, what: str, ids: Iterable[str]) -> None:
    ids = list(ids)
    for told in ids:
        if not is_safe_name(told):
            raise ProjectError(
                f"{folder}: {FILE} has a {what} with the id {told[:80]!r}, which is no plain name (letters, digits, "
                "_, - and . are). Nothing was touched; get a sound copy."
            )
    double = _first_double(ids)
    if double is not None:
        raise ProjectError(f"{folder}: {FILE} has the {what} {double!r} twice. Bring it back from a copy.")


def _first_double(texts: Iterable[str]) -> str | None:
    """The first text that came before, letter case aside, since many disks take A and a for the same."""
    seen: set[str] = set()
    for text in texts:
        if text.casefold() in seen:
            return text
        seen.add(text.casefold())
    return None
