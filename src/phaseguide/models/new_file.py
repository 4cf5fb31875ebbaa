"""Putting a file where none is yet: the name is claimed first, so that nothing is ever written over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phaseguide.atomic import write_bytes
from phaseguide.errors import ModelError, PhaseguideError


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold a free file name while the body puts a complete file there.

    An empty file stands for the claim, so that of two programs only one gets the name. It goes again
    if the body raises. The folder is made if it is missing.

    Raises
    ------
    ModelError
        There is something by that name already.
    PhaseguideError
        The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("xb").close()
    except OSError as error:
        if os.path.lexists(path):
            raise ModelError(
                f"{path}: there is a file of that name already, and it stays. Choose another name."
            ) from error
        raise PhaseguideError(
            f"{path}: cannot be written ({error.strerror or error}). Free some space there, or choose a "
            "folder that you may write to."
        ) from error
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def write_new(path: Path, data: bytes) -> None:
    """Write a file that was not there; errors as in `claimed`."""
    with claimed(path):
        write_bytes(path, data)


def move_new(source: Path, target: Path) -> None:
    """Move a file to a free name on the same disk.

    Raises
    ------
    ModelError
        The name is taken, or the file cannot be moved; it is then where it was.
    """
    with claimed(target):
        try:
            os.replace(source, target)
        except OSError as error:
            raise ModelError(
                f"{source}: cannot be moved to {target.parent} ({error.strerror or error}). Close the "
                "programs that use it, and check that you may write to both folders."
            ) from error
