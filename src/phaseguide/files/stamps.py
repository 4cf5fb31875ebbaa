"""Checksums of large files, taken in steps."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.events import Progress
from phaseguide.files.foreign import open_plain

_BLOCK = 1 << 22
_TELL_S = 0.1


@dataclass(frozen=True)
class Stamp:
    """The checksum of a file, and its size and time of change when it was read."""

    bytes: int
    mtime_ns: int
    sha256: str


def stamping(path: Path) -> Generator[Progress, None, Stamp]:
    """Take the checksum of a file, with progress in bytes; `ModelError` where it cannot be read, or changes."""
    digest, told = hashlib.sha256(), time.monotonic()
    try:
        with open_plain(path) as file:
            before = os.fstat(file.fileno())
            yield Progress(f"Checking {path.name}", 0, before.st_size)
            while block := file.read(_BLOCK):
                digest.update(block)
                if time.monotonic() - told > _TELL_S:
                    told = time.monotonic()
                    yield Progress(f"Checking {path.name}", file.tell(), before.st_size)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise unreadable(path, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ModelError(f"{path}: changed while it was read. Wait until it is complete, then try again.")
    return Stamp(after.st_size, after.st_mtime_ns, digest.hexdigest())


def unreadable(path: Path, error: OSError) -> ModelError:
    """Return what to raise for a file that cannot be read."""
    return ModelError(f"{path}: cannot be read ({error.strerror or error}). Check that it is there.")
