"""Reading ``project.json``, and writing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phaseguide.errors import ProjectError, RatioError, SchemeError
from phaseguide.json_files import read_json
from phaseguide.micrographs.records import write_record
from phaseguide.phases import PhaseScheme
from phaseguide.projects.places import FILE, no_project, own_file
from phaseguide.projects.schema import SCHEMA_VERSION, ProjectFile


def read_file(folder: Path) -> ProjectFile:
    """Read ``project.json``; what it holds is checked, so that no path or name in it leads out of the folder.

    `ProjectError` if it is none, damaged, unsafe, or newer.
    """
    path = folder / FILE
    try:
        data = read_json(own_file(folder, FILE))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_project(folder) from error
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ProjectError(
            f"{path}: was written by a newer Phase Guide (schema {version}; this one reads up to "
            f"{SCHEMA_VERSION}). Update napari-phaseguide."
        )
    try:
        return _checked(folder, data)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def write_file(folder: Path, path: Path, file: ProjectFile) -> None:
    """Write a project file that can be read again; guarantees and errors as in `phaseguide.atomic.replacing`."""
    data = file.model_dump()
    try:
        _checked(folder, data)
    except ValueError as error:
        raise ProjectError(
            f"{folder}: cannot hold that ({error}). Nothing was changed; choose another value."
        ) from error
    write_record(path, data)


def scheme_of(file: ProjectFile) -> PhaseScheme:
    """Return the phases of a project."""
    return PhaseScheme.from_dict({"phases": file.phases}, source=f"project {file.name!r}")


def _checked(folder: Path, data: Any) -> ProjectFile:
    """Return what is sound by itself, with its phases and beside the folder; `ValueError` in words if it is not."""
    try:
        file = ProjectFile.model_validate(data)
        scheme = scheme_of(file)
        for entry in file.fields:
            if entry.ratio is not None:
                entry.ratio.checked(scheme)
            for shares in () if entry.result is None else (entry.result.own, entry.result.achieved):
                if len(shares) != len(scheme):
                    raise ValueError(f"the result of field {entry.id!r} has {len(shares)} area shares")
            for image in entry.images:
                if not image.is_elsewhere:
                    own_file(folder, image.path)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from error
    except (SchemeError, RatioError) as error:
        raise ValueError(str(error)) from error
    return file


def _damaged(path: Path, what: str) -> ProjectError:
    return ProjectError(
        f"{path}: is damaged ({what}). Bring this one file back from a copy; the images, edits and results "
        "beside it are untouched."
    )
