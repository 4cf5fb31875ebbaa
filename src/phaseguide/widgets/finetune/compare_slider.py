"""Before and after on the image: a line that uncovers the new map, or a fade; in layers of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSlider, QVBoxLayout, QWidget

from phaseguide.jobs.plane_index import Index
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.maps import AFTER, BEFORE, Window, is_there, remove_map, show_map
from phaseguide.widgets.qt.plain_text import Label

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

STEPS = 1000
OPACITY = 0.6


@dataclass(frozen=True)
class Maps:
    """What the old and the new model see in a window of a plane; labels of shape (H, W)."""

    image: Image
    index: Index
    window: Window
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    old: PhaseScheme
    new: PhaseScheme

    def changed(self) -> float:
        """Share of the pixels that another phase is seen in, by name; in [0, 1]."""
        names = np.array(["", *self.old.names], dtype=object), np.array(["", *self.new.names], dtype=object)
        return float(np.mean(names[0][self.before] != names[1][self.after]))


class CompareSlider(QWidget):
    """A slider and the choice how it uncovers; ``closed`` when the layers are taken away."""

    closed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.maps: Maps | None = None
        self._layers: tuple[Labels, Labels] | None = None
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setToolTip("Left of the line the model before, right of it the new one.")
        self.how = QComboBox()
        self.how.addItem("Line", "line")
        self.how.addItem("Fade", "fade")
        self.close_button = QPushButton("End comparison")
        self.close_button.setToolTip("Take the two layers away again.")
        self.share = Label()
        self.share.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(Label("before"))
        row.addWidget(self.slider, 1)
        row.addWidget(Label("after"))
        column.addLayout(row)
        below = QHBoxLayout()
        below.addWidget(self.how)
        below.addWidget(self.close_button, 1)
        column.addLayout(below)
        column.addWidget(self.share)
        self.slider.valueChanged.connect(self._draw)
        self.how.currentIndexChanged.connect(self._on_how)
        self.close_button.clicked.connect(self.end)
        self.hide()

    def begin(self, maps: Maps) -> None:
        """Show two maps."""
        self.end()
        self.maps = maps
        self._layers = (
            self._show(BEFORE, maps.old, maps.before),
            self._show(AFTER, maps.new, maps.after),
        )
        self.share.setText(f"{maps.changed():.1%} of the field on show is another phase now.")
        self.slider.blockSignals(True)
        self.slider.setValue(STEPS // 2)
        self.slider.blockSignals(False)
        self.show()
        self._on_how()

    def end(self) -> None:
        """Take the layers away."""
        maps, self.maps, self._layers = self.maps, None, None
        self.hide()
        if maps is not None:
            for role in (BEFORE, AFTER):
                remove_map(self._viewer, maps.image, role)
            self.closed.emit()

    def _show(self, role: str, scheme: PhaseScheme, labels: NDArray[np.uint8]) -> Labels:
        m = self.maps
        assert m is not None
        return show_map(self._viewer, m.image, role, scheme, m.index, m.window, labels, opacity=OPACITY)

    def _on_how(self, *_: Any) -> None:
        m, both = self.maps, self._layers
        if m is None or both is None:
            return
        if not self._alive():
            self.end()
            return
        fade = self.how.currentData() == "fade"
        self.slider.setToolTip(
            "Left: the model before; right: the new one."
            if fade
            else "Left of the line the model before, right of it the new one."
        )
        for layer, labels in zip(both, (m.before, m.after), strict=True):
            layer.data[(*m.index, *m.window)] = labels
            layer.opacity = OPACITY
            layer.refresh(thumbnail=False, extent=False, highlight=False)
        self._draw()

    def _draw(self, *_: Any) -> None:
        m, both = self.maps, self._layers
        if m is None or both is None:
            return
        if not self._alive():
            self.end()
            return
        value = self.slider.value() / STEPS
        if self.how.currentData() == "fade":
            # To the left the new map is under the cursor: old at 0, new at 1.
            both[0].opacity, both[1].opacity = OPACITY * (1 - value), OPACITY * value
            return
        width = m.window[1].stop - m.window[1].start
        cut = round(value * width)
        # Where both maps are alike, only a gap shows where the line is.
        gap = max(1, width // 400) if 0 < cut < width else 0
        for layer, labels, kept in (
            (both[0], m.before, slice(0, cut - gap)),
            (both[1], m.after, slice(cut + gap, width)),
        ):
            shown = layer.data[(*m.index, *m.window)]
            shown[:] = 0
            shown[:, kept] = labels[:, kept]
            layer.refresh(thumbnail=False, extent=False, highlight=False)

    def _alive(self) -> bool:
        """Whether image and layers are still there; a user may have removed one."""
        assert self.maps is not None and self._layers is not None
        return is_there(self._viewer, self.maps.image) and all(
            layer in self._viewer.layers for layer in self._layers
        )
