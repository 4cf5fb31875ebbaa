"""Write a file so that it is either complete or untouched: temporary name, fsync, rename."""

from __future__ import annotations

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
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(_mode_for(path))
        os.replace(temporary, path)
    except OSError as error:
        raise PhaseguideError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space there, or choose a "
            "folder that you may write to."
        ) from error
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


def _mode_for(path: Path) -> int:
    """Permissions of the file being replaced, else those of any new file (mkstemp makes 0600)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
