"""The layers of one field of a project: its image, the user's edits, the last result, labels taken as truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.labels import Map, overlay
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.edit_tools import edit_tools
from phaseguide.widgets.layers.identity import KEY, belongs_to, mark_of
from phaseguide.widgets.layers.planes import data_shape
from phaseguide.widgets.layers.review_lock import freeze
from phaseguide.widgets.layers.roles import MICROMETRE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from phaseguide.micrographs.reading import Micrograph
    from phaseguide.projects.edit_saver import EditSaver, Known
    from phaseguide.projects.schema import FieldEntry

RESTORED = "restored"
"""Mark of a phases layer that was read from the project; the step Segment's own results do not have it."""


@dataclass(frozen=True)
class FieldData:
    """What the files of a field hold; the edits, with those on top that could not be written."""

    entry: FieldEntry
    micrograph: Micrograph
    edits: Map | None
    known: Known
    truth: Map | None
    result: Map | None


def read_field(saver: EditSaver, field_id: str) -> FieldData:
    """Read the files of a field; to be called in the thread that writes the project.

    Raises
    ------
    ProjectError, MicrographError
        A file is missing, damaged or was replaced.
    """
    project = saver.project
    return FieldData(
        project.field(field_id),
        project.read_image(field_id),
        *saver.begin(field_id),
        project.read_truth(field_id),
        project.read_result(field_id),
    )


def add_image(viewer: ViewerModel, data: FieldData) -> Image:
    """Add the image layer of a field, with its scale."""
    micrograph, entry = data.micrograph, data.entry
    options: dict[str, Any] = {}
    if micrograph.pixel_size_um is not None:
        leading = 1 if micrograph.is_stack else 0
        options["scale"] = (1.0,) * leading + (micrograph.pixel_size_um,) * 2
        options["units"] = ("pixel",) * leading + (MICROMETRE,) * 2
    mark = {
        "pixel_size_um": micrograph.pixel_size_um,
        "scale_source": micrograph.scale_source,
        "sha256": micrograph.sha256,
        "margins": micrograph.margins,
    }
    return viewer.add_image(
        micrograph.data,
        name=entry.name or entry.id,
        rgb=micrograph.is_rgb,
        metadata={KEY: mark, "path": str(micrograph.path)},
        **options,
    )


def add_labels(viewer: ViewerModel, image: Image, data: FieldData, scheme: PhaseScheme) -> Labels:
    """Add result, truth and edits of a field over its image; return the edits layer, which is selected."""
    show_result(viewer, image, data, scheme)
    _show_truth(viewer, image, data.truth, scheme)
    edits = roles.ensure_edits_layer(viewer, image, scheme)
    if data.edits is not None and data.edits.shape == edits.data.shape:
        np.copyto(edits.data, data.edits)  # the layer is new: there is no undo history that this falsifies
        edits.refresh()
    log = edit_tools(viewer).log_of(edits)
    if log is not None:
        log.reset()
    viewer.layers.selection.active = edits
    return edits


def show_result(viewer: ViewerModel, image: Image, data: FieldData, scheme: PhaseScheme) -> None:
    """Show the stored result of a field with its edits on top; nothing where there is none."""
    entry, result = data.entry.result, data.result
    if entry is None or result is None or result.shape != data_shape(image):
        return
    mark = {
        "achieved": dict(zip(scheme.names, entry.achieved, strict=False)),
        "own": dict(zip(scheme.names, entry.own, strict=False)),
        "note": "",
        "model": entry.version,
        "planes": {},
        RESTORED: True,
    }
    roles.show_result(viewer, image, scheme, {(): overlay(result, data.edits)}, mark)


def is_restored(phases: Labels | None) -> bool:
    """Whether a phases layer shows what was read from the project, and nobody else keeps it up to date."""
    return phases is not None and bool(mark_of(phases).get(RESTORED, False))


def set_frozen(viewer: ViewerModel, image: Image, frozen: bool) -> None:
    """Freeze the edits of an image, and mark the image so that no new result is written over the old."""
    freeze(image, frozen)
    edits = roles.find_layer(viewer, image, "edits")
    if edits is not None:
        freeze(edits, frozen)
        edits.editable = not frozen


def layers_of(viewer: ViewerModel, image: Image) -> list[Layer]:
    """Return an image and every layer that holds a role for it; copies that the user made stay where they are."""
    return [image, *(layer for layer in viewer.layers if belongs_to(layer, image))]


def _show_truth(viewer: ViewerModel, image: Image, truth: Map | None, scheme: PhaseScheme) -> None:
    if truth is not None and truth.shape == data_shape(image):
        layer = roles.add_labels(viewer, image, truth, "truth", scheme, opacity=0.5, visible=False)
        layer.editable = False
