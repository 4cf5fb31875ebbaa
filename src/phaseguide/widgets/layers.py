"""The two layers of an image: `<image> phases`, written by the program, and `<image> edits`, the user's alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.appearance import phase_colormap, phase_features
from phaseguide.widgets.planes import Index, data_shape, full_data

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

KEY = "phaseguide"

INSIDE = "inside"
"""Role of the pictures of what is inside a network: images, but no micrographs."""


def micrographs(viewer: ViewerModel) -> list[Image]:
    """Image layers that the user may segment: all but those that the program has made."""
    from napari.layers import Image

    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    return [image for image in images if image.metadata.get(KEY, {}).get("role") != INSIDE]


def find_layer(viewer: ViewerModel, image: Image, role: str) -> Labels | None:
    """Return the image's layer of a role ("phases" or "edits"), or None.

    A layer is known by its metadata, so it may be renamed. An edits layer is also known by its name,
    so that edits that were saved and opened again count.
    """
    from napari.layers import Labels

    labels = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    for layer in labels:
        mark = layer.metadata.get(KEY, {})
        if mark.get("role") == role and mark.get("image_id") == image.unique_id:
            return layer
    if role == "edits":
        for layer in labels:
            if layer.name == f"{image.name} edits" and layer.metadata.get(KEY, {}).get("role") != "phases":
                return layer
    return None


def is_result(layer: Labels) -> bool:
    """Whether the program made a layer, or wrote the file that it was opened from."""
    from phaseguide.micrographs.records import result_record

    if layer.metadata.get(KEY, {}).get("role", "edits") != "edits":
        return True
    return layer.source.path is not None and result_record(layer.source.path) is not None


def geometry(image: Image) -> dict[str, Any]:
    """Where an image lies in the world: everything a layer on top of it must copy."""
    return {
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }


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
    fresh = layer is None or layer.data.shape != shape
    data = np.zeros(shape, dtype=np.uint8) if fresh else layer.data
    if clear and not fresh and data.ndim > 2:
        data[:] = 0
    for index, labels in planes.items():
        data[index] = labels
    mark = {**mark, "role": "phases", "image_id": image.unique_id}
    if layer is None:
        layer = _add(viewer, image, data, f"{image.name} phases", scheme, 0.5, mark)
        layer.mouse_drag_callbacks.append(_hint)
        edits = find_layer(viewer, image, "edits")
        if edits is not None:  # what the user painted lies on top
            viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(edits))
    elif fresh:
        layer.data = data
    else:
        # Nobody can paint here, so there is no undo history that this could falsify.
        layer.refresh(thumbnail=True, extent=False, highlight=False)
    dress(layer, scheme)
    layer.metadata = {**layer.metadata, KEY: {**mark, "scheme": scheme.to_dict()}}
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


def remark(layer: Labels, plane: str, one: dict[str, Any], **about: Any) -> None:
    """Change the mark of a phases layer: the entry of one plane, and what is said of the newest result."""
    mark = layer.metadata[KEY]
    by_plane = {**mark["planes"], plane: one}
    note = next((str(entry["note"]) for entry in by_plane.values() if entry["note"]), "")
    layer.metadata = {**layer.metadata, KEY: {**mark, **one, **about, "planes": by_plane, "note": note}}


def ready_edits(viewer: ViewerModel, image: Image, scheme: PhaseScheme) -> Labels:
    """Return the image's edits layer, made empty if there is none; its pixels are never written here."""
    layer = find_layer(viewer, image, "edits")
    if layer is None:
        mark = {"role": "edits", "image_id": image.unique_id}
        empty = np.zeros(data_shape(image), dtype=np.uint8)
        layer = _add(viewer, image, empty, f"{image.name} edits", scheme, 0.9, mark)
        layer.selected_label = 1
    dress(layer, scheme)
    return layer


def hold_brush(viewer: ViewerModel, edits: Labels, scheme: PhaseScheme) -> None:
    """Select the edits layer with the brush on the next phase, so that correcting is just painting.

    The next phase is the first that nobody has painted yet. A brush that the user has put on a phase
    stays there.
    """
    viewer.layers.selection.active = edits
    edits.visible = True
    mark = edits.metadata.get(KEY, {})
    if edits.selected_label == mark.get("brush", 1) or not 1 <= edits.selected_label <= len(scheme):
        unpainted = (p.label for p in scheme if not np.any(edits.data == p.label))
        edits.selected_label = next(unpainted, edits.selected_label)
        edits.metadata = {**edits.metadata, KEY: {**mark, "brush": int(edits.selected_label)}}
    edits.mode = "paint"


def edits_of(layer: Labels | None, image: Image, index: Index) -> NDArray[Any] | None:
    """Copy one plane of the edits; None if there is no edits layer.

    Raises
    ------
    MicrographError
        The layer has another shape than the image.
    """
    if layer is None:
        return None
    shape = data_shape(image)
    if tuple(layer.data.shape) != shape:
        raise misfit(layer, image)
    return np.array(layer.data[index])


def misfit(layer: Labels, image: Image) -> MicrographError:
    """Return what to say of an edits layer that has another shape than its image."""
    return MicrographError(
        f"Layer {layer.name!r} is {' x '.join(map(str, layer.data.shape))} px, but {image.name!r} is "
        f"{' x '.join(map(str, data_shape(image)))} px. Rename or remove that layer; a fitting one is then made."
    )


def dress(layer: Labels, scheme: PhaseScheme) -> None:
    """Give a layer the colours and names of a scheme, unless it has them."""
    mark = layer.metadata.get(KEY, {})
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
    return sizes[0] if np.isclose(*sizes) else None


def describe_image(image: Image) -> str:
    """Return size, type and pixel size of an image layer in a line."""
    shape = data_shape(image)
    size = " × ".join(map(str, (*shape[:-2], *shape[:-3:-1])))
    pixel = pixel_size_um(image)
    source = image.metadata.get(KEY, {}).get("scale_source", "")
    if pixel is None:
        scale = "scale unknown"
    else:
        scale = f"pixel {pixel:.4g} µm" + (f" ({source})" if source and source != "scale unknown" else "")
    colour = "RGB, " if image.rgb else ""
    return f"{size} px, {colour}{full_data(image).dtype}, {scale}"


def _add(
    viewer: ViewerModel,
    image: Image,
    data: NDArray[np.uint8],
    name: str,
    scheme: PhaseScheme,
    opacity: float,
    mark: dict[str, Any],
) -> Labels:
    from napari.layers import Labels

    layer = Labels(
        data,
        name=name,
        opacity=opacity,
        colormap=phase_colormap(scheme),
        features=phase_features(scheme),
        metadata={KEY: {**mark, "scheme": scheme.to_dict()}},
        **geometry(image),
    )
    viewer.add_layer(layer)
    return layer


def _hint(layer: Labels, event: Any) -> Any:
    """Answer a stroke on the result: say where to paint."""
    from napari.utils.notifications import show_info

    from phaseguide.widgets.plain_text import as_plain

    yield
    if event.type != "mouse_move":  # a click alone is no stroke
        return
    edits = f"{layer.name.removesuffix(' phases')} edits"
    show_info(
        as_plain(
            f"{layer.name!r} holds the result and cannot be painted. Paint on {edits!r}: select it and drag."
        )
    )
    while event.type == "mouse_move":
        yield
