"""Rescue copies: edits that a project could not take, kept in the user's own folder until they are restored.

A copy is one TIFF of two pages, what was painted and what the project had before, so that exactly what was changed
can be put on top of whatever the project holds later. Any program opens it.
"""

from __future__ import annotations

import io
import json
import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.files.atomic import write_bytes
from phaseguide.files.foreign import read_plain
from phaseguide.files.json_files import parse_json
from phaseguide.files.new_file import move_new
from phaseguide.folders import user_model_folder
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.projects import journal
from phaseguide.projects.places import FILE
from phaseguide.projects.project import Project

logger = logging.getLogger(__name__)

MOST_BYTES = 1 << 30

Pages = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class RescueCopy:
    """What a copy says of itself.

    ``project`` is its folder; by ``created`` it is known after it was moved. ``base_sha256`` is that of the edits that
    the project had, ``reason`` why it could not take these, ``phases`` the names of the phases 1, 2, 3 ... that were
    painted. Times are ISO 8601, UTC.
    """

    project: str
    created: str
    field_id: str
    image_sha256: str
    base_sha256: str
    time: str
    reason: str
    phases: list[str]

    def describe(self) -> str:
        """Say what is offered."""
        try:
            when = datetime.fromisoformat(self.time).astimezone().strftime("%d %B %Y, %H:%M")
        except ValueError:
            when = self.time
        return f"Edits of {self.field_id} from {when} could not be saved in the project. {self.reason}"


def rescue_folder() -> Path:
    """Folder of the copies, beside the user's models."""
    return user_model_folder().with_name("rescue")


def rescue_path(field_id: str, token: str) -> Path:
    """File that keeps a field's edits for whoever uses a token; a later copy takes the place of an earlier one."""
    return rescue_folder() / f"{field_id}-{token}.tif"


def keep_copy(
    path: Path, project: Project, field_id: str, edits: NDArray[Any], base: NDArray[Any], reason: str
) -> RescueCopy:
    """Write a copy, whole or not at all, of what was painted and what the project had; the same shape, any values."""
    import tifffile

    entry = project.field(field_id)
    copy = RescueCopy(
        str(project.folder),
        project.file.created,
        field_id,
        entry.images[0].sha256,
        sha256_of_array(base),
        journal.now(),
        reason,
        list(project.scheme.names),
    )
    pages = np.stack([edits, base])
    if pages.min() >= 0 and pages.max() <= 255:
        pages = pages.astype(np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pages,
        photometric="minisblack",
        compression="zlib",
        description=json.dumps(asdict(copy)),
        metadata=None,
    )
    write_bytes(path, buffer.getvalue())
    return copy


def find_copies(project: Project, *, but: str = "") -> dict[Path, RescueCopy]:
    """Copies of the edits of a project, oldest first, but those of one token; one that cannot be read stays where it
    is.

    A project that was moved since is known by its date, if nothing lies where it was.
    """
    known = {entry.id for entry in project.fields}
    found = {}
    for path in sorted(rescue_folder().glob("*.tif")):
        if path.name.startswith(".") or (but and path.stem.endswith(f"-{but}")):
            continue  # half written, or the session's own
        try:
            copy = _read(path)[0]
        except ProjectError as error:
            logger.warning("%s", error)
            continue
        here = copy.project == str(project.folder)
        moved = copy.created == project.file.created and not (Path(copy.project) / FILE).is_file()
        if (here or moved) and copy.field_id in known:
            found[path] = copy
    return dict(sorted(found.items(), key=lambda one: one[1].time))


def read_copy(path: Path) -> Pages:
    """Read what was painted, and what the project had before; `ProjectError` if the copy is gone or damaged."""
    return _read(path, pages=True)[1]


def discard_copy(path: Path) -> Path:
    """Move a copy that is not wanted to the recycle folder; return where it lies there."""
    stamp, number = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S"), 1
    recycle = user_model_folder().with_name("recycle")
    target = recycle / stamp / path.name
    while target.exists():
        number += 1
        target = recycle / f"{stamp}-{number}" / path.name
    move_new(path, target)
    return target


def _read(path: Path, *, pages: bool = False) -> tuple[RescueCopy, Pages]:
    import tifffile

    nothing = np.zeros((0, 0), np.uint8)
    try:
        with tifffile.TiffFile(io.BytesIO(read_plain(path, MOST_BYTES))) as tiff:
            copy = RescueCopy(**parse_json(tiff.pages.first.description))
            edits, base = (page.asarray() for page in tiff.pages) if pages else (nothing, nothing)
    except PhaseguideError:
        raise
    except Exception as error:  # a damaged TIFF fails in a dozen ways
        raise ProjectError(
            f"{path}: this rescue copy cannot be read ({error}). It stays where it is."
        ) from error
    return copy, (edits, base)
