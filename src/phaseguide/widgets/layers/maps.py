"""Maps in a layer of their own: preview, before, after, islands that change phase; and edits that follow the phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.jobs.plane_index import Index
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.identity import KEY, mark_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

PREVIEW, BEFORE, AFTER, FIRST_MODEL = "preview", "before", "after", "first model"

Window = tuple[slice, slice]

VIEW_SIDE = 1024
"""Longest side of what is predicted for a preview or a comparison, in px."""


def is_there(viewer: ViewerModel, image: Image | None) -> bool:
    """Whether an image layer is still in the viewer."""
    return image is not None and any(layer.unique_id == image.unique_id for layer in viewer.layers)


def whole_plane(image: Image) -> Window:
    """Rows and columns of all of an image."""
    height, width = planes.data_shape(image)[-2:]
    return slice(0, height), slice(0, width)


def visible_window(image: Image, side: int = VIEW_SIDE) -> Window:
    """Rows and columns of an image that are on show, at most ``side`` px around their middle."""
    height, width = planes.data_shape(image)[-2:]
    corners = np.asarray(image.corner_pixels, dtype=np.float64)[:, : image.ndim][:, -2:]
    if image.multiscale:
        corners = corners * np.asarray(image.downsample_factors[image.data_level])[: image.ndim][-2:]
    window = []
    for (low, high), size in zip(corners.T, (height, width), strict=True):
        start, stop = int(np.clip(low, 0, size)), int(np.clip(high + 1, 0, size))
        if stop - start < 32:  # turned away from the image, or not drawn yet
            start, stop = 0, size
        if stop - start > side:
            start = (start + stop - side) // 2
            stop = start + side
        window.append(slice(start, stop))
    return window[0], window[1]


def show_map(
    viewer: ViewerModel,
    image: Image,
    role: str,
    scheme: PhaseScheme,
    index: Index,
    window: Window,
    labels: NDArray[np.uint8],
    *,
    opacity: float = 0.5,
) -> Any:
    """Write labels into a window of the image's layer of a role, made if needed; elsewhere it is empty."""
    layer, shape = roles.find_layer(viewer, image, role), planes.data_shape(image)
    where: tuple[Any, ...] = (*index, *window)
    place = [*index, window[0].start, window[0].stop, window[1].start, window[1].stop]
    if layer is None or layer.data.shape != shape:
        remove_map(viewer, image, role)
        data = np.zeros(shape, dtype=np.uint8)
        data[where] = labels
        with roles.keeping_active(viewer):
            layer = roles.add_labels(viewer, image, data, role, scheme, opacity=opacity)
    else:
        if roles.same_grid(layer, image) is not None:
            roles.lay_on(layer, image)
        if mark_of(layer).get("place", place) != place:
            layer.data[:] = 0
        layer.data[where] = labels
        layer.refresh(thumbnail=False, extent=False, highlight=False)
        roles.apply_scheme(layer, scheme)
    layer.metadata = {
        **layer.metadata,
        KEY: {**mark_of(layer), "scheme": scheme.to_dict(), "place": place},
    }
    layer.editable = False
    return layer


def remove_map(viewer: ViewerModel, image: Image, role: str) -> None:
    """Take a layer of a role away, if there is one."""
    layer = roles.find_layer(viewer, image, role)
    if layer is not None:
        with roles.keeping_active(viewer):
            viewer.layers.remove(layer)


def rewrite_labels(layer: Layer, labels: NDArray[np.uint8], scheme: PhaseScheme | None) -> None:
    """Give an edits layer other label numbers, in place.

    Its undo history goes: it would bring back numbers that mean other phases now. The phases editor
    has an undo of its own.
    """
    np.copyto(layer.data, labels.astype(layer.data.dtype))
    layer._reset_history()
    layer.refresh(extent=False, highlight=False)
    if scheme is not None:
        roles.apply_scheme(layer, scheme)
