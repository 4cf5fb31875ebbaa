"""What lies where in a project's folder, and that a folder from somebody else keeps to it.

``project.json``, ``log.jsonl``, ``edits/``, ``truth/`` and ``results/`` (label maps), ``models/`` (versions),
``training/`` (checkpoints) and ``recycle/`` (what was deleted or replaced).

A folder that somebody sends is data: nothing that it says or holds makes the program write, move or read a file
outside of it, images excepted, which are only ever read and are known by their checksums.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from phaseguide.errors import ProjectError
from phaseguide.files import UnsafePathError, is_safe_name, path_inside

FILE = "project.json"
LOG = "log.jsonl"
LOCK = ".lock"
STAGING = ".staging"
RECYCLE = "recycle"
TRAINING = "training"
PHASES_STEP = "phases.json"
MODELS = "models"

_WRITTEN = ("edits", "truth", "results", MODELS)
_OWN = {FILE, LOG, LOCK, STAGING, RECYCLE, TRAINING, *_WRITTEN}
_NEVER_LINKS = {LOG, LOCK}  # what is written in place, where a link would be followed


def check_folder(folder: Path) -> None:
    """Refuse (`ProjectError`) a project's folder that holds what the program must not follow or open: links that lead
    out, pipes, sockets, devices. Nothing is touched.
    """
    try:
        todo = [entry for entry in _entries(folder) if entry.name.casefold() in _OWN]
        while todo:
            entry = todo.pop()
            told = Path(entry.path).relative_to(folder).as_posix()
            if entry.is_symlink():
                if told in _NEVER_LINKS or entry.is_dir():
                    raise _refusal(
                        entry.path,
                        "is a link, so what is written there could lie elsewhere. Put what it means in its place",
                    )
                own_file(folder, told)
            elif entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another program swept its staging folder just now
                    todo.extend(_entries(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                raise _refusal(entry.path, "is not a plain file but a pipe, a socket or a device. Remove it")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_project(folder) from error
    except OSError as error:
        raise _refusal(
            str(error.filename or folder), f"cannot be looked at ({error.strerror or error})"
        ) from error


def own_file(folder: Path, told: str) -> Path:
    """Return the file of a project by its path in the folder; `ProjectError` if it leads elsewhere."""
    try:
        return path_inside(folder, told)
    except UnsafePathError as error:
        raise ProjectError(str(error)) from error


def made_folder(folder: Path, name: str) -> Path:
    """Return one of the project's folders, made if it is missing; `ProjectError` if it cannot be."""
    path = folder / name
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ProjectError(f"{path}: cannot be made ({reason}). Check that you may write there.") from error
    return path


def check_move(folder: Path, source: str, target: str) -> None:
    """Refuse a move that no change of a project makes.

    Files come out of the staging folder; models go into the recycle folder and back. `ProjectError` for any other
    move, or one that links lead out of the folder.
    """
    staged = source == f"{STAGING}/{target}"
    recycled, kept = sorted((source, target), key=lambda told: told.startswith(f"{MODELS}/"))
    model = kept.startswith(f"{MODELS}/") and is_recycled(recycled, kept)
    if not _is_place(target) or not (staged or model):
        raise _refusal(
            str(folder), f"something in it would move {source[:120]!r} to {target[:120]!r}. Get a sound copy"
        )
    own_file(folder, source)
    own_file(folder, target)


def is_recycled(told: str, kept: str) -> bool:
    """Whether a path is one that a file of the project has after it was recycled."""
    return told.startswith(f"{RECYCLE}/") and told.endswith(f"/{kept}") and _is_place(told)


def no_project(folder: Path) -> ProjectError:
    """Return the sentence for a folder without a project."""
    return ProjectError(
        f"{folder}: holds no project ({FILE} is missing). Create one there, or choose another folder."
    )


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return list(found)


def _is_place(told: str) -> bool:
    """Whether a change may put a file there."""
    if told == FILE:
        return True
    parts = told.split("/")
    if parts[0] == RECYCLE and len(parts) > 2 and is_safe_name(parts[1]):
        parts = parts[2:]
        if parts == [PHASES_STEP]:
            return True
    return len(parts) == 2 and parts[0] in _WRITTEN and is_safe_name(parts[1])


def _refusal(path: str, what: str) -> ProjectError:
    return ProjectError(f"{path}: {what}. Nothing was touched.")
