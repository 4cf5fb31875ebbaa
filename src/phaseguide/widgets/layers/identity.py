"""Which layer is which: a layer holds a role for an image by identity, never by its name or its place.

napari copies a layer's metadata when it duplicates, converts, splits or merges it. So the mark that gives a
role names the layer that it was written for: on any other layer it says what that is a copy of, and no more.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

KEY = "phaseguide"

_own_files: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


def plain(one: Any) -> Any:
    """Return the viewer or layer behind napari's proxy, of which each widget gets one of its own."""
    return getattr(one, "__wrapped__", one)


def mark_of(layer: Layer) -> dict[str, Any]:
    """What the program has noted of a layer, or of the one that it is a copy of."""
    mark = layer.metadata.get(KEY, {})
    return mark if isinstance(mark, dict) else {}


def give_role(layer: Layer, role: str, image: Image, **about: Any) -> None:
    """Let a layer hold a role for an image; what was noted of it before goes."""
    mark = {**about, "role": role, "image_id": image.unique_id, "layer_id": layer.unique_id}
    layer.metadata = {**layer.metadata, KEY: mark}


def release(layer: Layer) -> None:
    """Let a layer hold its role no more, as if it were a copy."""
    layer.metadata = {**layer.metadata, KEY: {k: v for k, v in mark_of(layer).items() if k != "layer_id"}}


def role_of(layer: Layer) -> str:
    """Role that a layer holds; "" for a layer of the user's and for any copy."""
    mark = mark_of(layer)
    return str(mark.get("role", "")) if mark.get("layer_id") == layer.unique_id else ""


def copied_role(layer: Layer) -> str:
    """Role that a layer holds, or that of the layer which it is a copy of."""
    return str(mark_of(layer).get("role", ""))


def belongs_to(layer: Layer, image: Image) -> bool:
    """Whether a layer holds any role for an image."""
    return bool(role_of(layer)) and mark_of(layer).get("image_id") == image.unique_id


def holds(layer: Layer, role: str, image: Image) -> bool:
    """Whether a layer holds a certain role for an image."""
    return role_of(layer) == role and belongs_to(layer, image)


def may_serve(layer: Layer, role: str, image: Image | None) -> bool:
    """Whether a layer can be taken for a role of an image: it holds that, or no role at all."""
    return not role_of(layer) or (image is not None and holds(layer, role, image))


def image_of(viewer: ViewerModel, layer: Layer) -> Image | None:
    """Return the image layer that a layer holds a role for, or None."""
    from napari.layers import Image

    images = (one for one in viewer.layers if isinstance(one, Image))
    return next((image for image in images if belongs_to(layer, image)), None)


def is_own_file(layer: Layer) -> bool:
    """Whether a layer was opened from a file that the program wrote as a result."""
    from phaseguide.micrographs.records import result_record

    if layer not in _own_files:
        path = None if layer.source.path is None else Path(layer.source.path)
        if path is not None and path.stem.endswith("_overlay"):
            path = path.with_name(f"{path.stem.removesuffix('_overlay')}_labels.tif")
        _own_files[layer] = path is not None and result_record(path) is not None
    return _own_files[layer]


def file_of(image: Image) -> Path | None:
    """File that an image layer comes from, or None."""
    told = image.source.path or image.metadata.get("path")
    path = Path(told) if told else None
    return path if path is not None and path.is_file() else None
