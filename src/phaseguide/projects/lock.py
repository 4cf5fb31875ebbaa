"""Locks between processes. The system holds them, so that a process that dies lets go of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from phaseguide.errors import ProjectBusyError, ProjectError

_LOOK_AGAIN_S = 0.01


@contextmanager
def exclusive(path: Path, refusal: str, wait_s: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
    """Hold a lock file; other processes, and other threads of this one, are kept out.

    ``refusal`` is what `ProjectBusyError` says if somebody else holds it for longer than ``wait_s``, which is asked
    again and again while waiting, so that a wait under way can be shortened. `ProjectError` if the folder does not
    take a file.
    """
    began = time.monotonic()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ProjectError(f"{path}: is a link or no plain file. Remove it, then try again.")
        lock = FileLock(path)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout as error:
                if time.monotonic() - began >= wait_s():
                    raise ProjectBusyError(refusal) from error
            time.sleep(_LOOK_AGAIN_S)
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProjectError(
            f"{path.parent}: nothing can be changed there ({reason}). Check that you may write to this folder and "
            "that its disk is not full; a disk that knows no file locks cannot hold a project."
        ) from error
    try:
        yield
    finally:
        lock.release()
