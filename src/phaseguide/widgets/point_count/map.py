"""What a point count is made on: the map of the chosen image on the plane on show, or the bare image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.estimation.point_plan import PointCountError, constrained_note
from phaseguide.jobs.plane_index import Index, plane_name
from phaseguide.micrographs.margins import Margins
from phaseguide.models.model_file import read_card
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.layers.identity import KEY, mark_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels


@dataclass(frozen=True)
class PointMap:
    """A label map, and where it is; or an image without one.

    Attributes
    ----------
    image : napari layer
        The micrograph.
    layer : napari layer or None
        Its phases; None without a map, for points on a grid.
    index : tuple of int
        Plane; ``()`` for a plain image.
    labels : ndarray of uint8, shape (H, W)
        Without a map: 255 where nothing is to be counted, else 0.
    scheme : PhaseScheme
    note : str
        See `phaseguide.estimation.point_plan.PointPlan.map_note`.
    """

    image: Image
    layer: Labels | None
    index: Index
    labels: NDArray[np.uint8]
    scheme: PhaseScheme
    note: str = ""

    @property
    def name(self) -> str:
        """What the user reads."""
        return plane_name((self.layer or self.image).name, self.index)


def find_map(viewer: ViewerModel, image: Image | None, margins: Margins) -> PointMap:
    """Return the map of an image on the plane on show, or the image itself where it has none.

    Parameters
    ----------
    margins : Margins
        Bars and rims of that plane, which are not counted where there is no map.

    Raises
    ------
    PointCountError, PhaseguideError
        No image, phases that do not lie on it, or no phases that could be named; says what to do.
    """
    if image is None:
        raise PointCountError("Open a micrograph first.")
    layer, index = roles.find_layer(viewer, image, "phases"), planes.current_index(image, viewer.dims.point)
    if layer is None:
        return _bare(viewer, image, index, margins)
    if (reason := roles.same_grid(layer, image)) is not None:
        raise PointCountError(f"{reason} Or segment it again.")
    labels = np.asarray(layer.data[index])
    if not labels.any():
        return _bare(viewer, image, index, margins)
    mark = layer.metadata[KEY]
    scheme = PhaseScheme.from_dict(mark["scheme"], source=f"layer {layer.name!r}")
    made = mark.get("planes", {}).get(" ".join(map(str, index)), mark)
    note = constrained_note(made["own"], made["note"]) if made.get("note") and made.get("own") else ""
    return PointMap(image, layer, index, labels, scheme, note)


def _bare(viewer: ViewerModel, image: Image, index: Index, margins: Margins) -> PointMap:
    """An image without a map; its phases are those of what was painted on it, else those of the chosen model."""
    shape = planes.plane_shape(image)
    area = np.zeros(shape, dtype=np.uint8)
    edits = roles.find_layer(viewer, image, "edits")
    if edits is not None and roles.same_grid(edits, image) is None:
        area[np.asarray(edits.data[index]) == EXCLUDED] = EXCLUDED
    excluded = margins.exclude(area, shape)
    assert excluded is not None
    return PointMap(image, None, index, excluded, _scheme_of(viewer, image))


def _scheme_of(viewer: ViewerModel, image: Image) -> PhaseScheme:
    for role in ("phases", "edits"):
        layer = roles.find_layer(viewer, image, role)
        told = None if layer is None else mark_of(layer).get("scheme")
        if layer is not None and told:
            return PhaseScheme.from_dict(told, source=f"layer {layer.name!r}")
    model = hub_of(viewer).model
    if model is None:
        raise PointCountError(
            f"{image.name!r} has no phases yet that could be named. Choose a model in the step Image, or segment the "
            "image."
        )
    return read_card(model).scheme
