"""Embeddings on disk: one ``.safetensors`` for each view of each tile of an image, within a size limit.

A folder holds one subfolder an image. Files appear complete or not at all, the images that were used least
recently go first, and what cannot be read is made again. Free of torch.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.folders import user_cache_folder
from phaseguide.segmentation.settings import Advanced

FOLDER_VARIABLE = "PHASEGUIDE_EMBEDDINGS"
LIMIT_VARIABLE = "PHASEGUIDE_EMBEDDINGS_GB"
DEFAULT_LIMIT_GB: float = Advanced.default("embeddings_gb")
SUFFIX = ".safetensors"

_OLD_SUFFIX = ".zarr.zip"  # of earlier versions: never read, and removed with the image
_IMAGE = re.compile("[0-9a-f]{64}")  # nothing else in the folder is touched, whatever the user chose
_HALF_WRITTEN = ".writing-"
_LOCK = ".lock"
_LOCK_WAIT_S = 10.0
_ABANDONED_S = 3600.0

Cause = Literal["damaged", "unreadable", "unwritable", "too large"]


class EmbeddingError(PhaseguideError):
    """Embeddings could not be read from disk or written there; the work goes on without."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Unit:
    """What one file holds: arrays, and JSON values that say how to use them."""

    arrays: tuple[NDArray[Any], ...]
    details: Mapping[str, Any]


def write_unit(
    path: Path, about: Mapping[str, Any], arrays: Sequence[NDArray[Any]], details: Mapping[str, Any]
) -> None:
    """Write a file; ``about`` and ``details`` are JSON values."""
    from safetensors.numpy import save_file

    told = json.dumps({"about": about, "details": details}, sort_keys=True)
    whole = [np.ascontiguousarray(array) for array in arrays]
    metadata = {"told": told, "sha256": _checksum(told, whole)}
    save_file({str(number): array for number, array in enumerate(whole)}, path, metadata)


def read_unit(path: Path, about: Mapping[str, Any]) -> Unit | None:
    """Read a file; None if it is about something else, and any error where it is not what was written."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        told = json.loads(metadata["told"])
        if told["about"] != about:
            return None
        arrays = tuple(file.get_tensor(str(number)) for number in range(len(file.keys())))
    if metadata["sha256"] != _checksum(metadata["told"], arrays):
        raise ValueError("what it holds does not match its checksum")
    return Unit(arrays, dict(told["details"]))


@dataclass(frozen=True)
class KeptImage:
    """The embeddings of one image: their folder, size in bytes, and when they were used, in s since 1970."""

    folder: Path
    size: int
    used: float


@dataclass(frozen=True)
class EmbeddingFolder:
    """A folder of embeddings, made when something is written, and how many bytes it may hold."""

    path: Path
    limit: int = round(DEFAULT_LIMIT_GB * 1e9)

    def has(self, image: str, name: str) -> bool:
        """Whether there is a file of this name for this image."""
        return self._file(image, name).is_file()

    def read(self, image: str, name: str, about: Mapping[str, Any]) -> Unit | None:
        """Read a file of an image, given by its checksum; None if it is not there, or about something else.

        ``about`` is told by `phaseguide.segmentation.network.embedding_keys`. Raises `EmbeddingError` where the file
        is damaged, and was removed, or where the system does not let it be read.
        """
        path = self._file(image, name)
        if path.parent.is_symlink() or not path.is_file():
            return None
        try:
            unit = read_unit(path, {**about, "image": image})
        except MemoryError:
            raise
        except FileNotFoundError:  # another process has just made room
            return None
        except OSError as error:
            reason = error.strerror or error
            raise EmbeddingError(
                "unreadable", f"{path}: embeddings cannot be read ({reason}). They are computed again."
            ) from error
        except Exception as error:  # a damaged file makes safetensors and json raise whatever they like
            with suppress(OSError):
                path.unlink()
            raise EmbeddingError(
                "damaged", f"{path}: these embeddings are damaged. They are computed again."
            ) from error
        with suppress(OSError):
            os.utime(path.parent)
        return unit

    def write(
        self,
        image: str,
        name: str,
        about: Mapping[str, Any],
        arrays: Sequence[NDArray[Any]],
        details: Mapping[str, Any],
    ) -> None:
        """Write a file, and remove the images that were used least recently where there are too many.

        The image is told in it: a file in another image's folder is not of that one. Raises `EmbeddingError` where
        there is no space or no permission, or where the image alone would exceed the limit.
        """
        path = self._file(image, name)
        temporary = self.path / f"{_HALF_WRITTEN}{uuid.uuid4().hex}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if path.parent.is_symlink():
                raise NotADirectoryError(
                    errno.ENOTDIR, "a link lies in the place of a folder", str(path.parent)
                )
            write_unit(temporary, {**about, "image": image}, arrays, details)
            with self._locked():
                size = temporary.stat().st_size
                for old in path.parent.glob(f"*{_OLD_SUFFIX}"):
                    old.unlink()
                if _size(path.parent) + size > self.limit:
                    raise EmbeddingError(
                        "too large",
                        f"The embeddings of this image take more than the {self.limit / 1e9:g} GB that may be kept on "
                        "disk, so not all are kept. Raise the limit to keep them.",
                    )
                path.parent.mkdir(exist_ok=True)
                os.utime(path.parent)
                os.replace(temporary, path)
                self._make_room(path.parent)
        except Timeout:
            return  # a very busy folder; the next session tries again
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EmbeddingError(
                "unwritable",
                f"{self.path}: embeddings cannot be kept there ({reason}), so the next session computes them again. "
                "Free some space, or choose a folder that you may write to.",
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def images(self) -> list[KeptImage]:
        """List what is kept, used least recently first."""
        found: list[KeptImage] = []
        with suppress(OSError), os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(OSError):  # another process may be making room
                    if _IMAGE.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                        size = _size(Path(entry.path))
                        if size:
                            found.append(KeptImage(Path(entry.path), size, entry.stat().st_mtime))
        return sorted(found, key=lambda kept: kept.used)

    def size(self) -> int:
        """Bytes that are taken, half-written files included."""
        total = sum(kept.size for kept in self.images())
        for path in self.path.glob(f"{_HALF_WRITTEN}*"):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    def clear(self) -> int:
        """Remove all embeddings, and nothing else; returns the bytes that freed, or raises `PhaseguideError`."""
        if not self.path.is_dir():
            return 0
        before = self.size()
        try:
            with self._locked():
                for kept in self.images():
                    _remove(kept.folder)
                self._remove_abandoned(0.0)
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PhaseguideError(
                f"{self.path}: cannot be cleared ({reason}). Check that you may write to this folder, and that no "
                "other program is at work there."
            ) from error
        left = self.size()
        if self.images():
            raise PhaseguideError(
                f"{self.path}: {left / 1e6:.0f} MB could not be removed. Check that you may write to this folder."
            )
        return before - left

    def _locked(self) -> Any:
        """Keep other processes from making room at the same time."""
        return FileLock(self.path / _LOCK, timeout=_LOCK_WAIT_S, poll_interval=0.01)

    def _make_room(self, newest: Path) -> None:
        """Remove whole images until the limit is kept; ``newest`` stays."""
        self._remove_abandoned(_ABANDONED_S)
        kept = self.images()
        total = sum(one.size for one in kept)
        for one in kept:
            if total <= self.limit:
                return
            if one.folder != newest:
                _remove(one.folder)
                total -= one.size

    def _remove_abandoned(self, age_s: float) -> None:
        """Remove what processes that were killed have left half-written."""
        for path in self.path.glob(f"{_HALF_WRITTEN}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime >= age_s:
                    path.unlink()

    def _file(self, image: str, name: str) -> Path:
        return self.path / image / f"{name}{SUFFIX}"


def default_folder() -> Path:
    """Folder of embeddings where none was named; the variable PHASEGUIDE_DATA_DIR moves it."""
    return user_cache_folder() / "embeddings"


def embedding_folder(wish: str, limit_gb: float | None = None) -> EmbeddingFolder | None:
    """Read a user's wish: a folder, ``on`` (`default_folder`) or ``off``.

    The limit is by default what the variable PHASEGUIDE_EMBEDDINGS_GB says, or 10. Raises `PhaseguideError` where a
    file is in the folder's place, or the limit is no positive number.
    """
    word = wish.strip().lower()
    if word in ("", "off", "0", "no", "false"):
        return None
    path = default_folder() if word in ("on", "1", "yes", "true") else Path(wish).expanduser()
    if path.exists() and not path.is_dir():
        raise PhaseguideError(f"{path}: is a file, but embeddings need a folder. Choose another one, or off.")
    limit = _limit_gb() if limit_gb is None else limit_gb
    if not 0 < limit < float("inf"):
        raise PhaseguideError(f"A limit of {limit:g} GB for embeddings cannot be meant. Give more than 0.")
    return EmbeddingFolder(path, round(limit * 1e9))


def default_location() -> str:
    """Return what the variable PHASEGUIDE_EMBEDDINGS says; empty if it is not set."""
    return os.environ.get(FOLDER_VARIABLE, "")


def usual_embedding_folder() -> EmbeddingFolder | None:
    """Return the folder that the variables name; None if they name none. Errors as `embedding_folder`."""
    return embedding_folder(default_location())


def _limit_gb() -> float:
    text = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT_GB)
    try:
        return float(text)
    except ValueError:
        raise PhaseguideError(
            f"{LIMIT_VARIABLE} is {text!r}, which is no number. Set it to gigabytes, for example 10."
        ) from None


def _checksum(told: str, arrays: Sequence[NDArray[Any]]) -> str:
    """Sha256 of what a file says of itself, and of types, shapes and numbers."""
    digest = hashlib.sha256(told.encode())
    for array in arrays:
        digest.update(f"|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    """The embeddings of one image, also of earlier versions."""
    return [path for path in folder.iterdir() if path.name.endswith((SUFFIX, _OLD_SUFFIX))]


def _size(folder: Path) -> int:
    """Bytes of the embeddings of one image; 0 if there are none."""
    total = 0
    with suppress(OSError):
        for path in _files(folder):
            with suppress(OSError):
                total += path.stat().st_size
    return total


def _remove(folder: Path) -> None:
    """Remove the embeddings of one image, and nothing that is not one."""
    with suppress(OSError):
        for path in _files(folder):
            with suppress(OSError):
                path.unlink()
        folder.rmdir()
