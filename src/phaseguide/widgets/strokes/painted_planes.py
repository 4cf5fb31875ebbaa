"""What is painted for a new material: the planes of all open images whose edits are of its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phaseguide.jobs.plane_index import Index, plane_name, plane_reader
from phaseguide.jobs.segment import Plane
from phaseguide.jobs.strokes.stages import paints
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.edit_log import scheme_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.widgets.layers.info_bars import InfoBars


def painted_for(viewer: ViewerModel, scheme: PhaseScheme) -> list[tuple[Image, Labels]]:
    """Images with an edits layer that was painted for these phases; strokes of other phases are never read as these."""
    found = []
    for image in roles.micrographs(viewer):
        edits = roles.find_layer(viewer, image, "edits")
        if edits is not None and scheme_of(edits) == scheme and roles.same_grid(edits, image) is None:
            found.append((image, edits))
    return found


def foreign_edits(viewer: ViewerModel, image: Image, scheme: PhaseScheme) -> Labels | None:
    """The edits layer of an image on which phases of another model are painted; None if there is none."""
    edits = roles.find_layer(viewer, image, "edits")
    if edits is None or scheme_of(edits) in (None, scheme) or not paints(np.asarray(edits.data)):
        return None
    return edits


def painted_scheme(viewer: ViewerModel, image: Image | None) -> PhaseScheme | None:
    """Phases that the strokes on an image were painted for; None without strokes."""
    edits = None if image is None else roles.find_layer(viewer, image, "edits")
    return scheme_of(edits) if edits is not None and paints(np.asarray(edits.data)) else None


def plane_of(viewer: ViewerModel, image: Image, index: Index, bars: InfoBars) -> Plane:
    """A plane with its edits as they are now; `MicrographError` where the edits do not fit."""
    edits = roles.find_layer(viewer, image, "edits")
    return Plane(
        index,
        plane_name(image.name, index),
        plane_reader(planes.full_data(image), index, rgb=image.rgb),
        roles.edits_of(edits, image, index),
        "" if edits is None else edits.name,
        bars.margins(image, index),
        image.unique_id,
        pixel_size_um=roles.pixel_size_um(image),
    )


def painted_planes(viewer: ViewerModel, scheme: PhaseScheme, bars: InfoBars) -> tuple[Plane, ...]:
    """All planes on which one of these phases is painted."""
    return tuple(
        plane_of(viewer, image, index, bars)
        for image, edits in painted_for(viewer, scheme)
        for index in planes.all_indices(image)
        if paints(np.asarray(edits.data[index]))
    )
