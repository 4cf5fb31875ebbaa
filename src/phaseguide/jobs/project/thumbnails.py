"""Small pictures of the fields of a project and what they show: made from the files, in a worker thread."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.files.json_files import read_json
from phaseguide.labels import Map, area_shares, overlay
from phaseguide.phases import PhaseScheme

if TYPE_CHECKING:
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

LARGEST = (96, 72)
"""Width and height that a picture fits into, in px."""


@dataclass(frozen=True)
class Picture:
    """A field as it stands.

    Attributes
    ----------
    field_id : str
    thumbnail : ndarray of uint8, shape (h, w, 3), or None
        The image with its phases; None if the image cannot be read.
    shares : tuple of float, or None
        Area shares of the map with edits on top; None where there is no result.
    edited : float
        Share of the field that was painted, in [0, 1].
    problem : str
        Why the field cannot be read; empty if it can.
    notices : tuple of str
        What the record of its result tells.
    """

    field_id: str
    thumbnail: NDArray[np.uint8] | None
    shares: tuple[float, ...] | None
    edited: float
    problem: str = ""
    notices: tuple[str, ...] = ()


def make_pictures(
    project: Project, ids: Iterable[str], known: dict[str, NDArray[Any]]
) -> Generator[Picture, None, None]:
    """Yield a picture of each field.

    Parameters
    ----------
    known : dict
        Small images of fields that were read before, by id and checksum; filled here.
    """
    for field_id in ids:
        yield _make(project, field_id, known)


def _make(project: Project, field_id: str, known: dict[str, NDArray[Any]]) -> Picture:
    from phaseguide.segmentation.saving import overlay_image

    try:
        entry, scheme = project.field(field_id), project.scheme
        key = f"{field_id} {entry.images[0].sha256}"
        if key not in known:
            known[key] = smaller(_first_plane(project.read_image(field_id)))
        image = known[key]
        result, edits = project.read_result(field_id), project.read_edits(field_id)
    except PhaseguideError as error:
        return Picture(field_id, None, None, 0.0, str(error))
    edited = 0.0 if edits is None else float(np.count_nonzero(edits)) / edits.size
    shown = edits if result is None else overlay(result, edits)
    shares = None if result is None else _shares(shown, scheme)
    small = None if shown is None else smaller(shown)
    if small is None or small.shape != image.shape[:2]:
        small = np.zeros(image.shape[:2], dtype=np.uint8)
    return Picture(
        field_id, overlay_image(image, small, scheme), shares, edited, notices=_notices(project, entry)
    )


def _notices(project: Project, entry: FieldEntry) -> tuple[str, ...]:
    """Read what the record of a field's result tells; a record that cannot be read tells nothing."""
    if entry.result is None:
        return ()
    try:
        told = read_json(project.folder / entry.result.record).get("notices", ())
    except (OSError, ValueError, AttributeError):
        return ()
    return tuple(str(one) for one in told) if isinstance(told, list) else ()


def smaller(image: NDArray[Any]) -> NDArray[Any]:
    """Take every n-th pixel, so that an image fits into `LARGEST`; label maps stay label maps."""
    step = max(-(-image.shape[1] // LARGEST[0]), -(-image.shape[0] // LARGEST[1]), 1)
    return np.ascontiguousarray(image[::step, ::step])


def _first_plane(micrograph: Any) -> NDArray[Any]:
    data = micrograph.data[0] if micrograph.is_stack else micrograph.data
    return np.asarray(data)


def _shares(shown: Map | None, scheme: PhaseScheme) -> tuple[float, ...] | None:
    return None if shown is None else tuple(float(s) for s in area_shares(shown, len(scheme)))
