"""What a look inside found, as RGB layers that lie exactly over the micrograph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.jobs.plane_index import Index
from phaseguide.widgets.layers.identity import KEY, give_role, holds, mark_of
from phaseguide.widgets.layers.roles import INSIDE, keeping_active

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.segmentation.inside.views import InsideView

BLOCK = "block"
"""Name of the slider over the blocks."""

GAP = 0.03
"""Between two pictures side by side, in widths of one."""


def find_inside(viewer: ViewerModel, image: Image) -> list[Image]:
    """Layers of an earlier look into an image, in the viewer's order."""
    return [layer for layer in viewer.layers if holds(layer, INSIDE, image)]


def remove_inside(viewer: ViewerModel, image: Image) -> Iterator[None]:
    """Take the layers of a look into an image away: hidden at once, then one by one, as one change of the list.

    napari looks at every object of the process when a layer goes, which takes half a second or more: as one change,
    it does so once. The window can be drawn between two steps.
    """
    inside = find_inside(viewer, image)
    if not inside:
        return
    for layer in inside:
        layer.visible = False
    with viewer.layers.batched_update():
        for layer in inside:
            if layer in viewer.layers:
                with keeping_active(viewer):
                    viewer.layers.remove(layer)
            yield


def show_inside(
    viewer: ViewerModel, image: Image, index: Index, views: Iterable[InsideView], base_name: str = ""
) -> Iterator[Image | None]:
    """Show the pictures of a look into an image instead of those of an earlier one; other layers stay.

    They come one by one, so that the window can be drawn between two of them. Layers of an earlier look at the same
    blocks are written anew; else those go.

    Where all blocks of an encoder have one grid, they are one layer with a slider; else each stage is
    a layer. Only the adapted encoder is visible at first, and of its stages the middle one.

    Parameters
    ----------
    index : tuple of int
        Plane that was looked into.
    base_name : str
        Name of the base, where it has one.

    Yields
    ------
    napari.layers.Image or None
        A layer that shows its new picture now; None where one has gone.
    """
    layers = _make_layers(image, index, list(views), base_name)
    before = find_inside(viewer, image)
    if [_kind(layer) for layer in before] == [_kind(layer) for layer in layers]:
        for old, new in zip(before, layers, strict=True):
            _rewrite(old, new, image)
            yield old
        return
    yield from remove_inside(viewer, image)
    for layer in layers:
        with keeping_active(viewer):
            viewer.add_layer(layer)
        if len(mark_of(layer)["views"]) > 1:
            _go_to_output(viewer, layer)
        yield layer


def _make_layers(image: Image, index: Index, views: list[InsideView], base_name: str) -> list[Image]:
    layers = []
    for encoder in ("base", "adapted"):
        own = [view for view in views if view.encoder == encoder]
        groups = [own] if is_stack(own) else [[view] for view in own]
        middle = (sum(not group[0].guided for group in groups) - 1) // 2
        for number, group in enumerate(groups):
            name = _layer_name(image.name, group, encoder, alone=len({v.encoder for v in views}) == 1)
            layer = _layer(image, index, group, name)
            give_role(layer, INSIDE, image, **_mark(index, group, base_name))
            layer.visible = encoder == "adapted" and number == middle
            layers.append(layer)
    return layers


def _kind(layer: Image) -> tuple[Any, ...]:
    """What layers of two looks have in common whose pictures are of the same blocks."""
    mark = mark_of(layer)
    return mark["encoder"], [view["guided"] for view in mark["views"]], layer.data.shape


def _rewrite(old: Image, new: Image, image: Image) -> None:
    """Let a layer show what another one holds, where that lies; whether it is seen stays the user's choice."""
    old.data, old.name = new.data, new.name
    for name in ("scale", "translate", "affine", "units"):
        setattr(old, name, getattr(new, name))
    about = {key: value for key, value in mark_of(new).items() if key not in ("role", "image_id", "layer_id")}
    give_role(old, INSIDE, image, **about)


def set_beside(viewer: ViewerModel, image: Image, beside: bool) -> None:
    """Lay the base encoder's layers beside the image, or back over it.

    Beside it, the layers are shown whose counterparts of the adapted encoder are.
    """
    inside = find_inside(viewer, image)
    linear, _ = _to_world(image)
    shown = {_blocks(layer) for layer in inside if layer.visible and not _is_base(layer)}
    for layer in filter(_is_base, inside):
        mark = mark_of(layer)
        if bool(mark.get("beside")) != beside:
            step = linear[:, -1] * layer.data.shape[-2] * mark["stride"][1] * (1 + GAP)
            matrix = np.array(layer.affine.affine_matrix)
            matrix[-1 - len(step) : -1, -1] += step if beside else -step
            layer.affine = matrix
            layer.metadata = {**layer.metadata, KEY: {**mark, "beside": beside}}
        layer.visible = beside and (len(mark["views"]) > 1 or _blocks(layer) in shown)


def is_stack(views: list[InsideView]) -> bool:
    """Whether views can lie behind each other in one layer."""
    return len(views) > 1 and len({(view.rgb.shape, view.stride) for view in views}) == 1


def view_on_show(layer: Image, viewer: ViewerModel) -> dict[str, Any] | None:
    """What the mark of a layer says of the view on show; None where the slider is past its last block."""
    views = mark_of(layer)["views"]
    if len(views) == 1:
        return dict(views[0])
    step = round(viewer.dims.point[viewer.dims.ndim - layer.ndim])
    return dict(views[step]) if 0 <= step < len(views) else None


def _is_base(layer: Image) -> bool:
    return bool(mark_of(layer)["encoder"] == "base")


def _blocks(layer: Image) -> str:
    """Name of the first block that a layer shows."""
    return str(mark_of(layer)["views"][0]["name"])


def _layer(image: Image, index: Index, group: list[InsideView], name: str) -> Image:
    from napari.layers import Image

    first = group[0]
    pixels = np.stack([view.rgb for view in group]) if len(group) > 1 else first.rgb
    leading = pixels.shape[: pixels.ndim - 3]
    # The planes of a stack keep their axis, so that the picture is seen on its plane alone.
    data = pixels.reshape(*leading, *(1 for _ in index), *pixels.shape[-3:])
    place = (*index, *first.centre_of_first)
    steps = (*(1 for _ in index), *first.stride)
    units, labels = list(image.units), list(image.axis_labels)
    if leading:
        units, labels = ["pixel", *units], [BLOCK, *labels]
    return Image(
        data,
        name=name,
        rgb=True,
        units=units,
        axis_labels=labels,
        interpolation2d="nearest",
        **placed(image, place, steps, len(leading)),
    )


def placed(image: Image, place: tuple[float, ...], steps: tuple[float, ...], before: int) -> dict[str, Any]:
    """Where a coarser picture of an image lies in the world.

    Parameters
    ----------
    place : tuple of float
        Pixel of the image at the middle of the picture's first pixel.
    steps : tuple of float
        Pixels of the image to a pixel of the picture along each axis.
    before : int
        Axes that the picture has before those of the image.

    Returns
    -------
    dict
        ``scale`` and ``translate``; for an image that is turned or sheared, ``affine``.
    """
    linear, origin = _to_world(image)
    first = linear @ np.asarray(place, dtype=float) + origin
    spread = linear * np.asarray(steps, dtype=float)
    if np.allclose(spread, np.diag(np.diag(spread))):
        return {"scale": [1.0] * before + list(np.diag(spread)), "translate": [0.0] * before + list(first)}
    whole = np.eye(before + len(first) + 1)
    whole[before:-1, before:-1], whole[before:-1, -1] = spread, first
    return {"affine": whole}


def _to_world(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The map from pixels of an image layer to the world, as a matrix and the place of pixel 0."""
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)), dtype=float)
    columns = [np.asarray(image.data_to_world(unit), dtype=float) - origin for unit in np.eye(image.ndim)]
    return np.stack(columns, axis=1), origin


def _mark(index: Index, group: list[InsideView], base_name: str) -> dict[str, Any]:
    views = [
        {
            "name": view.name,
            "encoder": view.encoder,
            "guided": view.guided,
            "explained": list(view.explained),
            "text": view.describe(),
        }
        for view in group
    ]
    return {
        "plane": list(index),
        "encoder": group[0].encoder,
        "base": base_name,
        "stride": list(group[0].stride),
        "views": views,
    }


def _layer_name(image: str, group: list[InsideView], encoder: str, *, alone: bool) -> str:
    what = [] if len(group) > 1 else [group[0].name]
    who = [] if alone or group[0].guided else [encoder]
    return f"{image} inside: {', '.join([*what, *who]) or 'encoder'}"


def _go_to_output(viewer: ViewerModel, layer: Image) -> None:
    """Put the slider over the blocks of a layer at the encoder's output: what the decoder works on."""
    inner = [i for i, view in enumerate(mark_of(layer)["views"]) if not view["guided"]]
    viewer.dims.set_point(viewer.dims.ndim - layer.ndim, inner[-1])
