"""Keeps an image and the layers on it together, whatever the user does to the image."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.widgets.layers.identity import KEY, belongs_to, give_role, mark_of, release, role_of
from phaseguide.widgets.layers.planes import full_data
from phaseguide.widgets.layers.roles import alike, find_layer, geometry, lay_on, micrographs, same_grid

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

PIXELS = "pixels"
"""Key in the mark of edits: checksum of the image that they were painted on, once that is not in the viewer."""

MOVES = ("scale", "translate", "rotate", "shear", "affine", "units")


class LayerKeeper:
    """Looks after the images of one viewer, which it holds weakly.

    What lies on an image goes with it when that is scaled or moved. When its pixels are replaced, the result of the
    earlier ones becomes a layer like any other. Edits whose image was removed are known again by its pixels.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._places: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in list(viewer.layers):
            self._take_in(layer)

    def _on_inserted(self, event: Any) -> None:
        self._take_in(event.value)

    def _take_in(self, layer: Layer) -> None:
        from napari.layers import Image, Labels

        viewer = self._viewer()
        if viewer is None:
            return
        if isinstance(layer, Image) and layer not in self._places:
            self._places[layer] = geometry(layer)
            for name in MOVES:
                getattr(layer.events, name).connect(self._on_moved)
            layer.events.data.connect(self._on_data)
        if isinstance(layer, Image):
            for edits in [
                one for one in viewer.layers if isinstance(one, Labels) and _is_orphan(viewer, one)
            ]:
                _adopt(viewer, edits, [layer])
        elif isinstance(layer, Labels) and _is_orphan(viewer, layer):
            _adopt(viewer, layer, micrographs(viewer))

    def _on_removed(self, event: Any) -> None:
        """Note on the edits of an image which pixels they were painted on."""
        viewer, image = self._viewer(), event.value
        edits = None if viewer is None else find_layer(viewer, image, "edits")
        if edits is not None and (pixels := checksum(image)):
            edits.metadata = {**edits.metadata, KEY: {**mark_of(edits), PIXELS: pixels}}

    def _on_moved(self, event: Any) -> None:
        """Take along what lay on an image, and leave what the user had put elsewhere."""
        from napari.layers import Labels

        viewer, image = self._viewer(), event.source
        before, self._places[image] = self._places.get(image, {}), geometry(image)
        if viewer is None or image not in viewer.layers:
            return
        for layer in list(viewer.layers):
            if isinstance(layer, Labels) and belongs_to(layer, image) and _lies(layer, before):
                lay_on(layer, image)

    def _on_data(self, event: Any) -> None:
        from napari.utils.notifications import show_info

        viewer, image = self._viewer(), event.source
        if viewer is None or image not in viewer.layers:
            return
        phases, edits = (find_layer(viewer, image, role) for role in ("phases", "edits"))
        if phases is not None:
            release(phases)
            phases.name = f"{phases.name} before"
        if edits is not None and np.any(edits.data) and same_grid(edits, image) is None:
            show_info(
                f"The pixels of {image.name!r} were replaced. What is painted on {edits.name!r} goes on counting; if "
                "it belongs to the earlier pixels alone, remove that layer."
            )


def checksum(image: Image) -> str:
    """Checksum of an image layer's pixels; "" where reading them may take long."""
    from phaseguide.micrographs.records import sha256_of_array

    data = full_data(image)
    return sha256_of_array(data) if isinstance(data, np.ndarray) else ""


def _is_orphan(viewer: ViewerModel, labels: Labels) -> bool:
    """Whether a layer is edits of an image that is not in the viewer, and tells which pixels that had."""
    mark = mark_of(labels)
    mine = mark.get("role") == "edits" and ("layer_id" not in mark or role_of(labels) == "edits")
    return bool(mine and mark.get(PIXELS)) and not any(
        one.unique_id == mark.get("image_id") for one in viewer.layers
    )


def _adopt(viewer: ViewerModel, edits: Labels, images: list[Image]) -> None:
    """Give edits to the image among these whose pixels they were painted on, unless that has some."""
    mark = mark_of(edits)
    for image in images:
        if (
            same_grid(edits, image) is None
            and find_layer(viewer, image, "edits") is None
            and checksum(image) == mark[PIXELS]
        ):
            about = {k: v for k, v in mark.items() if k not in (PIXELS, "role", "image_id", "layer_id")}
            give_role(edits, "edits", image, **about)
            return


def _lies(layer: Layer, place: dict[str, Any]) -> bool:
    """Whether a layer is where an image was."""
    now = geometry(layer)
    return now["scale"].shape == place["scale"].shape and all(alike(now[n], place[n]) for n in MOVES)
