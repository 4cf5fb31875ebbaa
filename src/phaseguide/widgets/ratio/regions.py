"""Regions in the widget: the shapes of a Shapes layer, each with its own expected values."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from phaseguide.errors import MicrographError
from phaseguide.jobs.plane_index import Index
from phaseguide.micrographs.polygons import polygon_mask
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.regions import Region, RegionShares, Uncertainty, check_regions
from phaseguide.segmentation.saving import CONSTRAINED
from phaseguide.widgets.layers.identity import give_role, may_serve, plain, role_of
from phaseguide.widgets.layers.layer_choice import LayerBox
from phaseguide.widgets.layers.outlines import enclosure_problem, read_outlines, shape_names
from phaseguide.widgets.layers.planes import data_shape, plane_shape
from phaseguide.widgets.layers.roles import geometry
from phaseguide.widgets.qt.dock import later, listen
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.ratio.region_block import Entry, RegionBlock

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

ROLE = "regions"
"""Role of a layer that was made to draw regions of one image; one that others made may be used for any."""

TALLEST = 380
"""Height in px beyond which the regions scroll."""

TIP = (
    "Areas with expected values of their own, such as a coating or a weld. Choose the Shapes layer that they are "
    "drawn on. The table above then tells of the rest of the field."
)


class RegionsBox(QWidget):
    """A combo box of Shapes layers, and a block for each shape of the chosen one.

    Parameters
    ----------
    image : callable
        Returns the chosen image layer, or None; a new layer of regions is made to lie on it.
    """

    changed = Signal()
    """What `regions` returns may be another now."""

    def __init__(self, viewer: ViewerModel, image: Callable[[], Image | None]) -> None:
        super().__init__()
        self.viewer, self._image = viewer, image
        self.scheme: PhaseScheme | None = None
        self.uncertainty: Uncertainty = 0.3
        self.blocks: list[RegionBlock] = []
        # Held as long as the layer is: it may be out of the viewer for a while, with a field of a project.
        self._entries: weakref.WeakKeyDictionary[Shapes, list[Entry]] = weakref.WeakKeyDictionary()
        self._left_out: weakref.WeakSet[Shapes] = weakref.WeakSet()
        self._watched: Shapes | None = None
        self._last: tuple[Any, tuple[Region, ...]] | None = None
        self.layer_box = LayerBox(viewer, self._find_layers, TIP, "none")
        self.layer_box.changed.connect(self._on_layer)
        self.layer_box.activated.connect(self._on_choice)
        self.draw_button = QPushButton("Draw …")
        self.draw_button.setToolTip("Make a layer for regions on the image, and take the polygon tool.")
        self.draw_button.clicked.connect(self.draw)
        self.hint = Label("Click corners on the image; double-click closes the outline.")
        self.hint.setWordWrap(True)
        self.note = Label(f"In mask: {CONSTRAINED}.")
        self.note.setWordWrap(True)
        self.note.setStyleSheet("font-weight: bold;")
        self._lay_out()
        self._show_blocks()

    # -- what others ask of it --------------------------------------------------------------------

    @property
    def layer(self) -> Shapes | None:
        """The chosen Shapes layer, or None."""
        return self.layer_box.layer

    def regions(self, image: Image, index: Index, scheme: PhaseScheme) -> tuple[Region, ...]:
        """Return the regions on a plane of an image, checked, as a `Request` takes them.

        The same ones as the last time if nothing has changed, so that a session can know them again.

        Parameters
        ----------
        index : tuple of int
            A plane of the image. Shapes that were drawn on other planes are left out.

        Raises
        ------
        MicrographError
            A shape that encloses nothing, or a region without a pixel of the image.
        RatioError
            Expected values that cannot be meant.
        """
        self.set_scheme(scheme)
        if self.layer is None or not self.blocks:  # no layer, or nothing drawn on it
            return ()
        shape = plane_shape(image)
        names, drawn = self._names(), []
        for outline in read_outlines(self.layer, image, index):
            if index not in outline.planes:
                continue
            if outline.corners is None:
                raise MicrographError(f"Region {names[outline.row]!r} {outline.problem}")
            entry = self._entry(self.layer, outline.row)
            unsure = 0.0 if entry.exact else self.uncertainty
            drawn.append((names[outline.row], outline.corners, entry.asked(scheme), unsure))
        key = (shape, scheme, *((n, c.tobytes(), a.tobytes(), u) for n, c, a, u in drawn))
        if self._last is None or self._last[0] != key:
            regions = [Region(n, polygon_mask(c, shape), a, u) for n, c, a, u in drawn]
            self._last = (key, check_regions(regions, shape, scheme))
        return self._last[1]

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Make the rows of the blocks; what was typed for a phase of the same name is kept."""
        if scheme != self.scheme:
            self.scheme = scheme
            self._show_blocks()

    def set_uncertainty(self, uncertainty: Uncertainty) -> None:
        """Take the uncertainty that the chosen source means, for regions that are not locked."""
        self.uncertainty = uncertainty

    def finish(self) -> None:
        """Let every number count that is being typed."""
        for block in self.blocks:
            for box in block.boxes:
                box.finish()

    def show_shares(self, shares: Sequence[RegionShares]) -> None:
        """Show what was found in the regions of a result; an empty sequence shows nothing."""
        if not self.blocks:
            return
        known = {one.name: one for one in shares}
        for name, block in zip(self._names(), self.blocks, strict=False):
            one = known.get(name)
            if one is None or one.own.size != len(block.boxes):
                block.show_shares(None, None)
            else:
                block.show_shares(one.own, one.achieved)
        self.note.setVisible(any(one.asked is not None for one in shares))

    def draw(self) -> None:
        """Make a Shapes layer on the image, or take the chosen one, with the polygon tool in hand."""
        from napari.layers import Shapes
        from napari.utils.notifications import show_info

        image, layer = self._image(), self.layer
        if layer is None:
            if image is None:
                show_info("There is no image to draw on. Open a micrograph first.")
                return
            layer = Shapes(
                ndim=len(data_shape(image)),
                name=f"{image.name} regions",
                face_color="#ffffff18",
                edge_color="white",
                edge_width=max(1.0, min(data_shape(image)[-2:]) / 300),
                **geometry(image),
            )
            give_role(layer, ROLE, image)
            self.viewer.add_layer(layer)
            self.layer_box.choose(layer)
        self.viewer.layers.selection.active = layer
        layer.mode = "add_polygon"

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again."""
        self.layer_box.reset_choices()
        self._take_own()

    def follow_image(self) -> None:
        """Offer the regions of the chosen image, and take them, without telling of a change."""
        blocked = self.blockSignals(True)
        self.reset_choices()
        self.blockSignals(blocked)

    # -- keeping up -------------------------------------------------------------------------------

    def _find_layers(self) -> list[Shapes]:
        from napari.layers import Shapes

        image, shapes = self._image(), (one for one in self.viewer.layers if isinstance(one, Shapes))
        return [layer for layer in shapes if may_serve(layer, ROLE, image)]

    def _take_own(self) -> None:
        """Take the regions that were drawn for the chosen image, unless the user does not want them."""
        own = (layer for layer in self._find_layers() if role_of(layer) and layer not in self._left_out)
        if self.layer is None and (layer := next(own, None)) is not None:
            self.layer_box.choose(layer)

    def _on_choice(self, _: int) -> None:
        """Remember which regions of its own the user does not want on an image."""
        layer = self.layer
        if layer is None:
            self._left_out.update(plain(one) for one in self._find_layers() if role_of(one))
        else:
            self._left_out.discard(plain(layer))

    def _on_layer(self) -> None:
        before, self._watched = self._watched, self.layer
        if before is not None:
            for event in _events(before):
                event.disconnect(self._on_shapes)
        if self._watched is not None:
            for event in _events(self._watched):
                listen(self, event, self._on_shapes)
        self._show_blocks()
        self.changed.emit()

    def _on_shapes(self, event: Any) -> None:
        """Follow the shapes: what was typed for a shape stays with it when others go."""
        action = str(getattr(event, "action", "")) if event.type == "data" else "changed"
        if action not in ("added", "removed", "changed"):
            return  # it is only about to happen
        if action == "removed" and self.layer is not None:
            entries = self._entries.get(plain(self.layer), [])
            for row in sorted(set(event.data_indices), reverse=True):
                if 0 <= row < len(entries):
                    del entries[row]
        self._show_blocks()
        self.changed.emit()

    def _entry(self, layer: Shapes, row: int) -> Entry:
        entries = self._entries.setdefault(plain(layer), [])
        while len(entries) <= row:
            entries.append(Entry())
        return entries[row]

    def _names(self) -> list[str]:
        """Names of all shapes, each another: those that the user typed, else those of the layer."""
        if self.layer is None:
            return []
        names: list[str] = []
        for row, usual in enumerate(shape_names(self.layer)):
            name = wanted = self._entry(self.layer, row).name or usual
            number = 2
            while name in names:
                name, number = f"{wanted} ({number})", number + 1
            names.append(name)
        return names

    def _show_blocks(self) -> None:
        """Show a block for each shape; blocks of shapes that stay are kept, with the cursor in them."""
        layer, scheme = self.layer, self.scheme
        rows = 0 if layer is None or scheme is None else len(layer.data)
        entries = [] if layer is None else [self._entry(layer, row) for row in range(rows)]
        kept = [b for b in self.blocks if b.scheme == scheme and any(b.entry is e for e in entries)]
        for block in self.blocks:
            if block not in kept:
                self._column.removeWidget(block)
                block.hide()
                block.deleteLater()
        self.blocks = []
        if layer is not None and scheme is not None:
            self.blocks = [self._block(layer, row, scheme, kept) for row in range(rows)]
        self.note.hide()
        self.hint.setVisible(layer is not None and not len(layer.data))
        self._area.setVisible(bool(self.blocks))
        later(self, self._fit)  # new rows have no style before the next turn

    def _block(self, layer: Shapes, row: int, scheme: PhaseScheme, kept: list[RegionBlock]) -> RegionBlock:
        """Return the block of a shape, up to date: the one that is there, or a new one at its place."""
        entry = self._entry(layer, row)
        block = next((b for b in kept if b.entry is entry), None)
        if block is None:
            block = RegionBlock(entry, scheme)
            block.changed.connect(self.changed)
            block.entered.connect(self._highlight)
            self._column.insertWidget(row, block)
        block.set_usual_name(shape_names(layer)[row])
        block.set_problem(enclosure_problem(layer.shape_type[row]))
        block.show_shares(None, None)  # found in other outlines, or with another model
        return block

    def _highlight(self) -> None:
        """Outline the shape whose block the user is in."""
        block = self.sender()
        if isinstance(block, RegionBlock) and block in self.blocks and self.layer is not None:
            self.layer.selected_data = {self.blocks.index(block)}
            self.layer.refresh(thumbnail=False, extent=False)  # else parts of the last outline stay lit

    def _lay_out(self) -> None:
        title = Label("Regions")
        title.setToolTip(TIP)
        line = QHBoxLayout()
        line.addWidget(title)
        line.addWidget(self.layer_box, 1)
        line.addWidget(self.draw_button)
        content = QWidget()
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.addStretch(1)
        self._area = QScrollArea()
        self._area.setWidget(content)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._content = content
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(line)
        outer.addWidget(self.hint)
        outer.addWidget(self._area)
        outer.addWidget(self.note)
        self.note.hide()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        for block in self.blocks:
            block.fit()
        self._column.activate()
        height = self._content.sizeHint().height()
        self._area.setFixedHeight(min(height, TALLEST))
        bar = self._area.verticalScrollBar() if height > TALLEST else None
        beside = 0 if bar is None else bar.sizeHint().width()
        self._area.setMinimumWidth(self._content.minimumSizeHint().width() + beside)


def _events(layer: Shapes) -> list[Any]:
    """Events after which a layer's regions may be others."""
    events = layer.events
    moved = (events.scale, events.translate, events.rotate, events.shear, events.affine, events.units)
    return [events.data, events.features, *moved]
