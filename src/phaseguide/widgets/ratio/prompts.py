"""Prompts in the widget: boxes of a Shapes layer and points of a Points layer, each for a phase."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QPushButton, QVBoxLayout, QWidget

from phaseguide.jobs.plane_index import Index
from phaseguide.models.sam.prompts import Prompts
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.identity import give_role, may_serve, plain, role_of
from phaseguide.widgets.layers.layer_choice import LayerBox
from phaseguide.widgets.layers.planes import data_shape
from phaseguide.widgets.layers.roles import geometry
from phaseguide.widgets.qt.dock import listen
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.ratio.prompt_layers import look, mark, read_prompts

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points, Shapes

TIP = (
    "Show the network where a phase is: a box around it, or a point on it. The mask follows, with or without expected "
    "values. Areas are then no measurement; Without guidance stays what the model finds alone."
)
TOOLS = {"boxes": "add_rectangle", "points": "add"}
BUTTONS = {"boxes": "Draw boxes", "points": "Set points"}


class PromptsBox(QWidget):
    """A combo box for each of the two layers, and the phase that the next box or point stands for.

    Parameters
    ----------
    image : callable
        Returns the chosen image layer, or None; new layers are made to lie on it.
    """

    changed = Signal()
    """What `prompts` returns may be another now."""

    def __init__(self, viewer: ViewerModel, image: Callable[[], Image | None]) -> None:
        super().__init__()
        self.viewer, self._image = viewer, image
        self.scheme: PhaseScheme | None = None
        self._watched: dict[str, Any] = {"boxes": None, "points": None}
        self._told: Any = ()
        self._left_out: weakref.WeakSet[Any] = weakref.WeakSet()
        self.phase_box = QComboBox()
        self.phase_box.setToolTip(
            "What the next box or point stands for. Select boxes or points on the image first to change theirs."
        )
        self.absent = QCheckBox("is not there (points only)")
        self.absent.setToolTip("The next points say that the phase is not where they are.")
        self.layer_boxes, self.buttons = {}, {}
        for kind in TOOLS:
            combo = self.layer_boxes[kind] = LayerBox(viewer, partial(self._find_layers, kind), TIP, "none")
            combo.setMinimumContentsLength(8)
            combo.changed.connect(partial(self._on_layer, kind))
            combo.activated.connect(partial(self._on_choice, kind))
            button = self.buttons[kind] = QPushButton(BUTTONS[kind])
            button.setToolTip(f"Make a layer for {kind} on the image, and take the tool.")
            button.clicked.connect(lambda _, kind=kind: self.draw(kind))
        self.phase_box.currentIndexChanged.connect(self._on_meaning)
        self.absent.toggled.connect(self._on_meaning)
        self._lay_out()

    # -- what others ask of it --------------------------------------------------------------------

    def layer(self, kind: str) -> Shapes | Points | None:
        """The chosen layer of ``boxes`` or ``points``, or None."""
        return self.layer_boxes[kind].layer

    @property
    def meaning(self) -> int:
        """Label of the chosen phase, negative for "is not there"."""
        label = self.phase_box.currentIndex() + 1
        return -label if self.absent.isChecked() else label

    def prompts(self, image: Image, index: Index, scheme: PhaseScheme) -> Prompts | None:
        """Return the prompts on a plane of an image; None for nothing, and for a model that takes none.

        Raises
        ------
        MicrographError, SchemeError
            See `phaseguide.widgets.ratio.prompt_layers.read_prompts`.
        """
        if self.scheme is None:
            return None
        return read_prompts(self.layer("boxes"), self.layer("points"), image, index, scheme, self.meaning)

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Offer the phases of a model that takes prompts; None for one that does not."""
        if scheme == self.scheme:
            return
        before, self.scheme = self.phase_box.currentText(), scheme
        self.phase_box.blockSignals(True)
        self.phase_box.clear()
        self.phase_box.addItems([] if scheme is None else list(scheme.names))
        self.phase_box.setCurrentIndex(max(0, self.phase_box.findText(before)))
        self.phase_box.blockSignals(False)
        self._told = self._said()  # the new model is news enough

    def draw(self, kind: str) -> None:
        """Make a layer on the image, or take the chosen one, with the tool in hand."""
        from napari.layers import Points, Shapes
        from napari.utils.notifications import show_info

        image = self._image()
        if image is None or self.scheme is None:
            show_info("There is no image to draw on. Open a micrograph first.")
            return
        layer = self.layer(kind)
        if layer is None:
            make = Shapes if kind == "boxes" else Points
            about = {**look(self.scheme, image)[kind], **geometry(image), "name": f"{image.name} {kind}"}
            layer = make(ndim=len(data_shape(image)), **about)
            give_role(layer, kind, image)
            self.viewer.add_layer(layer)
            self.layer_boxes[kind].choose(layer)
        self._mark(kind, selected=False)
        self.viewer.layers.selection.active = layer
        layer.mode = TOOLS[kind]

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again."""
        for kind, combo in self.layer_boxes.items():
            combo.reset_choices()
            own = (
                layer for layer in self._find_layers(kind) if role_of(layer) and layer not in self._left_out
            )
            if combo.layer is None and (layer := next(own, None)) is not None:
                combo.choose(layer)

    def follow_image(self) -> None:
        """Offer the boxes and points of the chosen image, and take them, without telling of a change."""
        blocked = self.blockSignals(True)
        self.reset_choices()
        self.blockSignals(blocked)

    # -- keeping up -------------------------------------------------------------------------------

    def _find_layers(self, kind: str) -> list[Shapes | Points]:
        from napari.layers import Points, Shapes

        wanted = {"boxes": Shapes, "points": Points}[kind]
        image, layers = self._image(), (one for one in self.viewer.layers if isinstance(one, wanted))
        return [layer for layer in layers if may_serve(layer, kind, image)]

    def _on_choice(self, kind: str, _: int) -> None:
        """Remember which boxes or points of its own the user does not want on an image."""
        layer = self.layer(kind)
        if layer is None:
            self._left_out.update(plain(one) for one in self._find_layers(kind) if role_of(one))
        else:
            self._left_out.discard(plain(layer))

    def _on_layer(self, kind: str) -> None:
        if self._watched[kind] is not None:
            for event in _events(self._watched[kind]):
                event.disconnect(self._on_prompts)
        self._watched[kind] = layer = self.layer(kind)
        if layer is not None:
            for event in _events(layer):
                listen(self, event, self._on_prompts)
        self._tell()

    def _on_prompts(self, event: Any) -> None:
        action = str(getattr(event, "action", "")) if event.type == "data" else "changed"
        if action in ("added", "removed", "changed"):  # else it is only about to happen
            self._tell()

    def _on_meaning(self, *_: Any) -> None:
        for kind in TOOLS:
            layer = self.layer(kind)
            if layer is not None and self.scheme is not None:
                # What was just drawn is selected too while the tool is in hand; it stays what it is.
                self._mark(kind, selected=str(layer.mode) in ("select", "direct"))
        self._tell()

    def _mark(self, kind: str, *, selected: bool) -> None:
        meaning = abs(self.meaning) if kind == "boxes" else self.meaning
        assert self.scheme is not None
        mark(self.layer(kind), meaning, self.scheme, selected=selected)

    def _tell(self) -> None:
        """Tell of a change, if there is one: not of an empty layer, or of a phase for boxes to come."""
        said = self._said()
        if said != self._told:
            self._told = said
            if self.scheme is not None:
                self.changed.emit()

    def _said(self) -> Any:
        layers = [layer for kind in TOOLS if (layer := self.layer(kind)) is not None and len(layer.data)]
        said = []
        for layer in layers:
            words = layer.features.to_csv()
            colours = layer.edge_color if hasattr(layer, "edge_color") else layer.face_color
            places = b"".join(place.tobytes() for place in layer.data)
            corner, one = (0.0,) * layer.ndim, (1.0,) * layer.ndim
            where = (tuple(layer.data_to_world(corner)), tuple(layer.data_to_world(one)), str(layer.units))
            said.append((places, words, colours.tobytes(), where))
        return (*said, self.meaning) if said else ()

    def _lay_out(self) -> None:
        title = Label("Boxes and points")
        title.setToolTip(TIP)
        title.setStyleSheet("font-weight: bold;")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        grid.addWidget(Label("Phase"), 0, 0)
        grid.addWidget(self.phase_box, 0, 1, 1, 2)
        grid.addWidget(self.absent, 1, 1, 1, 2)
        for row, kind in enumerate(TOOLS, start=2):
            grid.addWidget(Label(kind.capitalize()), row, 0)
            grid.addWidget(self.layer_boxes[kind], row, 1)
            grid.addWidget(self.buttons[kind], row, 2)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 6, 0, 0)
        outer.addWidget(title)
        outer.addLayout(grid)


def _events(layer: Shapes | Points) -> list[Any]:
    """Events after which a layer's prompts may be others."""
    events = layer.events
    moved = (events.scale, events.translate, events.rotate, events.shear, events.affine, events.units)
    coloured = events.edge_color if hasattr(events, "edge_color") else events.face_color
    return [events.data, events.features, coloured, *moved]
