"""Planes of an image layer: which there are, and which one is on show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.jobs.plane_index import Index

if TYPE_CHECKING:
    from napari.layers import Image


def full_data(image: Image) -> Any:
    """Return the finest level of an image layer's data: NumPy, dask, zarr or alike."""
    return image.data[0] if image.multiscale else image.data


def data_shape(image: Image) -> tuple[int, ...]:
    """Shape without the colour axis."""
    shape = tuple(int(n) for n in full_data(image).shape)
    return shape[:-1] if image.rgb else shape


def plane_shape(image: Image) -> tuple[int, int]:
    """Rows and columns of a plane."""
    height, width = data_shape(image)[-2:]
    return height, width


def plane_count(image: Image) -> int:
    """Number of planes, 1 for a plain image."""
    return int(np.prod(data_shape(image)[:-2], dtype=int))


def all_indices(image: Image) -> list[Index]:
    """Every plane, in order."""
    return [tuple(map(int, index)) for index in np.ndindex(*data_shape(image)[:-2])]


def fields_of(image: Image, images: list[Image]) -> list[Image]:
    """Images that are fields of one specimen: a stack by itself, or all plain images."""
    if len(data_shape(image)) > 2:
        return [image]
    return [one for one in images if len(data_shape(one)) == 2]


def current_index(image: Image, point: Any) -> Index:
    """Return the plane of an image layer that is on show.

    Parameters
    ----------
    point : sequence of float
        ``viewer.dims.point``: where the sliders stand, in world units.
    """
    leading = data_shape(image)[:-2]
    if not leading:
        return ()
    position = image.world_to_data(tuple(point)[-image.ndim :])
    return tuple(
        int(np.clip(np.round(value), 0, size - 1))
        for value, size in zip(position[: len(leading)], leading, strict=True)
    )
