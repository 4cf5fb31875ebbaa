"""Combo boxes of a viewer's layers that keep their choice when layers come, go or are renamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox

from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.roles import micrographs
from phaseguide.widgets.qt.dock import listen

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


class LayerBox(QComboBox):
    """Layers of a viewer, of whatever kind.

    Parameters
    ----------
    find_layers : callable
        Returns the layers that can be chosen now, in the order in which they are listed.
    none : str, optional
        The first entry, which stands for no layer; default: there is none.
    """

    changed = Signal()
    """Another layer is chosen, or none any more."""

    def __init__(
        self, viewer: ViewerModel, find_layers: Callable[[], Sequence[Any]], tip: str, none: str | None = None
    ) -> None:
        super().__init__()
        self._viewer, self._find_layers = viewer, find_layers
        self._before = [] if none is None else [none]
        self._layers: list[Any] = []
        self.setToolTip(tip)
        self.setMinimumContentsLength(12 if none is None else 10)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.currentIndexChanged.connect(self.changed)
        for name in ("inserted", "removed", "reordered"):
            listen(self, getattr(viewer.layers.events, name), self.reset_choices)
        self.reset_choices()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        index = self.currentIndex() - len(self._before)
        return self._layers[index] if 0 <= index < len(self._layers) else None

    @property
    def layers(self) -> list[Any]:
        """All layers that can be chosen."""
        return list(self._layers)

    def choose(self, layer: Layer) -> None:
        """Choose a layer, if it is among those that can be chosen."""
        for index, known in enumerate(self._layers, start=len(self._before)):
            if known.unique_id == layer.unique_id:
                self.setCurrentIndex(index)

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again."""
        before = self.layer
        blocked = self.blockSignals(True)
        self.clear()
        self._layers = list(self._find_layers())
        self.addItems([*self._before, *(layer.name for layer in self._layers)])
        for layer in self._layers:
            listen(self, layer.events.name, self.reset_choices)
        if before is not None:
            self.choose(before)
        self.blockSignals(blocked)
        after = self.layer
        if (before and before.unique_id) != (after and after.unique_id):
            self.changed.emit()


class ImageBox(LayerBox):
    """The micrographs of a viewer; it follows the image that owns the canvas."""

    def __init__(self, viewer: ViewerModel) -> None:
        tip = "The micrograph. It follows the image that you select in the layer list, by itself or by a layer on it."
        super().__init__(viewer, lambda: micrographs(viewer), tip)
        canvas = canvas_of(viewer)
        listen(self, canvas.chosen, self._follow)
        self._follow(canvas.owner)

    def _follow(self, image: Image | None) -> None:
        if image is not None:
            self.choose(image)
