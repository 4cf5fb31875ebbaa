"""Shows one pixel after the other in a viewer, the prediction hidden, and then leaves the viewer as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.widgets.layers import KEY
from phaseguide.widgets.planes import Index, data_shape

NAME = "point to name"
ROLE = "point"
FIELD_PX = (150, 400)
"""Least and greatest side of the surroundings that are shown at first, in px of the image."""

_SCREEN = 600.0  # about what a canvas has, in pixels of the screen
_GAP, _HALF = 7, 34  # where the arms of the cross begin and end, in pixels of the screen


def is_marked(viewer: Any) -> bool:
    """Whether points are being shown in a viewer."""
    return any(layer.metadata.get(KEY, {}).get("role") == ROLE for layer in viewer.layers)


class PointMarker:
    """From `begin` to `end` only the image is seen, with a cross whose middle is the pixel to name.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    image : napari.layers.Image
    index : tuple of int
        Plane of the image; ``()`` for a plain one.
    """

    def __init__(self, viewer: Any, image: Any, index: Index) -> None:
        self._viewer, self._image, self._index = viewer, image, index
        self._pixel = (0, 0)
        self._cross: Any = None
        camera, selection = viewer.scene.camera, viewer.layers.selection
        self._visible = [(layer, layer.visible) for layer in viewer.layers]
        self._selected, self._active = set(selection), selection.active
        self._camera = (viewer.dims.ndisplay, tuple(camera.center), camera.zoom)
        self._step = tuple(viewer.dims.current_step)

    def begin(self) -> None:
        """Hide all but the image and come close to it."""
        for layer, _ in self._visible:
            layer.visible = layer.unique_id == self._image.unique_id
        self._viewer.dims.ndisplay = 2
        shorter = min(data_shape(self._image)[-2:])
        side = float(np.clip(shorter / 3, *FIELD_PX)) * self._pixel_size()
        self._viewer.scene.camera.zoom = _SCREEN / side
        self._viewer.scene.camera.events.zoom.connect(self._draw)

    def show(self, row: int, column: int) -> None:
        """Bring a pixel into the middle; the zoom stays as the user has it."""
        self._pixel = (row, column)
        place = (*self._index, row, column)
        world = self._image.data_to_world(place)
        for axis, value in enumerate(world[:-2], start=self._viewer.dims.ndim - len(world)):
            self._viewer.dims.set_point(axis, value)
        self._viewer.scene.camera.center = (0.0, *(float(v) for v in world[-2:]))
        self._draw()

    def end(self) -> None:
        """Take the cross away and put everything back that was changed and is still there."""
        viewer = self._viewer
        viewer.scene.camera.events.zoom.disconnect(self._draw)
        if self._cross is not None and self._cross in viewer.layers:
            viewer.layers.remove(self._cross)
        self._cross = None
        for layer, visible in self._visible:
            if layer in viewer.layers:
                layer.visible = visible
        viewer.layers.selection.clear()
        viewer.layers.selection.update(layer for layer in self._selected if layer in viewer.layers)
        if self._active is not None and self._active in viewer.layers:
            viewer.layers.selection.active = self._active
            viewer.layers.selection.update(layer for layer in self._selected if layer in viewer.layers)
        viewer.dims.ndisplay, viewer.scene.camera.center, viewer.scene.camera.zoom = self._camera
        if len(self._step) == viewer.dims.ndim:
            viewer.dims.current_step = self._step

    def _draw(self, event: Any = None) -> None:
        """Draw the cross around the pixel, which stays free; it has the same size on the screen at any zoom."""
        from napari.layers import Labels
        from napari.utils.colormaps import DirectLabelColormap

        unit = 1 / self._viewer.scene.camera.zoom
        middle = np.asarray(self._image.data_to_world((*self._index, *self._pixel)))[-2:]
        place = {"scale": (unit, unit), "translate": middle - _HALF * unit}
        if self._cross is not None and self._cross in self._viewer.layers:
            self._cross.scale, self._cross.translate = place["scale"], place["translate"]
            return
        # Drawn as labels: after a Points or Shapes layer is gone, software OpenGL crashes now and then in the
        # frame that draws another new layer (napari 0.9.2, Mesa 22.3).
        colours = {None: "transparent", 0: "transparent", 1: "black", 2: "#ffee00"}
        self._cross = Labels(
            _cross(),
            name=NAME,
            opacity=1.0,
            colormap=DirectLabelColormap(color_dict=colours),
            metadata={KEY: {"role": ROLE}},
            units=self._image.units[-2:],
            axis_labels=self._image.axis_labels[-2:],
            **place,
        )
        self._viewer.add_layer(self._cross)  # becomes active, so that a drag cannot paint or move anything
        self._cross.editable = False

    def _pixel_size(self) -> float:
        """Edge of a pixel in world units; the geometric mean if it is not square."""
        return float(np.sqrt(np.prod(np.abs(self._image.scale[-2:]))))


def _cross() -> NDArray[np.uint8]:
    """Picture of the cross, shape (69, 69): 2 its arms, 1 a dark rim, so that it is seen on any grey."""
    picture = np.zeros((2 * _HALF + 1, 2 * _HALF + 1), dtype=np.uint8)
    for value, width in ((1, 2), (2, 1)):
        gap, end = _GAP + 2 - width, _HALF + 1 - (2 - width)
        for side in (slice(_HALF - end + 1, _HALF - gap + 1), slice(_HALF + gap, _HALF + end)):
            middle = slice(_HALF - width + 1, _HALF + width)
            picture[side, middle] = value
            picture[middle, side] = value
    return picture
