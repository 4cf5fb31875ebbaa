"""Menu entries for labels that come from elsewhere: use them as edits of an image, or lay them on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseguide.errors import MicrographError, PhaseguideError

if TYPE_CHECKING:
    import napari.viewer
    from napari.components import ViewerModel
    from napari.layers import Image, Labels


def use_as_edits(viewer: napari.viewer.Viewer) -> None:
    """Take what is painted on the selected Labels layer into the edits of its image, as one step of undo."""
    from napari.utils.notifications import show_error, show_info

    try:
        labels, image = selected_pair(viewer)
        changed = take_as_edits(viewer, image, labels)
    except PhaseguideError as error:
        show_error(str(error))
    else:
        show_info(f"{changed} px of {labels.name!r} are edits of {image.name!r} now. Ctrl+Z takes them back.")


def lay_on_image(viewer: napari.viewer.Viewer) -> None:
    """Put the selected Labels layer where its image lies, pixel on pixel."""
    from napari.utils.notifications import show_error, show_info

    from phaseguide.widgets.layers.roles import lay_on

    try:
        labels, image = selected_pair(viewer)
    except PhaseguideError as error:
        show_error(str(error))
        return
    lay_on(labels, image)
    show_info(f"{labels.name!r} lies on {image.name!r} now.")


def take_as_edits(viewer: ViewerModel, image: Image, labels: Labels) -> int:
    """Write the labels of a layer into the edits of an image; return how many pixels changed.

    Raises
    ------
    MicrographError, SchemeError, ProjectError
        The program's own result, phases that are not known, a value that is no phase, a reviewed field.
    """
    from phaseguide.widgets.layers import roles
    from phaseguide.widgets.layers.edit_log import scheme_of
    from phaseguide.widgets.layers.identity import role_of
    from phaseguide.widgets.project.import_labels import take_labels

    if role_of(labels) not in ("", "edits"):
        raise MicrographError(f"{labels.name!r} is written by the program. Paint on the edits layer instead.")
    known = (roles.find_layer(viewer, image, role) for role in ("edits", "phases"))
    scheme = next((scheme_of(layer) for layer in known if layer is not None), None)
    if scheme is None:
        raise MicrographError(
            f"{image.name!r}: its phases are not known yet. Segment it, then choose Use as edits again."
        )
    changed = take_labels(viewer, image, labels.data, f"Layer {labels.name!r}", scheme, whole=True)
    labels.visible = False
    viewer.layers.selection.active = roles.find_layer(viewer, image, "edits")
    return changed


def selected_pair(viewer: ViewerModel) -> tuple[Labels, Image]:
    """Return the selected Labels layer and the image that it is to go with.

    Raises
    ------
    MicrographError
        None or several are selected, or no image has its shape, or several have.
    """
    from napari.layers import Labels

    from phaseguide.widgets.layers.planes import data_shape
    from phaseguide.widgets.layers.roles import micrographs

    selected, images = list(viewer.layers.selection), micrographs(viewer)
    chosen = [layer for layer in selected if isinstance(layer, Labels)]
    if len(chosen) != 1:
        raise MicrographError("Select one Labels layer, and with Ctrl its image.")
    (labels,) = chosen
    fitting = [image for image in images if data_shape(image) == tuple(labels.data.shape)]
    wanted = [image for image in fitting if image in selected] or fitting
    if not wanted:
        raise MicrographError(
            f"No image has the shape of {labels.name!r} ({' x '.join(map(str, labels.data.shape))} px). Open its image."
        )
    if len(wanted) > 1:
        names = " or ".join(repr(image.name) for image in wanted)
        raise MicrographError(f"{labels.name!r} could be of {names}. Select its image as well.")
    return labels, wanted[0]
