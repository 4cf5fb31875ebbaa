"""One training at a time in a project, also over processes."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phaseguide.errors import ProjectError
from phaseguide.projects.journal import now


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file; one that a dead process of this machine left behind is taken over.

    Parameters
    ----------
    path : Path
    what : str
        What is exclusive, for the message.

    Raises
    ------
    ProjectError
        Somebody else holds it, or the file cannot be written.
    """
    owner = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "time": now()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _take(path, owner, what)
    except OSError as error:
        raise ProjectError(
            f"{path}: cannot be written ({error.strerror or error}). Check that you may write to the project's folder."
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _take(path: Path, owner: str, what: str) -> None:
    for _ in range(2):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            holder = _holder(path)
            if holder is not None and _is_alive(holder):
                raise ProjectError(
                    f"{what} is under way in this project already (process {holder.get('pid')} on "
                    f"{holder.get('host')} since {holder.get('time')}). Wait for it or stop it; if nothing is "
                    f"running there, delete {path}."
                ) from None
            with suppress(FileNotFoundError):
                path.unlink()
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(owner)
        return
    raise ProjectError(f"{path}: is being taken by another process. Try again.")


def _holder(path: Path) -> dict[str, object] | None:
    """Who holds a lock; None where the file tells nothing, as after a crash while it was written."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _is_alive(holder: dict[str, object]) -> bool:
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return True  # nobody can tell from here
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
