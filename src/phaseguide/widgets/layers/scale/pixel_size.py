"""Gives an image layer, and all that lies on it, the size of a pixel that the user tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.layers.identity import KEY, belongs_to, copied_role
from phaseguide.widgets.layers.roles import MICROMETRE, alike, geometry, micrographs

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


def set_pixel_size(viewer: ViewerModel, image: Image, size_um: float, source: str) -> None:
    """Let a pixel of an image be so many micrometres wide and high, and note where that number comes from.

    Every layer that belongs to the image or lies where it lies goes along, and the same part of it stays on show. The
    hub of the viewer tells it to whoever keeps the image.

    Parameters
    ----------
    size_um : float
        Above 0.
    source : str
        In words for the record: "typed", "two clicks on the bar".
    """
    from napari.layers import Labels

    factor = size_um / np.abs(image.scale[-2:])
    corner = np.array(image.translate[-2:])
    # All is worked out before anything changes, since some layers follow the image by themselves.
    places = [
        (layer, *_place(layer, factor, corner))
        for layer in viewer.layers
        if _goes_along(viewer, layer, image)
    ]
    camera, axes = viewer.scene.camera, viewer.dims.displayed[-2:]
    zoom, centre = camera.zoom, np.array(camera.center, dtype=float)
    image.metadata = {
        **image.metadata,
        KEY: {**image.metadata.get(KEY, {}), "pixel_size_um": size_um, "scale_source": source},
    }
    for layer, scale, translate, units in places:
        layer.units = units
        layer.translate = translate
        layer.scale = scale
        if isinstance(layer, Labels):
            layer.brush_size = layer.brush_size  # else the circle around the brush keeps its old size
    if axes == (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        centre[-2:] = corner + (centre[-2:] - corner) * factor
        camera.center = tuple(centre)
        camera.zoom = zoom / float(factor.mean())
    tell(hub_of(viewer).pixel_size_set, image, float(size_um), source)


def _goes_along(viewer: ViewerModel, layer: Layer, image: Image) -> bool:
    """Whether a layer is the image, holds a role for it, or is a user's that lies where no other image lies."""
    if layer is image or belongs_to(layer, image):
        return True
    others = [one for one in micrographs(viewer) if one is not image]
    if layer in others or copied_role(layer):
        return False
    return _lies_on(layer, image) and not any(_lies_on(layer, other) for other in others)


def _lies_on(layer: Layer, image: Image) -> bool:
    """Whether rows and columns of a layer are in the units and of the size of those of an image."""
    mine, its = geometry(image), layer
    return bool(
        layer.ndim >= 2
        and alike(mine["scale"][-2:], its.scale[-2:])
        and alike(mine["translate"][-2:], its.translate[-2:])
        and tuple(mine["units"][-2:]) == tuple(its.units[-2:])
    )


def _place(layer: Layer, factor: Any, corner: Any) -> tuple[Any, Any, Any]:
    """Scale, place and units of a layer once the image has its new size of a pixel."""
    scale, translate = np.array(layer.scale), np.array(layer.translate)
    scale[-2:] = scale[-2:] * factor
    translate[-2:] = corner + (translate[-2:] - corner) * factor
    return scale, translate, (*layer.units[:-2], MICROMETRE, MICROMETRE)
