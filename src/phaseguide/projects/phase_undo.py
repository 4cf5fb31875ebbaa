"""A change of a project's phases taken back: the label maps that it put into the recycle folder return."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from phaseguide.errors import ProjectError
from phaseguide.json_files import read_json
from phaseguide.micrographs.records import sha256_of_file, write_record
from phaseguide.projects import store
from phaseguide.projects.journal import TAKEN_BACK
from phaseguide.projects.places import PHASES_STEP, own_file
from phaseguide.projects.schema import AskedRatio, FieldEntry, ProjectFile, ResultEntry

if TYPE_CHECKING:
    from phaseguide.projects.change import Change


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Said(_Entry):
    """What is known of a field in terms of the phases."""

    edits: str | None = None
    truth: str | None = None
    ratio: AskedRatio | None = None
    result: ResultEntry | None = None


class _Change(_Entry):
    before: _Said
    after: _Said


class _Step(_Entry):
    """What a change of phases wrote down to be undone."""

    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    fields: dict[str, _Change]
    recycled: list[str]
    sha256: dict[str, str]


def remember(change: Change, before: ProjectFile, staged: Iterable[str]) -> str:
    """Write into the recycle folder what it takes to undo a change of phases, and return what `undo_scheme` wants to
    be told.

    The files that the change writes anew (``staged``) were recycled as they were.
    """
    written = set(staged)
    told = {
        "before": before.phases,
        "after": change.file.phases,
        "fields": {
            old.id: {"before": _said(old).model_dump(), "after": _said(new).model_dump()}
            for old, new in zip(before.fields, change.file.fields, strict=True)
        },
        "recycled": sorted(written),
        "sha256": {
            path: _checksum(change.stage(path) if path in written else change.folder / path)
            for entry in change.file.fields
            for path in _files(entry)
        },
    }
    step = change.recycled(PHASES_STEP)
    write_record(change.stage(step), told)
    return step


def undo_scheme(change: Change, step: str) -> None:
    """Give a project the phases, label maps and ratios from before a change that `remember` knows as ``step``.

    `ProjectError` if they were changed since, or the recycle folder was emptied. Nothing is changed then.
    """
    told = _read(change.folder, step)
    if change.file.phases != told.after:
        raise _refusal(change, step, "its phases were changed again")
    for entry in change.file.fields:
        if _said(entry) != (told.fields[entry.id].after if entry.id in told.fields else _Said()):
            raise _refusal(change, step, f"something was written on field {entry.id!r}")
    for path, checksum in told.sha256.items():
        if _checksum(own_file(change.folder, path)) != checksum:
            raise _refusal(change, step, f"{path} was written")
    for path in told.recycled:
        _bring_back(change, f"{Path(step).parent.as_posix()}/{path}", path)
    fields = [
        entry.model_copy(update=dict(told.fields[entry.id].before)) if entry.id in told.fields else entry
        for entry in change.file.fields
    ]
    change.update(phases=told.before, fields=fields)
    change.log(TAKEN_BACK, **store.scheme_of(change.file).to_dict(), step=step)


def _said(entry: FieldEntry) -> _Said:
    return _Said(edits=entry.edits, truth=entry.truth, ratio=entry.ratio, result=entry.result)


def _files(entry: FieldEntry) -> list[str]:
    """Label maps of a field."""
    result = None if entry.result is None else entry.result.labels
    return [path for path in (entry.edits, entry.truth, result) if path is not None]


def _checksum(path: Path) -> str:
    return sha256_of_file(path) if path.is_file() else ""


def _bring_back(change: Change, recycled: str, path: str) -> None:
    try:
        change.stage_copy(recycled, path)
    except OSError as error:
        raise ProjectError(
            f"{change.folder / recycled}: cannot be brought back ({error.strerror or error}), so the phases stay "
            "as they are. Free some space, and check that nobody emptied the recycle folder."
        ) from error


def _read(folder: Path, step: str) -> _Step:
    path = own_file(folder, step)
    try:
        return _Step.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        what = "it is damaged" if isinstance(error, ValidationError) else error
        raise ProjectError(
            f"{path}: cannot be read ({what}), so the change of the phases cannot be taken back."
        ) from error


def _refusal(change: Change, step: str, what: str) -> ProjectError:
    return ProjectError(
        f"{change.file.name}: the change of the phases cannot be taken back, since {what} after it. The phases stay as "
        f"they are; the labels from before are in {change.folder / Path(step).parent}."
    )
