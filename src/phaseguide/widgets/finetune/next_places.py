"""Where to paint next, on the image: ranked frames in a layer of their own, and a key that jumps to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from phaseguide.jobs.plane_index import Index
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.identity import give_role, role_of
from phaseguide.widgets.layers.maps import is_there
from phaseguide.widgets.qt.panel import small_label
from phaseguide.widgets.qt.shortcuts import Keys, with_key
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from phaseguide.finetuning.suggest_places import Place
    from phaseguide.phases import PhaseScheme

ROLE, KEY_NEXT = "next places", "Ctrl+J"
MARGIN = 4.0
"""A place is shown in a field of so many times its side ..."""

SCREEN = 600
"""... on so many px of the screen, or closer if the user is closer."""

Find = Callable[[], "tuple[tuple[Place, ...], PhaseScheme]"]


class NextPlaces(QWidget):
    """Two buttons and a sentence.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    asked : callable
        Returns the chosen image layer and a function that ranks its places in a worker; raises what is
        wrong as `PhaseguideError`.
    """

    jumped = Signal(object)

    def __init__(self, viewer: Any, asked: Callable[[], tuple[Any, Find]]) -> None:
        super().__init__()
        self._viewer, self._asked = viewer, asked
        self.places: tuple[Place, ...] = ()
        self.at = -1
        self._image: Any = None
        self._index: Index = ()
        self._scheme: PhaseScheme | None = None
        self._busy = False
        self.find_button = QPushButton("Where to paint next")
        self.find_button.setToolTip(
            "Rank places by how much a label there would be expected to change, spread over the image."
        )
        self.next_button = QPushButton(with_key("Next", KEY_NEXT))
        self.next_button.setToolTip("Jump to the next place.")
        self.answer = small_label()
        row = QHBoxLayout()
        row.addWidget(self.find_button, 2)
        row.addWidget(self.next_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.answer)
        self.keys = Keys({KEY_NEXT: self.next_button})
        self.find_button.clicked.connect(self.find)
        self.next_button.clicked.connect(self.jump)
        self._show_state()

    def find(self) -> None:
        """Rank places in the background."""
        from phaseguide.errors import PhaseguideError

        if self._busy:
            return
        try:
            self._image, find = self._asked()
        except PhaseguideError as error:
            self._say(str(error), alarm=True)
            return
        self._index = planes.current_index(self._image, self._viewer.dims.point)
        self._busy = True
        self._say("Looking for places …")
        in_background(self, find, self._found, self._failed)
        self._show_state()

    def jump(self) -> None:
        """Bring the next place into the middle."""
        if not self.places:
            return
        if not is_there(self._viewer, self._image):
            self.clear()
            self._say("The image was removed. Choose another and look again.", alarm=True)
            return
        self.at = (self.at + 1) % len(self.places)
        place = self.places[self.at]
        world = self._image.data_to_world((*self._index, place.row, place.column))
        for axis, value in enumerate(world[:-2], start=self._viewer.dims.ndim - len(world)):
            self._viewer.dims.set_point(axis, value)
        camera = self._viewer.scene.camera
        camera.center = (0.0, *(float(v) for v in world[-2:]))
        side = (place.window[0].stop - place.window[0].start) * MARGIN
        pixel = float(np.sqrt(np.prod(np.abs(self._image.scale[-2:]))))
        camera.zoom = max(camera.zoom, SCREEN / (side * pixel))
        assert self._scheme is not None
        self._say(f"Place {place.rank} of {len(self.places)}. {place.describe(self._scheme)}")
        self.jumped.emit(self._image)

    def clear(self) -> None:
        """Take the layer away and forget the places."""
        self.places, self.at = (), -1
        for layer in list(self._viewer.layers):
            if role_of(layer) == ROLE:
                self._viewer.layers.remove(layer)
        self._show_state()

    def shut_down(self) -> None:
        """Give the key back and take the layer away."""
        self.keys.remove()
        self.clear()

    def _found(self, found: tuple[tuple[Place, ...], PhaseScheme]) -> None:
        self._busy = False
        self.clear()
        self.places, self._scheme = found
        if not is_there(self._viewer, self._image):
            self.places = ()
            self._say("The image was removed meanwhile.", alarm=True)
        elif not self.places:
            self._say("There is no place left where the model hesitates over an area that a brush can label.")
        else:
            self._draw()
            self.jump()
        self._show_state()

    def _failed(self, error: BaseException) -> None:
        self._busy = False
        self._say(str(error), alarm=True)
        self._show_state()

    def _draw(self) -> None:
        from napari.layers import Shapes

        frames = [self._frame(place) for place in self.places]
        active = self._viewer.layers.selection.active
        layer = Shapes(
            frames,
            shape_type="polygon",
            face_color="transparent",
            edge_color="#ffee00",
            edge_width=max(1.0, float(np.ptp(frames[0][:, -1])) / 24),
            features={"rank": [place.rank for place in self.places]},
            text={"string": "{rank}", "color": "#ffee00", "size": 11, "anchor": "upper_left"},
            name=f"{self._image.name} paint next",
            **roles.geometry(self._image),
        )
        give_role(layer, ROLE, self._image)
        self._viewer.add_layer(layer)
        layer.editable = False
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active  # the brush stays where it was

    def _frame(self, place: Place) -> NDArray[np.float64]:
        rows, columns = place.window
        corners = [(rows.start, columns.start), (rows.start, columns.stop), (rows.stop, columns.stop)]
        corners.append((rows.stop, columns.start))
        frame = np.zeros((4, len(self._index) + 2))
        frame[:, : len(self._index)] = self._index
        frame[:, -2:] = np.array(corners) - 0.5
        return frame

    def _show_state(self) -> None:
        self.find_button.setEnabled(not self._busy)
        self.next_button.setEnabled(bool(self.places) and not self._busy)
        self.keys.update()

    def _say(self, text: str, *, alarm: bool = False) -> None:
        self.answer.setText(text)
        self.answer.setStyleSheet(ALARM if alarm else "")
        self.answer.setVisible(bool(text))
