"""Reading and writing ``project.json``, and the recycle folder that nothing is deleted without."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import ValidationError

from phaseguide.atomic import write_text
from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.projects.schema import SCHEMA_VERSION, ProjectFile

FILE = "project.json"
RECYCLE = "recycle"


def read_file(folder: Path) -> ProjectFile:
    """Read ``project.json``.

    Raises
    ------
    ProjectError
        No project there, damaged, or of a newer version.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(
            f"{folder}: holds no project ({FILE} is missing). Create one there, or choose another."
        ) from error
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise ProjectError(
            f"{path}: is damaged ({error}). Bring it back from a copy; the label maps beside it are safe."
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ProjectError(
            f"{path}: was written by a newer Phase Guide (schema {version}, this one knows {SCHEMA_VERSION}). Update."
        )
    try:
        return ProjectFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ProjectError(
            f"{path}: is no project file ({place}: {first['msg']}). Bring it back from a copy."
        ) from error


def write_file(folder: Path, file: ProjectFile) -> None:
    """Write ``project.json``; the one before survives until this one is complete.

    Raises
    ------
    ProjectError
        It cannot be written.
    """
    try:
        write_text(folder / FILE, json.dumps(file.model_dump(), indent=2, ensure_ascii=False) + "\n")
    except PhaseguideError as error:
        raise ProjectError(str(error)) from error


def recycle(folder: Path, path: Path) -> Path | None:
    """Move a file of a project into its recycle folder under a free name; None if there is none to move.

    Raises
    ------
    ProjectError
        It cannot be moved.
    """
    if not path.exists():
        return None
    try:
        bin_ = folder / RECYCLE
        bin_.mkdir(exist_ok=True)
        target, number = bin_ / path.name, 1
        while target.exists():
            number += 1
            target = bin_ / f"{path.stem}-{number}{path.suffix}"
        os.replace(path, target)
    except OSError as error:
        raise ProjectError(f"{path}: cannot be moved to {RECYCLE} ({error.strerror or error}).") from error
    return target
