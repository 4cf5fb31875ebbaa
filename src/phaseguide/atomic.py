"""Write a file so that it is either complete or untouched: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phaseguide.errors import PhaseguideError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of ``path``.

    For libraries that write to a file name themselves. When the body raises, ``path`` keeps its old
    content and the temporary file is removed. The folder of ``path`` is created if it is missing.

    Parameters
    ----------
    path : str or Path
        The file to make or replace.

    Yields
    ------
    Path
        An empty file in the same folder, with the same suffix.

    Raises
    ------
    PhaseguideError
        The file cannot be written: no space, no permission, a folder in its place.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        with _naming(path):
            temporary = _temporary_beside(path)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(_mode_for(path))
            os.replace(temporary, path)
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path``; errors and guarantees as in `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 with Unix line ends; errors and guarantees as in `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def check_writable(path: str | Path) -> None:
    """Make sure that ``path`` can be written, before hours of work that end in writing it.

    Makes a temporary file of one byte in its folder and removes it again; an existing file is not
    touched. The folder is created if it is missing. Errors as in `replacing`.
    """
    path = Path(path)
    with _naming(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary = _temporary_beside(path)
        try:
            temporary.write_bytes(b"0")
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `PhaseguideError` that names the file."""
    try:
        yield
    except OSError as error:
        raise PhaseguideError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space there, or choose a "
            "folder that you may write to."
        ) from error


def _temporary_beside(path: Path) -> Path:
    """Make an empty file in the folder of ``path``, which is created if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    return Path(name)


def _mode_for(path: Path) -> int:
    """Permissions of the file being replaced, else those of any new file (mkstemp makes 0600)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
