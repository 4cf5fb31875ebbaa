"""Labels that were corrected elsewhere become edits: all of them, or only where they differ from the result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.labels import Map, as_uint8, overlay
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.review_lock import check_not_frozen


def take_labels(
    viewer: Any, image: Any, labels: NDArray[Any], name: str, scheme: PhaseScheme, *, whole: bool
) -> int:
    """Write labels into the edits of an image as one step of undo.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    image : Image
        What the labels are of.
    labels : ndarray of int, shape of the image
        1..K, 255 excluded; 0 says nothing and changes nothing.
    name : str
        Layer or file; named in errors.
    scheme : PhaseScheme
    whole : bool
        Take every label as said by the user; else only where it differs from the map on show.

    Returns
    -------
    int
        Pixels of the edits that are different now.

    Raises
    ------
    MicrographError
        Labels or edits that do not fit the image; or there is no result that they could differ from.
    SchemeError
        A value that is no phase.
    ProjectError
        The field is reviewed.
    """
    check_not_frozen(image)
    said = _checked(labels, image, name, scheme)
    edits = roles.ready_edits(viewer, image, scheme)
    roles.check_edits(edits, image)
    wanted = said != NOT_CLASSIFIED
    if not whole:
        wanted &= said != _shown(viewer, image, edits)
    where = np.nonzero(wanted & (said != edits.data))
    if not where[0].size:
        return 0
    # The way of a brush: one step of undo, and everyone who listens to strokes hears of it.
    edits.data_setitem(where, said[where].astype(edits.data.dtype))
    edits.refresh()
    return int(where[0].size)


def _checked(labels: NDArray[Any], image: Any, name: str, scheme: PhaseScheme) -> Map:
    shape = roles.data_shape(image)
    if labels.shape != shape:
        raise MicrographError(
            f"{name}: is {' x '.join(map(str, labels.shape))} px, but {image.name!r} is "
            f"{' x '.join(map(str, shape))} px. Labels must match pixel by pixel: choose those of this image."
        )
    present = np.unique(labels)
    scheme.check_labels(present.tolist(), source=name)
    if not (present != NOT_CLASSIFIED).any():
        raise MicrographError(
            f"{name}: holds no label, only 0 (not classified). Choose the layer that was corrected."
        )
    return as_uint8(labels)


def _shown(viewer: Any, image: Any, edits: Any) -> Map:
    phases = roles.find_layer(viewer, image, "phases")
    if phases is None or roles.same_grid(phases, image) is not None:
        raise MicrographError(
            f"{image.name!r} has no result that labels could differ from. Segment it first, or take all labels."
        )
    return overlay(phases.data, edits.data)
