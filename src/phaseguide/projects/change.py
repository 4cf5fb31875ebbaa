"""One change of a project: whatever files it touches, it happens whole or not at all.

New files are written into a folder of their own. A list of what is to be moved where, written last, is the
moment from which on the change has happened: a process that dies before leaves everything as it was, and of one
that dies later the rest is moved by whoever opens or changes the project next (a redo log, as in databases).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from phaseguide.atomic import write_text
from phaseguide.errors import ProjectError
from phaseguide.files import free_path
from phaseguide.json_files import read_json
from phaseguide.projects import store
from phaseguide.projects.lock import exclusive
from phaseguide.projects.places import FILE, LOCK, RECYCLE, STAGING, check_folder, check_move, own_file
from phaseguide.projects.schema import FieldEntry, ProjectFile, VersionEntry

_COMMIT = "commit.json"
Kept = TypeVar("Kept", FieldEntry, VersionEntry)
WAIT_S = 20.0
"""How long a change waits for another program, where nobody says otherwise."""


class Change:
    """What is to happen; made by `changing`.

    ``file`` is the project as it will be, ``events`` are lines for the log. Once it ``happened`` nothing can take it
    back any more; what could not be put in place yet is put there later.
    """

    def __init__(self, folder: Path, file: ProjectFile) -> None:
        self.folder, self.file = folder, file
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.happened = False
        self._before = file
        self._moves: dict[str, str] = {}
        self._recycle = ""

    def field(self, field_id: str) -> FieldEntry:
        """Return a field; `ProjectError` if there is none of that id."""
        return find_field(self.file, field_id)

    def check_phases(self, known: ProjectFile) -> None:
        """Raise `ProjectError` if the project has other phases by now than a file that was read before."""
        old, now = store.scheme_of(known), store.scheme_of(self.file)
        if old.names != now.names:
            raise ProjectError(
                f"{self.file.name}: its phases are {now.describe()} by now, since another program changed them; here "
                f"they are still {old.describe()}. Nothing was written. Open the project again."
            )

    def put(self, entry: FieldEntry) -> None:
        """Put an entry in the place of the one with the same id."""
        self.update(fields=[entry if old.id == entry.id else old for old in self.file.fields])

    def update(self, **values: Any) -> None:
        """Change entries of the project file."""
        self.file = self.file.model_copy(update=values)

    def log(self, event: str, **details: Any) -> None:
        """Tell of the change in the log, once it has happened."""
        self.events.append((event, details))

    def stage(self, target: str) -> Path:
        """Return where to write a file that becomes ``target``, a path in the project's folder."""
        staged = f"{STAGING}/{target}"
        self.move(staged, target)
        return self.folder / staged

    def stage_copy(self, source: str, target: str) -> None:
        """Copy a file of the project to what becomes ``target``; raises `OSError`."""
        copy = self.stage(target)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own_file(self.folder, source), copy)

    def move(self, source: str, target: str) -> None:
        """Move a file within the project's folder; `ProjectError` if no change may."""
        check_move(self.folder, source, target)
        self._moves[source] = target

    def recycled(self, source: str) -> str:
        """Return where a file of the project goes in the recycle folder; each change has a folder there."""
        if not self._recycle:
            stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
            self._recycle = f"{RECYCLE}/{free_path(self.folder / RECYCLE / stamp).name}"
        return f"{self._recycle}/{source}"

    def recycle_copy(self, source: str) -> None:
        """Copy a file that will be replaced into the recycle folder."""
        try:
            self.stage_copy(source, self.recycled(source))
        except OSError as error:
            raise ProjectError(
                f"{self.folder / source}: cannot be copied to {RECYCLE} ({error.strerror or error}). Free some "
                "space, and check that the file is there and that you may write to the project's folder."
            ) from error

    def commit(self) -> None:
        """Make the change happen."""
        if self.file != self._before:
            store.write_file(self.folder, self.stage(FILE), self.file)
        if len(self._moves) > 1:
            write_text(self.folder / STAGING / _COMMIT, json.dumps(self._moves))
            self.happened = True
        _carry_out(self.folder, self._moves)
        self.happened = True


@contextmanager
def changing(folder: Path, wait_s: Callable[[], float] = lambda: WAIT_S) -> Iterator[Change]:
    """Prepare a change of a project, which happens when the body calls its `Change.commit`.

    Changes by several threads and programs come one after the other, each from what the one before left.
    `ProjectBusyError` if another program holds it for longer than ``wait_s``; `ProjectError` if the folder cannot be
    written.
    """
    check_folder(folder)
    with _only_here(folder, wait_s):
        _finish(folder)
        try:
            yield Change(folder, store.read_file(folder))
        finally:
            if not (folder / STAGING / _COMMIT).exists():
                shutil.rmtree(folder / STAGING, ignore_errors=True)


def starting(folder: Path, file: ProjectFile) -> None:
    """Make the first ``project.json`` of a folder; `ProjectError` if there is one."""
    if folder.is_dir():
        check_folder(folder)
    with _only_here(folder):
        if (folder / FILE).exists():
            raise ProjectError(f"{folder}: holds a project already. Open it, or choose another folder.")
        change = Change(folder, file)
        try:
            store.write_file(folder, change.stage(FILE), file)
            change.commit()
        finally:
            shutil.rmtree(folder / STAGING, ignore_errors=True)


def recovered(folder: Path, wait_s: float) -> ProjectFile:
    """Read a project, after finishing what a process that died had begun to put in place.

    Nothing is written if there is nothing to finish, nor before all of the folder is known to be sound.
    """
    check_folder(folder)
    file = store.read_file(folder)
    if (folder / STAGING / _COMMIT).exists():
        with _only_here(folder, lambda: wait_s):
            _finish(folder)
        file = store.read_file(folder)
    return file


def find_field(file: ProjectFile, field_id: str) -> FieldEntry:
    """Return a field; `ProjectError` if there is none of that id."""
    return find_entry(file.fields, field_id, "field", file.name)


def find_entry(entries: Sequence[Kept], told: str, kind: str, name: str) -> Kept:
    """Return the entry of an id; `ProjectError` if there is none."""
    for entry in entries:
        if entry.id == told:
            return entry
    known = ", ".join(entry.id for entry in entries) or "none yet"
    raise ProjectError(f"{name}: there is no {kind} {told!r}. {kind.capitalize()}s: {known}.")


def _only_here(folder: Path, wait_s: Callable[[], float] = lambda: WAIT_S) -> AbstractContextManager[None]:
    refusal = (
        f"{folder}: another program is changing this project, or hangs while it does. Try again when it is done, "
        "or end it."
    )
    return exclusive(folder / LOCK, refusal, wait_s)


def _finish(folder: Path) -> None:
    """Do what a process that died had begun, and sweep what it left; a list that no change makes is refused."""
    commit = folder / STAGING / _COMMIT
    if os.path.lexists(commit):
        store.read_file(folder)  # a project that is not understood is left alone
        try:
            moves = read_json(commit)
        except (OSError, ValueError) as error:
            raise _unsound(commit, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if not isinstance(moves, dict) or not all(isinstance(target, str) for target in moves.values()):
            raise _unsound(commit, "is no list of moves")
        for source, target in moves.items():
            check_move(folder, source, target)
        _carry_out(folder, moves)
    shutil.rmtree(folder / STAGING, ignore_errors=True)


def _unsound(commit: Path, what: str) -> ProjectError:
    return ProjectError(
        f"{commit}: {what}. It tells what a program that ended in mid-change had still to do. Nothing was touched; "
        "bring the project back from a copy."
    )


def _carry_out(folder: Path, moves: dict[str, str]) -> None:
    """Move files to their places. What has been moved already is no longer where it came from."""
    try:
        for source, target in moves.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            if (folder / source).exists():
                os.replace(folder / source, folder / target)
        (folder / STAGING / _COMMIT).unlink(missing_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{error.filename2 or error.filename or folder}: cannot be put in place ({error.strerror or error}). "
            "Close the programs that use it; it is tried again when the project is next opened or changed."
        ) from error
