"""LabelMe: one JSON an image, with shapes."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.datasets.reading.annotated import Annotated, entries_of
from phaseguide.datasets.reading.annotation_json import read_annotation_json
from phaseguide.datasets.reading.base import About, Layout, Listing
from phaseguide.datasets.reading.files import ImageIndex, begins, facts, plain_files
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring
from phaseguide.datasets.reading.schemes import scheme_of
from phaseguide.errors import DatasetError

MOST_BYTES = 512 * 1024**2
"""The image itself lies in many of these files, as text."""

CIRCLE_CORNERS = 64

ABOUT = About(
    name="labelme",
    title="LabelMe shapes",
    expects="a JSON an image, with shapes and imagePath, beside the image or in another sub-folder",
    holds="polygons, rectangles and circles; labels are phases",
)


def matches(folder: Path) -> bool:
    """Whether a JSON file holds shapes."""
    return any(_is_labelme(path) for path in _files(folder)[:3])


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that have a file of shapes, and those that have none."""
    index = ImageIndex(folder)
    of_image: dict[Path, Annotated] = {}
    names: list[str] = []
    for file in _files(folder):
        data = _read(file)
        told = str(data.get("imagePath") or "")
        image = index.find(told or file.stem, str(file))
        if image in of_image:
            raise DatasetError(f"{file}: is for {image.name}, and so is {of_image[image].where}. Keep one.")
        names += [str(shape.get("label", "")) for shape in _shapes(data, file)]
        height, width = data.get("imageHeight"), data.get("imageWidth")
        size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        of_image[image] = Annotated(
            image, str(file), partial(_outlines, file), facts(file), size, empty=not data["shapes"]
        )
    for image in index.paths:
        if image not in of_image:
            of_image[image] = Annotated(image, str(folder), list, (), empty=True)
    scheme = scheme_of(names, options)
    entries, told_of = entries_of(folder, list(of_image.values()), scheme, options)
    return Listing(ABOUT, folder, scheme, entries, notices=told_of)


def _outlines(file: Path) -> list[Outline]:
    outlines = []
    for number, shape in enumerate(_shapes(_read(file), file), start=1):
        where = f"{file}, shape {number}"
        phase, kind = str(shape.get("label", "")), shape.get("shape_type") or "polygon"
        if not phase.strip():
            raise DatasetError(f"{where}: has no label. Give it the name of its phase.")
        corners = as_ring(shape.get("points") or [], where)
        if kind == "polygon":
            ring = corners
        elif kind == "rectangle" and len(corners) == 2:
            (left, top), (right, bottom) = corners
            ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        elif kind == "circle" and len(corners) == 2:
            centre, edge = corners
            angle = np.arange(CIRCLE_CORNERS) * 2 * math.pi / CIRCLE_CORNERS
            ring = centre + np.hypot(*(edge - centre)) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        else:
            raise DatasetError(
                f"{where}: is a {kind} with {len(corners)} points, which covers no area. Draw a polygon, or take it "
                "out."
            )
        outlines.append(Outline(phase, where, (ring,)))
    return outlines


def _shapes(data: dict[str, Any], file: Path) -> list[dict[str, Any]]:
    shapes = data.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise DatasetError(f"{file}: its shapes are not a list of objects. Save it again in LabelMe.")
    return shapes


def _read(file: Path) -> dict[str, Any]:
    data = read_annotation_json(file, MOST_BYTES, "Save it again in LabelMe.")
    if not isinstance(data, dict) or "shapes" not in data:
        raise DatasetError(
            f"{file}: is not a file of LabelMe, since it has no shapes. Take it out of the folder."
        )
    return data


def _files(folder: Path) -> list[Path]:
    return plain_files(folder, ".json", deep=True)


def _is_labelme(path: Path) -> bool:
    data = begins(path, MOST_BYTES)
    return b'"shapes"' in data and (b'"imagePath"' in data or b'"shape_type"' in data)


LAYOUT = Layout(ABOUT, matches, open_folder)
