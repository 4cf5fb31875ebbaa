"""Reading ``project.json``, and writing it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from phaseguide.errors import ProjectError, SchemeError
from phaseguide.json_files import read_json
from phaseguide.micrographs.records import write_record
from phaseguide.phases import PhaseScheme
from phaseguide.projects import places
from phaseguide.projects.places import FILE
from phaseguide.projects.schema import SCHEMA_VERSION, ProjectFile


def read_file(folder: Path) -> ProjectFile:
    """Read ``project.json``.

    Raises
    ------
    ProjectError
        No project there, damaged, of a newer version, or with ids and paths that lead elsewhere.
    """
    path = folder / FILE
    try:
        data = read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProjectError(
            f"{folder}: holds no project ({FILE} is missing). Create one there, or choose another folder."
        ) from error
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
        file = ProjectFile.model_validate(data)
        scheme_of(file)  # bad phases are told now, not in the middle of work
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise _damaged(path, f"{place}: {first['msg']}") from error
    except SchemeError as error:
        raise _damaged(path, str(error)) from error
    places.check_told(folder, file)
    return file


def write_file(path: Path, file: ProjectFile) -> None:
    """Write a project file; guarantees and errors as in `phaseguide.atomic.replacing`."""
    write_record(path, file.model_dump())


def scheme_of(file: ProjectFile) -> PhaseScheme:
    """Return the phases of a project."""
    return PhaseScheme.from_dict({"phases": file.phases}, source=f"project {file.name!r}")


def _damaged(path: Path, what: str) -> ProjectError:
    return ProjectError(
        f"{path}: is damaged ({what}). Bring this one file back from a copy; the images, edits and results "
        "beside it are untouched."
    )
