"""Shapes of a napari layer as outlines in the pixels of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.jobs.plane_index import Index
from phaseguide.widgets.layers.planes import data_shape

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Shapes

NAME_COLUMNS = ("name", "region", "label")
"""Columns of a layer's features that may hold the names of its shapes; the first one found counts."""

_ARC = 720  # corners that stand for an ellipse; its area is then right to 1 in 70 000


@dataclass(frozen=True)
class Outline:
    """One shape of a layer, as it lies on a plane of an image.

    Attributes
    ----------
    row : int
        Which shape of the layer.
    name : str
    corners : ndarray of float, shape (N, 2), or None
        Rows and columns in px of the image; None where the shape encloses nothing on any one plane.
    planes : frozenset of tuple of int
        Planes of the image that it was drawn on; the wished one for a layer without planes.
    problem : str
        Why there are no corners; empty if there are.
    """

    row: int
    name: str
    corners: NDArray[np.float64] | None
    planes: frozenset[Index]
    problem: str


def shape_names(layer: Shapes) -> list[str]:
    """Return the names of a layer's shapes, from its features or text, else "Region 1" and so on."""
    count = len(layer.data)
    names: list[Any] = [""] * count
    columns = {str(column).casefold(): column for column in layer.features.columns}
    named = next((columns[key] for key in NAME_COLUMNS if key in columns), None)
    if named is not None:
        names = ["" if value != value else value for value in layer.features[named]]  # NaN is not itself
    elif np.size(layer.text.values) == count and len(set(np.ravel(layer.text.values))) == count:
        names = list(np.ravel(layer.text.values))
    return [str(name or "").strip() or f"Region {row}" for row, name in enumerate(names, start=1)]


def read_outlines(layer: Shapes, image: Image, index: Index) -> list[Outline]:
    """Return every shape of a layer in the order in which they lie on top of each other, the lowest first.

    Parameters
    ----------
    layer : Shapes
        With any transform, of as many dimensions as the image or fewer or more; a layer without planes
        lies on every plane of a stack.
    index : tuple of int
        A plane of the image.
    """
    to_image = transform_to(layer, image, index)
    names = shape_names(layer)
    order = sorted(range(len(names)), key=lambda row: (layer.z_index[row], row))
    return [
        _outline(row, names[row], layer.shape_type[row], to_image(layer.data[row]), len(index))
        for row in order
    ]


def enclosure_problem(kind: Any) -> str:
    """Say why a kind of shape is no region; empty if it is one."""
    word = str(getattr(kind, "value", kind))
    if word not in ("line", "path"):
        return ""
    return f"is a {word}, which encloses nothing. Draw a polygon, a rectangle or an ellipse instead."


def _outline(row: int, name: str, kind: Any, places: NDArray[np.float64], leading: int) -> Outline:
    planes = frozenset(tuple(int(n) for n in place) for place in np.round(places[:, :leading]))
    problem = enclosure_problem(kind)
    if len(planes) > 1 and not problem:
        problem = "lies across several planes. Draw it again on one plane."
    corners = places[:, leading:]
    if str(getattr(kind, "value", kind)) == "ellipse":
        corners = _ellipse(corners)
    return Outline(row, name, None if problem else corners, planes, problem)


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outline of the ellipse in a parallelogram of four corners, shape (N, 2)."""
    centre, first, second = box.mean(axis=0), (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ARC, endpoint=False)[:, None]
    outline: NDArray[np.float64] = centre + np.cos(angle) * first + np.sin(angle) * second
    return outline


def transform_to(
    layer: Layer, image: Image, index: Index
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """From data of a layer, (N, D), to data of the image, (N, its dimensions)."""
    inside = len(data_shape(image))
    here = np.array(image.data_to_world((*index, 0, 0)), dtype=np.float64)
    factors = _unit_factors(layer, image)

    def move(place: NDArray[np.float64]) -> NDArray[np.float64]:
        world = np.asarray(layer.data_to_world(tuple(place)), dtype=np.float64)
        shared = min(inside, world.size)
        full = here.copy()  # what the layer says nothing about is as on the plane
        full[inside - shared :] = world[-shared:] * factors[-shared:]
        return np.asarray(image.world_to_data(full), dtype=np.float64)

    # Both ways are affine, so the images of the origin and of one step along each axis tell all.
    origin = move(np.zeros(layer.ndim))
    steps = np.array([move(step) - origin for step in np.eye(layer.ndim)])
    return lambda data: np.asarray(data, dtype=np.float64) @ steps + origin


def _unit_factors(layer: Layer, image: Layer) -> NDArray[np.float64]:
    """How many units of the image are in one of the layer, for the axes that both have; 1 if incomparable."""
    import pint

    factors = []
    for mine, other in zip(layer.units[::-1], image.units[::-1], strict=False):
        try:
            factors.append(float((1 * mine).to(other).magnitude))
        except pint.DimensionalityError:
            factors.append(1.0)
    return np.array(factors[::-1])
