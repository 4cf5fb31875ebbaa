"""A change of a project's phases taken back: the label maps that it put into the recycle folder return."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from phaseguide.errors import ProjectError
from phaseguide.json_files import read_json
from phaseguide.micrographs.records import sha256_of_file, write_record
from phaseguide.projects import places, store
from phaseguide.projects.lineage import TAKEN_BACK
from phaseguide.projects.schema import FieldEntry, ProjectFile

if TYPE_CHECKING:
    from phaseguide.projects.change import Change
    from phaseguide.projects.project import Project

FILE = "phases.json"
_TOLD = ("edits", "truth", "ratio", "result")


class _Field(BaseModel):
    """What was said of a field before and after."""

    before: dict[str, Any]
    after: dict[str, Any]


class _Remembered(BaseModel):
    """What `remember` wrote: phases and fields before and after, files in the recycle folder, checksums after."""

    model_config = ConfigDict(extra="forbid")

    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    fields: dict[str, _Field]
    recycled: list[str]
    sha256: dict[str, str]


def remember(change: Change, before: ProjectFile, staged: Iterable[str]) -> str:
    """Write into the recycle folder what it takes to undo a change of phases.

    Parameters
    ----------
    change : Change
        With its ``file`` as it will be.
    before : ProjectFile
    staged : iterable of str
        Files that the change writes anew; as they were they are recycled.

    Returns
    -------
    str
        What `undo_scheme` wants to be told.
    """
    written = set(staged)
    told = {
        "before": before.phases,
        "after": change.file.phases,
        "fields": {
            old.id: {"before": _said(old), "after": _said(new)}
            for old, new in zip(before.fields, change.file.fields, strict=True)
        },
        "recycled": sorted(written),
        "sha256": {
            path: _checksum(change.stage(path) if path in written else change.folder / path)
            for entry in change.file.fields
            for path in _files(entry)
        },
    }
    step = change.recycled(FILE)
    write_record(change.stage(step), told)
    return step


def undo_scheme(project: Project, step: str) -> None:
    """Give a project the phases, label maps and ratios from before a change.

    Parameters
    ----------
    project : Project
    step : str
        What `Project.change_scheme` returned.

    Raises
    ------
    ProjectError
        Phases, labels or ratios were changed since, or the recycle folder was emptied. Nothing is changed.
    """
    with project.changing() as change:
        told = _read(change.folder, step)
        if change.file.phases != told.after:
            raise _refusal(project, step, "its phases were changed again")
        known = told.fields
        for entry in change.file.fields:
            if _said(entry) != (known[entry.id].after if entry.id in known else _NOTHING):
                raise _refusal(project, step, f"something was written on field {entry.id!r}")
        for path, checksum in told.sha256.items():
            if _checksum(change.folder / path) != checksum:
                raise _refusal(project, step, f"{path} was written")
        for path in told.recycled:
            _bring_back(change, f"{Path(step).parent.as_posix()}/{path}", path)
        fields = [
            FieldEntry.model_validate({**entry.model_dump(), **known[entry.id].before})
            if entry.id in known
            else entry
            for entry in change.file.fields
        ]
        change.update(phases=told.before, fields=fields)
        change.log(TAKEN_BACK, **store.scheme_of(change.file).to_dict(), step=step)


_NOTHING: dict[str, Any] = dict.fromkeys(_TOLD)


def _said(entry: FieldEntry) -> dict[str, Any]:
    return entry.model_dump(include=set(_TOLD))


def _files(entry: FieldEntry) -> list[str]:
    """Label maps of a field."""
    result = None if entry.result is None else entry.result.labels
    return [path for path in (entry.edits, entry.truth, result) if path is not None]


def _checksum(path: Path) -> str:
    return sha256_of_file(path) if path.is_file() else ""


def _bring_back(change: Change, recycled: str, path: str) -> None:
    staged = change.stage(path)
    try:
        staged.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(change.folder / recycled, staged)
    except OSError as error:
        raise ProjectError(
            f"{change.folder / recycled}: cannot be brought back ({error.strerror or error}), so the phases stay "
            "as they are. Free some space, and check that nobody emptied the recycle folder."
        ) from error


def _read(folder: Path, step: str) -> _Remembered:
    try:
        told = _Remembered.model_validate(read_json(places.own_file(folder, step, places.RECYCLE)))
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"{folder / step}: cannot be read ({error}), so the change of the phases cannot be taken back."
        ) from error
    for path in (*told.recycled, *told.sha256):
        places.own_file(folder, path, "edits", "truth", "results")
    return told


def _refusal(project: Project, step: str, what: str) -> ProjectError:
    return ProjectError(
        f"{project.name}: the change of the phases cannot be taken back, since {what} after it. The phases stay as "
        f"they are; the labels from before are in {project.folder / Path(step).parent}."
    )
