"""The two layers of an image: `<image> phases`, written by the program, and `<image> edits`, the user's alone."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.jobs.plane_index import Index
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.appearance import phase_colormap, phase_features
from phaseguide.widgets.layers.identity import KEY, copied_role, give_role, holds, is_own_file, mark_of, plain
from phaseguide.widgets.layers.planes import data_shape, full_data

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

INSIDE = "inside"
"""Role of the pictures of what is inside a network: images, but no micrographs."""

MICROMETRE = "µm"

TRANSFORM = ("scale", "translate", "rotate", "shear", "affine")

_keeping: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def micrographs(viewer: ViewerModel) -> list[Image]:
    """Image layers that the user may segment: none that the program made, or wrote the file of."""
    from napari.layers import Image

    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    return [image for image in images if not copied_role(image) and not is_own_file(image)]


def find_layer(viewer: ViewerModel, image: Image, role: str) -> Labels | None:
    """Return the image's layer of a role ("phases" or "edits"), or None.

    See `phaseguide.widgets.layers.identity`: neither its name nor its place in the list says anything.
    """
    from napari.layers import Labels

    held = (layer for layer in viewer.layers if isinstance(layer, Labels) and holds(layer, role, image))
    return next(held, None)


@contextmanager
def keeping_active(viewer: ViewerModel) -> Iterator[None]:
    """Leave the selected layer what it is while others come and go: the brush stays where it was."""
    active, real = viewer.layers.selection.active, plain(viewer)
    _keeping[real] = _keeping.get(real, 0) + 1
    try:
        yield
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active
    finally:
        _keeping[real] -= 1


def is_keeping_active(viewer: ViewerModel) -> bool:
    """Whether layers come and go in `keeping_active`: what is selected meanwhile was not chosen by anybody."""
    return _keeping.get(plain(viewer), 0) > 0


def is_result(layer: Labels) -> bool:
    """Whether the program made a layer or the one that it is a copy of, or wrote the file that it is from."""
    return (copied_role(layer) or "edits") != "edits" or is_own_file(layer)


def geometry(image: Image) -> dict[str, Any]:
    """Where an image lies in the world: everything a layer on top of it must copy."""
    place = {name: getattr(image, name) for name in (*TRANSFORM, "units", "axis_labels")}
    return {**place, "affine": np.array(image.affine)}  # not the image's own object


def lay_on(layer: Layer, image: Image) -> None:
    """Put a layer of the image's shape where the image lies."""
    for name, value in geometry(image).items():
        setattr(layer, name, value)


def same_grid(layer: Labels, image: Image) -> str | None:
    """Why the pixels of a layer are not those of an image one by one; None if they are.

    To be asked wherever labels are taken pixel by pixel.
    """
    from phaseguide.widgets.layers.outlines import transform_to

    shape = data_shape(image)
    if layer.multiscale or tuple(layer.data.shape) != shape:
        size = (
            "of several resolutions" if layer.multiscale else f"{' x '.join(map(str, layer.data.shape))} px"
        )
        return (
            f"Layer {layer.name!r} is {size}, but {image.name!r} is {' x '.join(map(str, shape))} px. Labels "
            "count pixel by pixel: choose a layer that was made for this image."
        )
    ends = np.array([np.zeros(len(shape)), *np.diag(np.array(shape, dtype=float) - 1)])
    off = np.abs(transform_to(layer, image, (0,) * (len(shape) - 2))(ends) - ends).max()
    if off < 0.5:  # px
        return None
    place = geometry(layer)
    differs = [name for name in TRANSFORM if not alike(place[name], getattr(image, name))]
    return (
        f"Layer {layer.name!r} does not lie where {image.name!r} lies (another {' and '.join(differs) or 'unit'}). "
        "Labels count pixel by pixel. If they are of this image all the same, select both layers and choose "
        "Layers > Transform > Lay on the image."
    )


def alike(one: Any, other: Any) -> bool:
    """Whether two values of a layer's place are the same."""
    if isinstance(one, tuple):
        return bool(one == other)
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return first.shape == second.shape and bool(np.allclose(first, second))


def show_result(
    viewer: ViewerModel,
    image: Image,
    scheme: PhaseScheme,
    planes: dict[Index, NDArray[np.uint8]],
    mark: dict[str, Any],
    *,
    clear: bool = True,
) -> Labels:
    """Write label maps into the image's phases layer, made if needed, and mark it.

    Parameters
    ----------
    planes : dict
        Label map of each plane.
    mark : dict
        Goes into the layer's metadata, where exports and other plugins find it.
    clear : bool
        Empty all other planes.
    """
    layer, shape = find_layer(viewer, image, "phases"), data_shape(image)
    fresh = layer is None or layer.data.shape != shape or layer.data.dtype != np.uint8
    data = np.zeros(shape, dtype=np.uint8) if layer is None or fresh else layer.data
    if clear and not fresh and data.ndim > 2:
        data[:] = 0
    for index, labels in planes.items():
        data[index] = labels
    if layer is None:
        layer = add_labels(viewer, image, data, "phases", scheme, opacity=0.5)
        layer.mouse_drag_callbacks.append(_hint_for(viewer, image))
        edits = find_layer(viewer, image, "edits")
        if edits is not None:  # what the user painted lies on top
            viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(edits))
    elif fresh:
        layer.data = data
    else:
        # Nobody can paint here, so there is no undo history that this could falsify.
        layer.refresh(thumbnail=True, extent=False, highlight=False)
    if same_grid(layer, image) is not None:
        lay_on(layer, image)
    apply_scheme(layer, scheme)
    give_role(layer, "phases", image, **{**mark, "scheme": scheme.to_dict()})
    layer.editable = False  # replacing data makes a layer editable again
    return layer


def update_plane(layer: Labels | None, index: Index, labels: NDArray[np.uint8]) -> None:
    """Bring one plane of the phases layer up to date, if it differs."""
    if layer is None or layer.data[index].shape != labels.shape or np.array_equal(layer.data[index], labels):
        return
    write_plane(layer, index, labels)


def write_plane(layer: Labels, index: Index, labels: NDArray[np.uint8] | int) -> None:
    """Write one plane of the phases layer by the quickest way that napari has."""
    layer.data[index] = labels
    layer.refresh(thumbnail=False, extent=False, highlight=False)


def write_window(
    layer: Labels | None, index: Index, labels: NDArray[np.uint8], window: tuple[slice, slice]
) -> None:
    """Write a part of one plane of the phases layer; labels are those of the window."""
    if layer is not None:
        layer.data[(*index, *window)] = labels
        layer.refresh(thumbnail=False, extent=False, highlight=False)


def view_of(viewer: ViewerModel, image: Image, *, larger_than: int) -> tuple[slice, slice] | None:
    """Rows and columns of an image that are on show; None if all are, or if no side is larger than so many px."""
    layer, (height, width) = find_layer(viewer, image, "phases"), data_shape(image)[-2:]
    if layer is None or max(height, width) <= larger_than:
        return None
    (top, left), (bottom, right) = layer.corner_pixels[:, -2:].astype(int).tolist()
    rows = slice(min(max(top, 0), height), min(max(bottom + 1, 0), height))
    columns = slice(min(max(left, 0), width), min(max(right + 1, 0), width))
    seen = (rows.stop - rows.start) * (columns.stop - columns.start)
    return (rows, columns) if 0 < seen < height * width else None


def update_metadata(layer: Labels, plane: str, one: dict[str, Any], **about: Any) -> None:
    """Change the mark of a phases layer: the entry of one plane, and what is said of the newest result."""
    mark = layer.metadata[KEY]
    by_plane = {**mark["planes"], plane: one}
    note = next((str(entry["note"]) for entry in by_plane.values() if entry["note"]), "")
    layer.metadata = {**layer.metadata, KEY: {**mark, **one, **about, "planes": by_plane, "note": note}}


def ensure_edits_layer(viewer: ViewerModel, image: Image, scheme: PhaseScheme) -> Labels:
    """Return the image's edits layer, made empty if there is none; its pixels are never written here."""
    layer = find_layer(viewer, image, "edits")
    if layer is None:
        _tell_of_namesake(viewer, f"{image.name} edits")
        empty = np.zeros(data_shape(image), dtype=np.uint8)
        layer = add_labels(viewer, image, empty, "edits", scheme, opacity=0.9)
        layer.selected_label = 1
    apply_scheme(layer, scheme)
    return layer


def _tell_of_namesake(viewer: ViewerModel, name: str) -> None:
    """Say how a layer can be taken over that only has the name of edits."""
    from napari.layers import Labels
    from napari.utils.notifications import show_info

    if any(isinstance(layer, Labels) and layer.name == name for layer in viewer.layers):
        show_info(
            f"{name!r} was there already and is left alone: its name does not tell which image it was painted on. To "
            "use what is painted on it, select it together with its image and choose Layers > Annotate > Use as "
            "edits."
        )


def edits_of(layer: Labels | None, image: Image, index: Index) -> NDArray[Any] | None:
    """Copy one plane of the edits; None if there is no edits layer.

    Raises
    ------
    MicrographError
        The layer has another shape than the image, or does not lie on it.
    """
    if layer is None:
        return None
    check_edits(layer, image)
    return np.array(layer.data[index])


def check_edits(layer: Labels, image: Image) -> None:
    """Raise `MicrographError` if an edits layer does not fit its image; say what to do."""
    reason = same_grid(layer, image)
    if reason is not None:
        raise MicrographError(
            f"{reason} Or remove it, and an empty one is made; a duplicate keeps what is painted."
        )


def apply_scheme(layer: Labels, scheme: PhaseScheme) -> None:
    """Give a layer the colours and names of a scheme, unless it has them."""
    mark = mark_of(layer)
    if mark.get("scheme") != scheme.to_dict():
        layer.colormap = phase_colormap(scheme)
        layer.features = phase_features(scheme)
        layer.metadata = {**layer.metadata, KEY: {**mark, "scheme": scheme.to_dict()}}


def pixel_size_um(image: Image) -> float | None:
    """Edge of a square pixel in micrometres by the layer's scale and units; None if it has no length."""
    import pint

    sizes = []
    for scale, unit in zip(image.scale[-2:], image.units[-2:], strict=True):
        try:
            sizes.append(float((abs(scale) * unit).to("micrometer").magnitude))
        except pint.DimensionalityError:
            return None
    return sizes[0] if np.isclose(sizes[0], sizes[1]) else None


def scale_source(image: Image) -> str | None:
    """Where the size of a pixel comes from, in words for the record; None if it has none."""
    pixel, mark = pixel_size_um(image), mark_of(image)
    if pixel is None:
        return None
    noted, source = mark.get("pixel_size_um"), mark.get("scale_source")
    known = isinstance(noted, (int, float)) and np.isclose(noted, pixel) and isinstance(source, str)
    return str(source) if known else "scale of the layer"


def file_sha256(image: Image) -> str | None:
    """Checksum of the file when the reader of Phase Guide read it; None for layers that others made."""
    told = image.metadata.get(KEY, {}).get("sha256")
    return told if isinstance(told, str) else None


def describe_image(image: Image) -> str:
    """Return size, type and pixel size of an image layer in a line."""
    shape = data_shape(image)
    size = " × ".join(map(str, (*shape[:-2], *shape[:-3:-1])))
    pixel, source = pixel_size_um(image), scale_source(image)
    scale = "scale unknown" if pixel is None else f"pixel {pixel:.4g} µm ({source})"
    colour = "RGB, " if image.rgb else ""
    return f"{size} px, {colour}{full_data(image).dtype}, {scale}"


def add_labels(
    viewer: ViewerModel,
    image: Image,
    data: NDArray[np.uint8],
    role: str,
    scheme: PhaseScheme,
    **look: Any,
) -> Labels:
    """Add a layer of a role over an image, with the colours and names of a scheme."""
    from napari.layers import Labels

    layer = Labels(
        data,
        name=f"{image.name} {role}",
        colormap=phase_colormap(scheme),
        features=phase_features(scheme),
        **geometry(image),
        **look,
    )
    give_role(layer, role, image, scheme=scheme.to_dict())
    viewer.add_layer(layer)
    return layer


def _hint_for(viewer: ViewerModel, image: Image) -> Any:
    """Return what answers a stroke on the result of an image: it says where to paint."""
    its_viewer, its_image = weakref.ref(plain(viewer)), weakref.ref(image)

    def hint(layer: Labels, event: Any) -> Any:
        from napari.utils.notifications import show_info

        from phaseguide.widgets.qt.plain_text import as_plain

        yield
        viewer, image = its_viewer(), its_image()
        if event.type != "mouse_move" or viewer is None or image is None:  # a click alone is no stroke
            return
        edits = find_layer(viewer, image, "edits")
        where = (
            "Click a phase in the table of Phase Guide to take the brush."
            if edits is None
            else f"Paint on {edits.name!r}: click a phase in the table of Phase Guide, and drag."
        )
        show_info(as_plain(f"{layer.name!r} holds the result and cannot be painted. {where}"))
        while event.type == "mouse_move":
            yield

    return hint
