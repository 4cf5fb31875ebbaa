"""Files that somebody else may have made: opened only where they are plain files, and only inside their folder."""

from __future__ import annotations

import os
import re
import stat
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from phaseguide.errors import PhaseguideError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}")
# Windows opens a device by these names, whatever the suffix.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


class UnsafePathError(PhaseguideError):
    """A path or name that comes from a file and leads out of its folder, or to something that is no plain file."""


def open_plain(path: str | Path) -> BufferedReader:
    """Open a plain file, links followed; `OSError` at once for a pipe or a device, which could wait for ever."""
    # Without O_NONBLOCK a pipe that nobody writes to would hold the program at open().
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise OSError(0, f"is {what}, not a file", str(path))
    return os.fdopen(handle, "rb")


def read_plain(path: str | Path, most_bytes: int) -> bytes:
    """Return the bytes of a plain file; `ValueError` if it has more than ``most_bytes``, before it is read.

    `OSError` as `open_plain`.
    """
    with open_plain(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"is larger than the {most_bytes / 1e6:.3g} MB that such a file may have")
    return data


def resolved(path: str | Path) -> Path:
    """Return the absolute path of a file, links followed; a ring of links, which leads nowhere, as it stands."""
    return Path(os.path.realpath(path))


def free_path(path: Path) -> Path:
    """Return a path, or the same with -2, -3 ... behind its stem where something lies there."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def path_inside(folder: str | Path, told: Any) -> Path:
    """Return the file that a relative path from a foreign file means, if that lies inside a folder, also after links
    are resolved.

    The one gate for every path that is read from a file: normalised, with forward slashes, of a plain file or of
    nothing yet. `UnsafePathError` for anything else that is told. Nothing has been touched then.
    """
    folder = Path(folder)
    refusal = f"{folder}: a file in it names the path {told!r}, "
    if not isinstance(told, str) or not told:
        raise UnsafePathError(f"{refusal}which is no path. Nothing was touched; get a sound copy.")
    relative = PurePosixPath(told)
    odd = "\\" in told or ":" in told or not told.isprintable() or relative.as_posix() != told
    if (
        odd
        or relative.is_absolute()
        or ".." in relative.parts
        or any(_DEVICES.match(p) for p in relative.parts)
    ):
        raise UnsafePathError(
            f"{refusal}which is not a plain path inside that folder. Nothing was touched; get a sound copy."
        )
    path = folder / relative
    try:
        within = resolved(path).is_relative_to(resolved(folder))
        there: int | None = path.stat().st_mode
    except FileNotFoundError:
        there = None
    except OSError as error:  # links that go round in circles, a name that is too long
        raise UnsafePathError(f"{refusal}which cannot be followed ({error}). Nothing was touched.") from error
    if not within:
        raise UnsafePathError(
            f"{refusal}which a link leads out of that folder. Nothing was touched; replace the link by the file."
        )
    if there is not None and not stat.S_ISREG(there):
        raise UnsafePathError(f"{refusal}which is not a plain file. Nothing was touched; get a sound copy.")
    return path


def is_safe_name(told: Any) -> bool:
    """Whether a text from a file can be used as the name of a file on every system.

    1 to 120 of the letters A to Z, digits, ``_``, ``-`` and ``.``, not beginning with a dot nor ending with one,
    and not the name of a device under Windows.
    """
    return (
        isinstance(told, str)
        and _NAME.fullmatch(told) is not None
        and not told.endswith(".")
        and _DEVICES.match(told) is None
    )
