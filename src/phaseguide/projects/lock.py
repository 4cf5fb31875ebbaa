"""Locks between processes. The system holds them, so that a process that dies lets go of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from phaseguide.errors import ProjectError


@contextmanager
def exclusive(path: Path, refusal: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file; other processes, and other threads of this one, are kept out.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    refusal : str
        What to say if somebody else holds it.
    wait_s : float
        How long to wait for it, in seconds.

    Raises
    ------
    ProjectError
        Somebody else holds it, or the folder does not take a file.
    """
    lock = FileLock(path, timeout=wait_s, poll_interval=0.01)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ProjectError(refusal) from error
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
