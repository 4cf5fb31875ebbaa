"""The map that a point count checks: the phases layer of the chosen image, on the plane on show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.estimation.point_plan import PointCountError, constrained_note
from phaseguide.jobs.plane_index import Index, plane_name
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.identity import KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels


@dataclass(frozen=True)
class PointMap:
    """A label map, and where it is.

    Attributes
    ----------
    image, layer : napari layers
        The micrograph, and its phases.
    index : tuple of int
        Plane; ``()`` for a plain image.
    labels : ndarray of uint8, shape (H, W)
    scheme : PhaseScheme
    note : str
        See `phaseguide.estimation.point_plan.PointPlan.map_note`.
    """

    image: Image
    layer: Labels
    index: Index
    labels: NDArray[np.uint8]
    scheme: PhaseScheme
    note: str

    @property
    def name(self) -> str:
        """What the user reads."""
        return plane_name(self.layer.name, self.index)


def find_map(viewer: ViewerModel, image: Image | None) -> PointMap:
    """Return the map of an image on the plane on show.

    Raises
    ------
    PointCountError
        No image, or no phases on it; says what to do.
    """
    if image is None:
        raise PointCountError("Open a micrograph and segment it first.")
    layer = roles.find_layer(viewer, image, "phases")
    if layer is None:
        raise PointCountError(f"{image.name!r} has no phases yet. Segment it first.")
    if (reason := roles.same_grid(layer, image)) is not None:
        raise PointCountError(f"{reason} Or segment it again.")
    mark, index = layer.metadata[KEY], planes.current_index(image, viewer.dims.point)
    labels = np.asarray(layer.data[index])
    if not labels.any():
        raise PointCountError(f"{plane_name(layer.name, index)!r} is empty. Segment it first.")
    scheme = PhaseScheme.from_dict(mark["scheme"], source=f"layer {layer.name!r}")
    made = mark.get("planes", {}).get(" ".join(map(str, index)), mark)
    note = constrained_note(made["own"], made["note"]) if made.get("note") and made.get("own") else ""
    return PointMap(image, layer, index, labels, scheme, note)
