"""Where to paint next, on the image: ranked frames in a layer of their own, and a key that jumps to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from phaseguide.errors import ModelError, TrainingError
from phaseguide.jobs.plane_index import Index, plane_reader
from phaseguide.widgets.finetune.state import FinetuneState, image_in_work
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.identity import give_role, role_of
from phaseguide.widgets.layers.maps import is_there
from phaseguide.widgets.qt.panel import small_label
from phaseguide.widgets.qt.shortcuts import Keys, with_key
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.finetuning.suggest_places import Place
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.phases import PhaseScheme
    from phaseguide.widgets.finetune.panel import FinetunePanel

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

    def __init__(self, viewer: ViewerModel, asked: Callable[[], tuple[Image, Find]]) -> None:
        super().__init__()
        self._viewer, self._asked = viewer, asked
        self.places: tuple[Place, ...] = ()
        self.at = -1
        self._image: Image | None = None
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
        self.find_button.clicked.connect(self.find_places)
        self.next_button.clicked.connect(self.jump)
        self._show_state()

    def find_places(self) -> None:
        """Rank places in the background."""
        from phaseguide.errors import PhaseguideError

        if self._busy:
            return
        try:
            image, find = self._asked()
        except PhaseguideError as error:
            self._say(str(error), alarm=True)
            return
        self._image, self._index = image, planes.current_index(image, self._viewer.dims.point)
        self._busy = True
        self._say("Looking for places …")
        in_background(self, find, self._found, self._failed)
        self._show_state()

    def jump(self) -> None:
        """Bring the next place into the middle."""
        if not self.places:
            return
        image, scheme = self._image, self._scheme
        if image is None or scheme is None or not is_there(self._viewer, image):
            self.clear()
            self._say("The image was removed. Choose another and look again.", alarm=True)
            return
        self.at = (self.at + 1) % len(self.places)
        place = self.places[self.at]
        world = image.data_to_world((*self._index, place.row, place.column))
        for axis, value in enumerate(world[:-2], start=self._viewer.dims.ndim - len(world)):
            self._viewer.dims.set_point(axis, value)
        camera = self._viewer.scene.camera
        camera.center = (0.0, *(float(v) for v in world[-2:]))
        side = (place.window[0].stop - place.window[0].start) * MARGIN
        pixel = float(np.sqrt(np.prod(np.abs(image.scale[-2:]))))
        camera.zoom = max(camera.zoom, SCREEN / (side * pixel))
        self._say(f"Place {place.rank} of {len(self.places)}. {place.describe(scheme)}")
        self.jumped.emit(image)

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
        image = self._image
        if image is None or not is_there(self._viewer, image):
            self.places = ()
            self._say("The image was removed meanwhile.", alarm=True)
        elif not self.places:
            self._say("There is no place left where the model hesitates over an area that a brush can label.")
        else:
            self._draw(image)
            self.jump()
        self._show_state()

    def _failed(self, error: BaseException) -> None:
        self._busy = False
        self._say(str(error), alarm=True)
        self._show_state()

    def _draw(self, image: Image) -> None:
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
            name=f"{image.name} paint next",
            **roles.geometry(image),
        )
        give_role(layer, ROLE, image)
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


def places_finder(viewer: ViewerModel, panel: FinetunePanel, state: FinetuneState) -> tuple[Image, Find]:
    """Return the image in work and a function that ranks its places; that runs in a worker.

    The newest model counts: that of the last result, unless the user went back from it, else the one
    that is chosen. A ratio that is complete counts too, as far as it is believed beside what the model sees.

    Raises
    ------
    PhaseguideError
        No image, or no model.
    """
    image = image_in_work(viewer)
    if image is None:
        raise TrainingError("Open an image first.")
    outcome = state.outcome
    fresh = outcome.result.model if outcome is not None and outcome.used != "old" else None
    newest = _newest(fresh, panel.model_box.path)
    index = planes.current_index(image, viewer.dims.point)
    read = plane_reader(planes.full_data(image), index, rgb=image.rgb)
    edits = roles.edits_of(roles.find_layer(viewer, image, "edits"), image, index)
    given = panel.sources.complete_ratio(image)
    name, pixel_size = image.name, roles.pixel_size_um(image)

    def find() -> tuple[tuple[Place, ...], PhaseScheme]:
        from phaseguide.widgets.layers.warm_up import warm_up

        warm_up()
        from phaseguide.events import run_to_end
        from phaseguide.finetuning.suggest_places import rank_places
        from phaseguide.micrographs.margins import find_margins
        from phaseguide.segmentation.edits import excluded_only
        from phaseguide.segmentation.request import Request
        from phaseguide.segmentation.session import Session

        model = newest()
        pixels = read()
        known = None if edits is None else edits.astype(np.uint8)
        known = find_margins(pixels).exclude(known, pixels.shape[:2])
        session = Session(
            model, pixels, edits=excluded_only(known), flips=False, name=name, pixel_size_um=pixel_size
        )
        scheme = model.card.scheme
        request = Request()
        if given is not None and len(given[0]) == len(scheme):
            request = Request(
                asked=np.array(given[0], dtype=np.float64), uncertainty=given[1], mode="matched"
            )
        told = run_to_end(session.segment(request))
        assert session.scores is not None
        if known is not None:
            known[known > len(scheme)] = 255  # a phase that this model does not know needs no label of it
        return rank_places(np.asarray(session.scores), told.imposed, edits=known), scheme

    return image, find


def _newest(fresh: LoadedModel | None, path: Path | None) -> Callable[[], LoadedModel]:
    """Return what gives the model in a worker: the one that was just learnt, else that of a file."""
    if fresh is not None:
        return lambda: fresh
    if path is None:
        raise ModelError("Choose a model first: it says where it hesitates.")

    def opened() -> LoadedModel:
        from phaseguide.models.zoo import open_model

        return open_model(path)

    return opened
