"""The chosen image owns the canvas: layers of the others are hidden with it, and come back as they were."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.hub import tell
from phaseguide.widgets.layers.identity import belongs_to, image_of, plain, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

_canvases: weakref.WeakKeyDictionary[Any, Canvas] = weakref.WeakKeyDictionary()


def canvas_of(viewer: ViewerModel) -> Canvas:
    """Return the canvas of a viewer, made when it is first wanted."""
    viewer = plain(viewer)
    if viewer not in _canvases:
        _canvases[viewer] = Canvas(viewer)
    return _canvases[viewer]


class Canvas:
    """Which image of one viewer is chosen. The viewer is held weakly.

    Selecting an image, or a layer that holds a role for one, chooses it. Layers are hidden only while a dock holds the
    canvas, and not while napari shows layers side by side in its grid. What nobody holds a role for stays as it is.
    A layer that the user shows by hand meanwhile stays until another image is chosen; one that the user has hidden
    stays hidden.

    Attributes
    ----------
    chosen : Signal
        The image layer that was chosen, also when it is the same as before; None if there is none any more.
    """

    chosen: ClassVar = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._owner: weakref.ref[Any] | None = None
        self._holders: weakref.WeakSet[Any] = weakref.WeakSet()
        self._hidden: weakref.WeakSet[Layer] = weakref.WeakSet()  # here, and to be shown again
        self._by_hand: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._views: weakref.WeakKeyDictionary[Any, tuple[Any, float]] = weakref.WeakKeyDictionary()
        self._at_work = self._lent = False
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.canvas.grid.events.enabled.connect(self._settle)
        for layer in viewer.layers:
            layer.events.visible.connect(self._on_visible)
        self._on_active()

    @property
    def owner(self) -> Image | None:
        """The chosen image, or None."""
        return None if self._owner is None else self._owner()

    def hold(self, dock: Any) -> None:
        """Hide what is of other images, until the last dock that asked for it has gone."""
        self._holders.add(dock)
        self._settle()

    def let_go(self, dock: Any) -> None:
        """Show again what was hidden, unless another dock holds the canvas."""
        self._holders.discard(dock)
        self._settle()

    def show(self, image: Image | None) -> None:
        """Choose an image, or none."""
        viewer, image, before = self._viewer(), plain(image), self.owner
        if viewer is None:
            return
        if image is not before:
            self._remember_view(viewer, before)
            self._owner = None if image is None else weakref.ref(image)
            self._by_hand.clear()
            self._settle()
            self._bring_into_view(viewer, before)
        self._move_selection(viewer)
        tell(self.chosen, image)

    def bring_up(self, layer: Layer) -> None:
        """Show a layer that the program has something new in; that of another image, once its image is chosen."""
        layer = plain(layer)
        self._by_hand.discard(layer)
        if not layer.visible:
            self._hidden.add(layer)
        self._settle()

    def lend(self) -> list[tuple[Layer, bool]]:
        """Leave every layer alone until `take_back`; return all, and whether each is shown with its image."""
        viewer = self._viewer()
        seen = [(layer, layer.visible or layer in self._hidden) for layer in viewer.layers] if viewer else []
        self._lent = True
        self._hidden.clear()
        return seen

    def take_back(self, seen: list[tuple[Layer, bool]]) -> None:
        """Go on from where the canvas was lent."""
        viewer = self._viewer()
        for layer, visible in seen:
            if viewer is not None and layer in viewer.layers:
                layer.visible = visible
        self._lent = False
        self._settle()

    # -- what happens to layers ---------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        event.value.events.visible.disconnect(self._on_visible)
        event.value.events.visible.connect(self._on_visible)
        self._settle()

    def _on_removed(self, event: Any) -> None:
        if self.owner is not None and plain(event.value) is self.owner:
            self.show(None)

    def _on_active(self, event: Any = None) -> None:
        """Choose the image of a layer that was selected; what the program adds by itself chooses nothing."""
        viewer = self._viewer()
        active = None if viewer is None else viewer.layers.selection.active
        if viewer is None or active is None or roles.is_keeping_active(viewer):
            return
        image = image_behind(viewer, active)
        if image is not None:
            self.show(image)

    def _on_visible(self, event: Any) -> None:
        """A click of the user's says how a layer is to be seen."""
        if self._at_work or self._lent:
            return
        layer = event.source
        self._hidden.discard(layer)
        if layer.visible:
            self._by_hand.add(layer)
        else:
            self._by_hand.discard(layer)

    # -- who is seen --------------------------------------------------------------------------------

    def _settle(self, event: Any = None) -> None:
        """Hide and show what is to be."""
        viewer, owner = self._viewer(), self.owner
        if viewer is None or self._lent or self._at_work:
            return
        alone = owner is not None and bool(self._holders) and not viewer.canvas.grid.enabled
        images = {image.unique_id for image in roles.micrographs(viewer)}
        self._at_work = True
        try:
            for layer in [*viewer.layers] if alone else []:
                if layer.visible and layer not in self._by_hand and _is_of_another(layer, owner, images):
                    _put_brush_away(layer)
                    self._hidden.add(layer)
                    layer.visible = False
            for layer in list(self._hidden):
                if not alone or not _is_of_another(layer, owner, images):
                    self._hidden.discard(layer)
                    layer.visible = True
        finally:
            self._at_work = False

    def _move_selection(self, viewer: ViewerModel) -> None:
        """Put the selection, and with it the brush, on the chosen image where it was on another one."""
        owner, active = self.owner, viewer.layers.selection.active
        if owner is None or active is None or not self._holders or owner not in viewer.layers:
            return
        images = {image.unique_id for image in roles.micrographs(viewer)}
        if _is_of_another(active, owner, images):
            edits = roles.find_layer(viewer, owner, "edits") if role_of(active) == "edits" else None
            viewer.layers.selection.active = owner if edits is None else edits

    def _remember_view(self, viewer: ViewerModel, image: Image | None) -> None:
        if image is not None:
            camera = viewer.scene.camera
            self._views[image] = tuple(camera.center), float(camera.zoom)

    def _bring_into_view(self, viewer: ViewerModel, before: Image | None) -> None:
        """Look where the image was last looked at; images of the same size and place keep the view."""
        owner = self.owner
        if owner is None or before is None or not self._holders or viewer.canvas.grid.enabled:
            return
        if viewer.dims.ndisplay != 2 or owner not in viewer.layers or _alike(owner, before):
            return
        known = self._views.get(owner)
        if known is None:
            look_at(viewer, owner)
        else:
            viewer.scene.camera.center, viewer.scene.camera.zoom = known


def look_at(viewer: ViewerModel, image: Image) -> None:
    """Fit the view to an image, or to all layers beside a stack, whose dimensions it has not (napari cannot then)."""
    viewer.fit_to_view(layers=[image] if image.ndim == viewer.dims.ndim else None)


def image_behind(viewer: ViewerModel, layer: Layer) -> Image | None:
    """Return the micrograph that a layer is, or holds a role for; None for a layer of nobody."""
    image = next((one for one in roles.micrographs(viewer) if one.unique_id == layer.unique_id), None)
    return image_of(viewer, layer) if image is None else image


def _is_of_another(layer: Layer, owner: Image | None, images: set[Any]) -> bool:
    """Whether a layer is, or holds a role for, an image other than the chosen one; that need not be there any more."""
    if owner is None or layer is owner or belongs_to(layer, owner):
        return False
    return layer.unique_id in images or bool(role_of(layer))


def _put_brush_away(layer: Layer) -> None:
    """Let no tool come back with a layer: a click after the change of image would change something unseen."""
    if str(layer.mode) != "pan_zoom":
        layer.mode = "pan_zoom"


def _alike(one: Image, other: Image) -> bool:
    ours, theirs = np.asarray(one.extent.world), np.asarray(other.extent.world)
    return ours.shape == theirs.shape and np.allclose(ours, theirs)
