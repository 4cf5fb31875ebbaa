"""Shows one pixel after the other in a viewer, the prediction hidden, and then leaves the viewer as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.jobs.plane_index import Index
from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.identity import give_role, role_of
from phaseguide.widgets.layers.planes import data_shape

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

NAME = "point to name"
ROLE = "point"
FIELD_PX = (150, 400)
"""Least and greatest side of the surroundings that are shown at first, in px of the image."""

_SCREEN = 600.0  # about what a canvas has, in pixels of the screen
_GAP, _ARM = 7.0, 26.0  # where the arms of the cross begin, and how long they are, in pixels of the screen
_ARMS = ((-1, 0), (0, 1), (1, 0), (0, -1))


def is_marked(viewer: ViewerModel) -> bool:
    """Whether points are being shown in a viewer."""
    return any(role_of(layer) == ROLE for layer in viewer.layers)


class PointMarker:
    """From `begin` to `end` only the image is seen, with a cross whose middle is the pixel to name.

    Parameters
    ----------
    index : tuple of int
        Plane of the image; ``()`` for a plain one.
    """

    def __init__(self, viewer: ViewerModel, image: Image, index: Index) -> None:
        self._viewer, self._image, self._index = viewer, image, index
        self._pixel = (0, 0)
        self._cross: Any = None
        camera, selection = viewer.scene.camera, viewer.layers.selection
        self._seen: list[tuple[Any, bool]] = []
        self._selected, self._active = set(selection), selection.active
        self._camera = (viewer.dims.ndisplay, tuple(camera.angles), tuple(camera.center), camera.zoom)
        self._step = tuple(viewer.dims.current_step)

    def begin(self) -> None:
        """Hide all but the image and come close to it."""
        self._seen = canvas_of(self._viewer).lend()
        for layer, _ in self._seen:
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
        canvas_of(viewer).take_back(self._seen)
        there = [layer for layer in self._selected if layer in viewer.layers]
        viewer.layers.selection.active = self._active if self._active in there else None
        viewer.layers.selection.update(there)
        camera = viewer.scene.camera
        viewer.dims.ndisplay, camera.angles, camera.center, camera.zoom = self._camera
        if len(self._step) == viewer.dims.ndim:
            viewer.dims.current_step = self._step

    def _draw(self, event: Any = None) -> None:
        """Draw the cross around the pixel, which stays free; it has the same size on the screen at any zoom."""
        from napari.layers import Points

        unit = 1 / self._viewer.scene.camera.zoom
        middle = np.asarray(self._image.data_to_world((*self._index, *self._pixel)), dtype=np.float64)
        places = np.repeat(middle[None], len(_ARMS), axis=0)
        places[:, -2:] += np.array(_ARMS) * (_GAP + _ARM / 2) * unit
        if self._cross is not None and self._cross in self._viewer.layers:
            self._cross.data, self._cross.size = places, _ARM * unit
            return
        self._cross = Points(
            places,
            size=_ARM * unit,
            symbol=["vbar", "hbar", "vbar", "hbar"],
            face_color="#ffee00",
            border_color="black",  # a dark rim around a bright bar is seen on any grey
            border_width=0.08,
            name=NAME,
            units=self._image.units,
            axis_labels=self._image.axis_labels,
        )
        give_role(self._cross, ROLE, self._image)
        self._viewer.add_layer(self._cross)  # becomes active, so that a drag cannot paint or move anything
        self._cross.editable = False

    def _pixel_size(self) -> float:
        """Edge of a pixel in world units; the geometric mean if it is not square."""
        return float(np.sqrt(np.prod(np.abs(self._image.scale[-2:]))))
