"""A combo box of the viewer's image layers that keeps its choice when layers come, go or are renamed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox

from phaseguide.widgets.layers.roles import micrographs
from phaseguide.widgets.qt.dock import listen


class ImageBox(QComboBox):
    """Image layers of a viewer; it follows the image layer that the user selects."""

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers: list[Any] = []
        self.setToolTip("The micrograph. It follows the image layer that you select in the layer list.")
        self.setMinimumContentsLength(12)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.currentIndexChanged.connect(self.changed)
        listen(self, viewer.layers.events.inserted, self.reset_choices)
        listen(self, viewer.layers.events.removed, self.reset_choices)
        listen(self, viewer.layers.events.reordered, self.reset_choices)
        listen(self, viewer.layers.selection.events.active, self._follow)
        self.reset_choices()
        self._follow()

    @property
    def layer(self) -> Any:
        """The chosen image layer, or None."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    @property
    def layers(self) -> list[Any]:
        """All image layers, in the viewer's order."""
        return list(self._layers)

    def choose(self, layer: Any) -> None:
        """Choose an image layer."""
        for index, known in enumerate(self._layers):
            if known.unique_id == layer.unique_id:
                self.setCurrentIndex(index)

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again."""
        before = self.layer
        layers = micrographs(self._viewer)
        self.blockSignals(True)
        self.clear()
        self._layers = layers
        self.addItems([layer.name for layer in layers])
        for layer in layers:
            listen(self, layer.events.name, self.reset_choices)
        self.blockSignals(False)
        if before is not None:
            self.choose(before)
        after = self.layer
        if (before and before.unique_id) != (after and after.unique_id):
            self.changed.emit()

    def _follow(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active is not None:
            self.choose(active)
