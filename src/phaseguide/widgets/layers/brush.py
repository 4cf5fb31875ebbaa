"""The brush on the edits of an image: it is off until somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phaseguide.errors import ProjectError
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.brush_keys import DRAWING
from phaseguide.widgets.layers.edit_tools import FROZEN
from phaseguide.widgets.layers.identity import KEY, mark_of, role_of
from phaseguide.widgets.layers.review_lock import is_frozen
from phaseguide.widgets.layers.roles import find_layer
from phaseguide.widgets.qt.plain_text import one_line

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

OFF = "pan_zoom"
CHANGING = (*DRAWING, "erase")
"""Modes in which a click on the canvas changes the edits."""


def take_brush(viewer: ViewerModel, edits: Labels, label: int) -> None:
    """Take the brush with a phase, on an edits layer.

    Raises
    ------
    ProjectError
        They belong to a field that is reviewed.
    """
    if is_frozen(edits):
        raise ProjectError(FROZEN.format(name=one_line(edits.name)))
    viewer.layers.selection.active = edits
    _show(edits)
    edits.selected_label = label
    if edits.mode not in DRAWING:
        edits.mode = "paint"


def put_away(viewer: ViewerModel) -> None:
    """Put away the brush of every edits layer: a click on the canvas changes nothing any more."""
    from napari.layers import Labels

    for layer in viewer.layers:
        if isinstance(layer, Labels) and layer.mode in CHANGING and role_of(layer) == "edits":
            layer.mode = OFF


def select_edits(viewer: ViewerModel, edits: Labels, scheme: PhaseScheme) -> None:
    """Select an edits layer, so that its keys work, with the next phase chosen and the brush put away.

    The next phase is the first that nobody has painted yet. A phase that the user has chosen stays chosen.
    """
    viewer.layers.selection.active = edits
    _show(edits)
    mark = mark_of(edits)
    if edits.selected_label == mark.get("brush", 1) or not 1 <= edits.selected_label <= len(scheme):
        unpainted = (p.label for p in scheme if not np.any(edits.data == p.label))
        edits.selected_label = next(unpainted, edits.selected_label)
        edits.metadata = {**edits.metadata, KEY: {**mark, "brush": int(edits.selected_label)}}
    put_away(viewer)


def brush_label(viewer: ViewerModel, image: Image | None) -> int | None:
    """Return the label that a click would paint on the edits of an image, 0 where it would erase; None: nothing."""
    edits = None if image is None else find_layer(viewer, image, "edits")
    active = viewer.layers.selection.active  # perhaps another proxy of the same layer
    if edits is None or active is None or active.unique_id != edits.unique_id or edits.mode not in CHANGING:
        return None
    return 0 if edits.mode == "erase" else int(edits.selected_label)


def _show(layer: Labels) -> None:
    """Make a layer visible; napari changes the mode of one that is visible already."""
    if not layer.visible:
        layer.visible = True
