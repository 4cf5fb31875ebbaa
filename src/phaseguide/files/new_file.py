"""Putting a file where none is yet: its name appears only when it is complete, and never over another one."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.files.atomic import cannot_write

PART_SUFFIX = ".phaseguide-part"
"""Ending of a file that is being written; its name begins with a dot, and no list shows it."""

_PART = re.compile(rf"\..*-[0-9a-f]{{8}}{re.escape(PART_SUFFIX)}", re.DOTALL)
_ABANDONED_S = 3600.0
_NO_LINKS = {
    errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL,
}  # fmt: skip
"""How disks say that they know no second name for a file."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def creating(path: Path) -> Iterator[Path]:
    """Give an empty file to be written to; on success it gets the name ``path``, if that is still free.

    Whatever happens, killing the program included, ``path`` is the complete file or is not there. What a killed
    program leaves is not shown in any list and goes when a file of that name is written again. The folder is made
    if it is missing.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Path
        An empty file beside, to be opened and written in place: not to be replaced by another one.

    Raises
    ------
    ModelError
        There is something by that name already, before or after it was written.
    PhaseguideError
        The folder cannot be written, or the disk is full.
    """
    refuse_taken(path)
    part = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        with _naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep_parts(path.parent, path.stem[:40])
            with _held(part):
                yield part
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
                _rename_new(part, path)
    finally:
        with suppress(OSError):
            part.unlink()


def write_new(path: Path, data: bytes) -> None:
    """Write a file that was not there; errors as in `creating`."""
    with creating(path) as part, part.open("r+b") as file:
        file.write(data)


def move_new(source: Path, target: Path) -> None:
    """Move a file to a free name on the same disk.

    Raises
    ------
    ModelError
        The name is taken, or the file cannot be moved; it is then where it was.
    PhaseguideError
        The folder of the new name cannot be made.
    """
    refuse_taken(target)
    with _naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _rename_new(source, target)
    except FileExistsError as error:
        raise _taken(target) from error
    except OSError as error:
        raise ModelError(
            f"{source}: cannot be moved to {target.parent} ({error.strerror or error}). Close the "
            "programs that use it, and check that you may write to both folders."
        ) from error


def sweep_parts(folder: Path, stem: str = "") -> None:
    """Remove files that programs which were killed have left half-written in a folder.

    Parameters
    ----------
    folder : Path
    stem : str
        Only those for a file of this name; empty for all.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) is None or not entry.name.startswith(f".{stem}"):
                continue
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    _remove_if_abandoned(Path(entry.path))


def _rename_new(source: Path, target: Path) -> None:
    """Rename a file; raises `FileExistsError` where the new name is taken, also by a dangling link."""
    if os.name == "nt":
        os.rename(source, target)  # refuses a name that is taken
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # The name is claimed for the moment that the renaming takes.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(source, target)
        except BaseException:
            os.unlink(target)
            raise
        return
    try:
        os.unlink(source)
    except OSError:
        os.unlink(target)
        raise


@contextmanager
def _held(part: Path) -> Iterator[None]:
    """Make an empty file, and hold a lock on it while the body runs, so that others see that it is at work."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    if os.name == "nt":  # which neither removes nor renames a file that is open
        os.close(os.open(part, flags, 0o666))
        yield
        return
    import fcntl

    while True:
        handle = os.open(part, flags, 0o666)
        with suppress(OSError):  # a disk without locks: age must tell
            fcntl.flock(handle, fcntl.LOCK_EX)
        if part.exists():  # not swept before it was locked
            break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


def _remove_if_abandoned(part: Path) -> None:
    """Remove a file that no program is writing any more; an `OSError` means that one is, or that it is gone."""
    if os.name != "nt":
        import fcntl

        handle = os.open(part, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(part)
            return
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        finally:
            os.close(handle)
    if time.time() - part.stat().st_mtime > _ABANDONED_S:
        os.unlink(part)


def refuse_taken(path: Path) -> None:
    """Raise `ModelError` if there is something by that name, before hours of work that end in writing it."""
    if os.path.lexists(path):
        raise _taken(path)


def _taken(path: Path) -> ModelError:
    return ModelError(f"{path}: there is a file of that name already, and it stays. Choose another name.")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an `OSError` into an error that names the file."""
    try:
        yield
    except FileExistsError as error:
        if os.path.lexists(path):
            raise _taken(path) from error
        raise cannot_write(path, error) from error
    except OSError as error:
        raise cannot_write(path, error) from error
