"""Shapes and Points layers as prompts: what they say on a plane of an image, and how they are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.jobs.plane_index import Index
from phaseguide.models.sam.prompts import Prompts
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.prompts import (
    check_box,
    check_point,
    check_prompts,
    name_meaning,
    parse_meaning,
)
from phaseguide.widgets.layers.outlines import read_outlines, transform_to
from phaseguide.widgets.layers.planes import data_shape, plane_shape

if TYPE_CHECKING:
    from napari.layers import Image, Points, Shapes

PHASE = "phase"
"""Column of a layer's features that says what each box or point stands for, as the command line reads it."""


def read_prompts(
    boxes: Shapes | None, points: Points | None, image: Image, index: Index, scheme: PhaseScheme, default: int
) -> Prompts | None:
    """Return what two layers say on a plane of an image; None for nothing.

    A shape stands for the box around it. What it says is in the layer's feature ``phase``; where that is
    empty, the colour of its edge (of a point: its face) tells, if a phase has it; else ``default``.

    Parameters
    ----------
    index : tuple of int
        A plane of the image. What lies on other planes is left out.
    default : int
        Label of a phase, negative for "not there", which only points can say.

    Raises
    ------
    MicrographError
        A line or a path, a place outside the image.
    SchemeError
        A phase that the model does not have, too many prompts.
    """
    shape = plane_shape(image)
    corners: list[NDArray[np.float64]] = []
    box_phases: list[int] = []
    if boxes is not None:
        said = _meanings(boxes, boxes.edge_color, scheme, abs(default), "Box")
        for outline in sorted(read_outlines(boxes, image, index), key=lambda one: one.row):
            if index not in outline.planes:
                continue
            what = f"Box {outline.row + 1} of layer {boxes.name!r}"
            if outline.corners is None:
                raise MicrographError(f"{what} {outline.problem}")
            corners.append(np.concatenate([outline.corners.min(axis=0), outline.corners.max(axis=0)]))
            box_phases.append(said[outline.row])
            check_box(corners[-1], box_phases[-1], shape, what)
    places: list[NDArray[np.float64]] = []
    point_phases: list[int] = []
    if points is not None and len(points.data):
        said = _meanings(points, points.face_color, scheme, default, "Point")
        for row, place in enumerate(transform_to(points, image, index)(points.data)):
            if tuple(np.round(place[: len(index)]).astype(int)) != index:
                continue
            check_point(place[len(index) :], shape, f"Point {row + 1} of layer {points.name!r}")
            places.append(place[len(index) :])
            point_phases.append(said[row])
    if not corners and not places:
        return None
    prompts = Prompts(
        np.array(corners, dtype=np.float64).reshape(-1, 4),
        np.array(box_phases, dtype=np.int64),
        np.array(places, dtype=np.float64).reshape(-1, 2),
        np.array(point_phases, dtype=np.int64),
    )
    check_prompts(prompts, shape, scheme)
    return prompts


def mark(layer: Shapes | Points, meaning: int, scheme: PhaseScheme, *, selected: bool) -> None:
    """Let the next ones of a layer stand for a phase, and the selected ones too if wanted.

    Parameters
    ----------
    meaning : int
        Label of a phase, negative for "not there".
    """
    word, colour = name_meaning(meaning, scheme), next(p.colour for p in scheme if p.label == abs(meaning))
    rows = sorted(layer.selected_data) if selected else []
    column = _phase_column(layer)
    if column is None or rows:
        features = layer.features.copy()
        if column is None:
            features[column := PHASE] = np.full(len(layer.data), "", dtype=object)
        features.loc[rows, column] = word
        layer.features = features
    layer.feature_defaults = {**layer.feature_defaults.iloc[0].to_dict(), column: word}
    if rows:
        _paint(layer, colour, meaning)
    else:
        with layer.block_update_properties():
            _paint(layer, colour, meaning)


def look(scheme: PhaseScheme, image: Image) -> dict[str, dict[str, Any]]:
    """Return how new layers of boxes and of points look: keyword arguments of each."""
    side = min(data_shape(image)[-2:])
    shared = {"features": {PHASE: np.array([], dtype=object)}}
    text = {"string": "{phase}", "size": 10, "color": "white", "anchor": "upper_left"}
    return {
        "boxes": {**shared, "face_color": "#ffffff10", "edge_width": max(1.0, side / 250), "text": text},
        "points": {**shared, "size": max(5.0, side / 40), "border_color": "white"},
    }


def _phase_column(layer: Shapes | Points) -> Any:
    """The column of a layer's features that says what things stand for, or None."""
    return next((one for one in layer.features.columns if str(one).strip().casefold() == PHASE), None)


def _paint(layer: Shapes | Points, colour: str, meaning: int) -> None:
    if hasattr(layer, "current_edge_color"):
        layer.current_edge_color = colour
    else:
        layer.current_face_color = colour
        layer.current_symbol = "disc" if meaning > 0 else "x"


def _meanings(
    layer: Shapes | Points, colours: NDArray[Any], scheme: PhaseScheme, default: int, kind: str
) -> list[int]:
    """What each shape or point of a layer stands for."""
    words, column = [""] * len(layer.data), _phase_column(layer)
    if column is not None:  # NaN is not itself
        words = ["" if w is None or w != w else str(w).strip() for w in layer.features[column]]
    known = {p.label: [int(p.colour[i : i + 2], 16) for i in (1, 3, 5)] for p in scheme}
    found = []
    for row, word in enumerate(words):
        if word:
            try:
                found.append(parse_meaning(word, scheme))
            except PhaseguideError as error:
                raise type(error)(f"{kind} {row + 1} of layer {layer.name!r}: {error}") from error
            continue
        own = np.round(np.asarray(colours[row][:3]) * 255)
        found.append(next((label for label, rgb in known.items() if np.abs(own - rgb).max() <= 1), default))
    return found
