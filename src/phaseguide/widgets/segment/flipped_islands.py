"""Which islands change phase between two compositions, as a layer: by them a metallographer sees what a value means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from phaseguide.errors import MicrographError
from phaseguide.jobs.plane_index import Index
from phaseguide.labels import Map
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.review.flipped_drawing import DARK, LIGHT, drawn
from phaseguide.segmentation.review.flipped_islands import FlippedIslands, find_flipped_islands
from phaseguide.widgets.layers import maps, planes
from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.identity import KEY, mark_of
from phaseguide.widgets.qt.panel import AnswerLabel
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils.colormaps import DirectLabelColormap

ROLE = "disputed"

_FILL = "c8"
"""Opacity of what lies within the lines, in hex digits."""

Maker = Callable[[], Map | None]

Maps = dict[str, Maker]
"""Label maps of the plane on show by the name that the user reads; each is made in a worker thread."""


class FlippedIslandsBox(QWidget):
    """Two choices and a button; the answer is a sentence and the layer `<image> disputed`.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    current_image : callable
        Returns the chosen image layer, or None.
    scheme : callable
        Returns the phases of the maps, or None.
    maps : callable
        Returns the maps that can be compared, now, for the plane on show. A map that cannot be made
        is None. They are made one after the other in a worker thread, so they must not touch layers.
    """

    working = Signal(bool)
    """True when maps are being made, False when that is over."""

    def __init__(
        self,
        viewer: ViewerModel,
        current_image: Callable[[], Image | None],
        scheme: Callable[[], PhaseScheme | None],
        maps: Callable[[], Maps],
    ) -> None:
        super().__init__()
        self._viewer, self._image, self._scheme, self._maps = viewer, current_image, scheme, maps
        self._asked: tuple[Image, Any, Index] | None = None
        self.before, self.after = QComboBox(), QComboBox()
        for box in (self.before, self.after):
            # A long name of an earlier result must not widen the whole panel.
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(10)
        self._chosen: set[int] = set()
        self.button = QPushButton("Show islands that change phase")
        self.button.setToolTip(
            "Draw a double line around every island that is another phase in the second map, and fill it with the "
            "colour of that phase. Rims that move are hatched. Look at them to decide whether a value is plausible."
        )
        self.answer = AnswerLabel()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.addWidget(Label("Which islands change phase"), 0, 0, 1, 2)
        for row, (word, box) in enumerate((("between", self.before), ("and", self.after)), start=1):
            grid.addWidget(Label(word), row, 0)
            grid.addWidget(box, row, 1)
            box.activated.connect(lambda _, place=row - 1: self._chosen.add(place))
        grid.addWidget(self.button, 3, 0, 1, 2)
        grid.addWidget(self.answer, 4, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        self.button.clicked.connect(self.compare)
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether maps are being made."""
        return self._asked is not None

    def refresh(self) -> None:
        """Offer the maps that there are now, keeping what the user chose; to be called after each result."""
        names = list(self._maps())
        for box, place in ((self.before, 0), (self.after, 1)):
            chosen = box.currentText() if place in self._chosen else ""
            box.blockSignals(True)
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(names.index(chosen) if chosen in names else min(place, len(names) - 1))
            box.blockSignals(False)
        self.button.setEnabled(len(names) > 1 and not self.busy)

    def compare(self) -> None:
        """Make the two maps and compare them in the background, then show what differs."""
        image, scheme, maps = self._image(), self._scheme(), self._maps()
        names = (self.before.currentText(), self.after.currentText())
        if self.busy or image is None or scheme is None:
            return
        gone = [name for name in names if name not in maps]
        if gone:
            self.answer.say(f"There is no map {gone[0]!r} any more. Choose another.", alarm=True)
            self.refresh()
            return
        if names[0] == names[1]:
            self.answer.say(f"Both are {names[0]!r}: choose two different ones.")
            return
        index = planes.current_index(image, self._viewer.dims.point)
        self._asked = (image, planes.full_data(image), index)
        self.button.setEnabled(False)
        self.working.emit(True)
        self.answer.say("Comparing …")
        makers = maps[names[0]], maps[names[1]]
        in_background(
            self,
            lambda: find_flipped_islands(*_make(names, makers), scheme),
            lambda flipped: self._finish(names, flipped),
            self._fail,
        )

    def _finish(self, names: tuple[str, str], flipped: FlippedIslands) -> None:
        assert self._asked is not None
        image, data, index = self._asked
        self._rest()
        there = any(layer.unique_id == image.unique_id for layer in self._viewer.layers)
        if not there or planes.full_data(image) is not data:
            self.answer.say(f"{image.name!r} was changed or removed meanwhile. Compare again.", alarm=True)
            return
        if flipped.shown.shape != planes.data_shape(image)[-2:]:
            self.answer.say(
                f"The maps do not have the size of {image.name!r} any more. Segment again.", alarm=True
            )
            return
        show_flipped_islands(self._viewer, image, index, flipped, names)
        plane = f" (plane {' '.join(map(str, index))})" if index else ""
        if flipped.changes:
            self.answer.say(f"{names[0]} → {names[1]}{plane}: {flipped.describe()}")
        else:
            self.answer.say(f"{names[0]} and {names[1]}{plane} are the same map: no pixel changes its phase.")

    def _fail(self, error: BaseException) -> None:
        self._rest()
        self.answer.say(str(error), alarm=True)

    def _rest(self) -> None:
        self._asked = None
        self.working.emit(False)
        self.refresh()


def show_flipped_islands(
    viewer: ViewerModel, image: Image, index: Index, flipped: FlippedIslands, names: tuple[str, str]
) -> Labels:
    """Write what flips on one plane into the image's disputed layer, made if needed; other planes are emptied."""
    scheme, whole = flipped.scheme, maps.whole_plane(image)
    layer = maps.show_map(viewer, image, ROLE, scheme, index, whole, drawn(flipped), opacity=1.0)
    layer.features, layer.colormap = _features(flipped), _colormap(scheme)
    canvas_of(viewer).bring_up(layer)
    about = {"between": list(names), "plane": list(index), "share": flipped.share}
    layer.metadata = {**layer.metadata, KEY: {**mark_of(layer), **about}}
    return layer


def _make(names: tuple[str, str], makers: tuple[Maker, Maker]) -> tuple[Map, Map]:
    """Make both maps; to be called in a worker.

    Raises
    ------
    MicrographError
        One cannot be made.
    """
    before, after = (_made(name, make()) for name, make in zip(names, makers, strict=True))
    return before, after


def _made(name: str, labels: Map | None) -> Map:
    if labels is None:
        raise MicrographError(f"There is no map {name!r} of this plane yet. Segment it first.")
    return labels


def _colormap(scheme: PhaseScheme) -> DirectLabelColormap:
    """Colours of the phases, through which a little of the picture is seen, and of the lines."""
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colours.update({phase.label: f"{phase.colour[:7]}{_FILL}" for phase in scheme})
    return DirectLabelColormap(color_dict={**colours, LIGHT: "white", DARK: "black"})


def _features(flipped: FlippedIslands) -> dict[str, list[Any]]:
    """Columns by which the status bar says what a marked pixel becomes, and how much of the area does."""
    rows: list[tuple[int, str, str]] = [(0, "the same phase in both", "")]
    names = flipped.scheme.names
    for phase in flipped.scheme:
        to_it = [change for change in flipped.changes if change.after == phase.label]
        if to_it:
            parts = ", ".join(f"{c.share * 100:.2f} % was {names[c.before - 1]}" for c in to_it)
            rows.append((phase.label, phase.name, parts))
    rows += [(LIGHT, "edge of what changes", ""), (DARK, "beside an island that changes", "")]
    index, becomes, area = (list(column) for column in zip(*rows, strict=True))
    return {"index": index, "becomes": becomes, "area": area}
