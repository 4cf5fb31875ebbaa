"""Write a file so that it is either complete or untouched: temporary name, fsync, rename. Or several at once."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from phaseguide.errors import OutputError, PhaseguideError

_PREFIX = ".phaseguide-"
_STALE_S = 24 * 3600
_ELSEWHERE = "Choose a folder that you may write to."
_NO_FOLDER = "A file is in the place of a folder of this path. Choose another folder."
_ADVICE = {
    errno.ENOSPC: "Free some space there, or choose another disk.",
    errno.EDQUOT: "Free some space there, or choose another disk.",
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.EISDIR: "A folder has this name. Choose another name.",
}
Refusal = Callable[[Path], str]
"""Says why the file at a path must stay; empty where it may be replaced."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of ``path``.

    For libraries that write to a file name themselves. When the body raises, ``path`` keeps its old content and the
    temporary file is removed. The folder of ``path`` is created if it is missing. The temporary file is empty, with
    the same suffix. `PhaseguideError` if it cannot be written: no space, no permission, a folder in its place.
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
    check_name(path)
    with _naming(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary = _temporary_beside(path)
        try:
            temporary.write_bytes(b"0")
        finally:
            with suppress(OSError):
                temporary.unlink()


def write_together(
    files: Mapping[Path, bytes], refusal: Refusal | None = None, *, without: Iterable[Path] = ()
) -> None:
    """Write several files so that all are new, or all are as they were, in the order given: what tells of the others
    comes last.

    ``refusal`` is asked about every file that is there already, when its turn has come; None keeps them all. A name
    that is free stays free for nobody else: a file that appears meanwhile is not replaced. Files in ``without`` go,
    since they belong to what is replaced. `OutputError` if a file must stay, `PhaseguideError` if one cannot be
    written; nothing was changed then.
    """
    staged: dict[Path, Path] = {}
    before: dict[Path, Path | None] = {}
    try:
        for path, data in files.items():
            with _naming(path):
                staged[path] = _temporary_beside(path)
                with staged[path].open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                staged[path].chmod(_mode_for(path))
        for path in (*without, *files):
            with _naming(path):
                kept = _copy_beside(path, refusal)
                if kept is None and path in staged:
                    _put_new(staged[path], path)
                before[path] = kept
                if kept is not None and path in staged:
                    os.replace(staged[path], path)
                elif kept is not None:
                    path.unlink()
    except BaseException:
        for path, kept in reversed(before.items()):
            with suppress(OSError):
                if kept is not None:
                    os.replace(kept, path)
                else:
                    path.unlink()
        raise
    finally:
        for temporary in (*staged.values(), *before.values()):
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink()


def sweep(folder: str | Path) -> None:
    """Remove what a killed program left half written in a folder, once it is a day old."""
    with suppress(OSError):
        for path in Path(folder).glob(f"{_PREFIX}*"):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > _STALE_S:
                    path.unlink()


def existing_parent(path: str | Path) -> Path:
    """Return the nearest folder above a path that is there (or what is in the folder's place)."""
    folder = Path(path).absolute().parent
    while not _is_there(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _is_there(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a null character
        return False


def check_name(path: str | Path) -> None:
    """Make sure that the disk takes names as long as those in a path. Errors as in `replacing`."""
    path, longest = Path(path), _longest_name(existing_parent(path))
    with _naming(path):
        try:
            lengths = [len(os.fsencode(part)) for part in path.parts]
        except UnicodeEncodeError:
            raise OSError(
                errno.EILSEQ, "a letter in its name is half a letter, which no disk takes"
            ) from None
        if any(length > longest for length in lengths):
            raise OSError(
                errno.ENAMETOOLONG, f"a name in it is longer than the {longest} bytes that the disk takes"
            )


def check_place(path: str | Path) -> None:
    """Make sure that a file of this name could be made, without making its folder. Errors as in `replacing`."""
    check_name(path)
    with _naming(Path(path)):
        handle, name = tempfile.mkstemp(dir=existing_parent(path), prefix=_PREFIX)
        os.close(handle)
        os.unlink(name)


def _longest_name(folder: Path) -> int:
    try:
        return int(os.pathconf(folder, "PC_NAME_MAX"))
    except (AttributeError, OSError, ValueError):  # Windows has no pathconf
        return 255


def _copy_beside(path: Path, refusal: Refusal | None) -> Path | None:
    """Keep a second name of a file that may be replaced; None where there is no file."""
    if not os.path.lexists(path):
        return None
    reason = f"{path}: exists already. Choose another name." if refusal is None else refusal(path)
    if reason:
        raise OutputError(reason)
    copy = _temporary_beside(path)
    copy.unlink()
    if not _linked(path, copy):
        shutil.copy2(path, copy)
    return copy


def _put_new(temporary: Path, path: Path) -> None:
    """Give a complete file a name, if that is still free."""
    try:
        if not _linked(temporary, path):
            path.open("xb").close()
            os.replace(temporary, path)
    except FileExistsError as error:
        raise OutputError(
            f"{path}: appeared while this was worked on, and stays. Choose another name."
        ) from error


def _linked(path: Path, name: Path) -> bool:
    """Give a file a second name, if that is free; False on a disk that knows no links."""
    try:
        os.link(path, name)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def cannot_write(path: Path, error: OSError) -> PhaseguideError:
    """Return what a user is told where a file cannot be written, with the advice that fits."""
    advice = _ADVICE.get(error.errno or 0, "Choose another name or another folder.")
    return PhaseguideError(f"{path}: cannot be written ({error.strerror or error}). {advice}")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `PhaseguideError` that names the file."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def _temporary_beside(path: Path) -> Path:
    """Make an empty file in the folder of ``path``, which is created if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own length, since one made of the target's could be longer than the disk takes.
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= 16 else ""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=suffix)
    os.close(handle)
    return Path(name)


def _mode_for(path: Path) -> int:
    """Permissions of the file being replaced, else those of any new file (mkstemp makes 0600)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
