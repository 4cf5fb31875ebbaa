"""COCO: JSON with images, annotations and categories; polygons and run lengths."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.reading.annotated import Annotated, entries_of
from phaseguide.datasets.reading.annotation_json import read_annotation_json
from phaseguide.datasets.reading.base import About, Groups, Layout, Listing
from phaseguide.datasets.reading.files import ImageIndex, begins, plain_files
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring
from phaseguide.datasets.reading.run_lengths import read_counts, unrolled
from phaseguide.datasets.reading.schemes import scheme_of
from phaseguide.errors import DatasetError

MOST_BYTES = 1024**3

ABOUT = About(
    name="coco",
    title="COCO annotations",
    expects="JSON with images, annotations and categories, in the folder or its annotations/, and the images in any "
    "sub-folder; several JSON files, such as train.json and val.json, are splits",
    holds="polygons and run lengths (RLE); categories are phases",
)


def matches(folder: Path) -> bool:
    """Whether a JSON file holds annotations and categories."""
    return any(_is_coco(path) for path in _candidates(folder))


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that the JSON files name."""
    files = [path for path in _candidates(folder) if _is_coco(path)]
    if not files:
        raise DatasetError(
            f"{folder}: has no JSON with annotations and categories. Expected: {ABOUT.expects}."
        )
    index = ImageIndex(folder, besides=("annotations",))
    names: list[str] = []
    annotated: list[Annotated] = []
    groups: Groups = {}
    for file in files:
        known, images = _of_file(file, index)
        names += known
        annotated += images
        groups[file.stem] = tuple(one.image.stem for one in images)
    scheme = scheme_of(names, options)
    entries, told = entries_of(folder, annotated, scheme, options)
    stems = {entry.stem for entry in entries}
    kept = {name: tuple(stem for stem in group if stem in stems) for name, group in groups.items()}
    return Listing(ABOUT, folder, scheme, entries, kept if len(kept) > 1 else {}, notices=told)


def _candidates(folder: Path) -> list[Path]:
    return [*plain_files(folder, ".json"), *plain_files(folder / "annotations", ".json")]


def _is_coco(path: Path) -> bool:
    data = begins(path, MOST_BYTES)
    return b'"annotations"' in data and b'"categories"' in data and b'"images"' in data


def _of_file(file: Path, index: ImageIndex) -> tuple[list[str], list[Annotated]]:
    """Names of the phases of a file, in the order of their numbers, and its images with their annotations."""
    data = _read(file)
    categories = {
        _whole(row, "id", f"{file}, category {number}"): str(row.get("name", ""))
        for number, row in enumerate(_rows(data, "categories", file), start=1)
    }
    images: dict[int, Mapping[str, Any]] = {}
    for number, row in enumerate(_rows(data, "images", file), start=1):
        images[_whole(row, "id", f"{file}, image {number}")] = row
    of_image: dict[int, list[tuple[str, Mapping[str, Any]]]] = {number: [] for number in images}
    for number, row in enumerate(_rows(data, "annotations", file), start=1):
        where = f"{file}, annotation {row.get('id', number)}"
        image, category = _whole(row, "image_id", where), _whole(row, "category_id", where)
        if image not in images:
            raise DatasetError(
                f"{where}: belongs to image {image}, which the file lacks. Correct its image_id."
            )
        if category not in categories:
            raise DatasetError(
                f"{where}: has category {category}, which the file does not list. Correct its category_id."
            )
        of_image[image].append((where, row))
    found = []
    for number, row in images.items():
        where, rows = f"{file}, image {number}", of_image[number]
        size = (row.get("height"), row.get("width"))
        known: tuple[int, int] | None = None
        if isinstance(size[0], int) and isinstance(size[1], int):
            known = size[0], size[1]
        if known is None:  # then run lengths, which are for one size, tell it before they are unrolled
            known = next((told for place, one in rows if (told := _told_size(one, place))), None)
        path = index.find(str(row.get("file_name", "")), where)
        made_of = tuple(f"{categories[one['category_id']]} {one.get('segmentation')}" for _, one in rows)
        outlines = partial(_outlines, rows, categories, known)
        found.append(Annotated(path, where, outlines, made_of, known, empty=not rows))
    return [categories[number] for number in sorted(categories)], found


def _outlines(
    rows: list[tuple[str, Mapping[str, Any]]], categories: Mapping[int, str], size: tuple[int, int] | None
) -> list[Outline]:
    outlines = []
    for where, row in rows:
        phase, drawn = categories[row["category_id"]], row.get("segmentation")
        if isinstance(drawn, dict):
            outlines.append(Outline(phase, where, mask=_run_lengths(row, size, where)))
        elif isinstance(drawn, list) and drawn:
            parts = drawn if isinstance(drawn[0], list) else [drawn]
            outlines += [Outline(phase, where, (_ring(part, where),)) for part in parts]
        else:
            raise DatasetError(f"{where}: has no segmentation, only a box. Draw its polygon, or take it out.")
    return outlines


def _ring(flat: Any, where: str) -> NDArray[np.float64]:
    if not isinstance(flat, list) or len(flat) % 2:
        raise DatasetError(
            f"{where}: its segmentation is not a list [x1, y1, x2, y2, ...] with as many x as y. Export it again."
        )
    return as_ring(list(zip(flat[::2], flat[1::2], strict=True)), where)


def _told_size(row: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """Height and width of an annotation of run lengths; None for another."""
    drawn = row.get("segmentation")
    if not isinstance(drawn, dict):
        return None
    told = drawn.get("size")
    if not (isinstance(told, list) and len(told) == 2 and all(isinstance(n, int) and n > 0 for n in told)):
        raise DatasetError(f"{where}: its run lengths have no size [height, width]. Export it again.")
    return told[0], told[1]


def _run_lengths(row: Mapping[str, Any], size: tuple[int, int] | None, where: str) -> NDArray[np.bool_]:
    shape = _told_size(row, where)
    assert shape is not None
    if size is not None and shape != size:
        raise DatasetError(
            f"{where}: its run lengths are for {shape[0]} x {shape[1]} px, the image is listed with "
            f"{size[0]} x {size[1]} px. Export it again."
        )
    # COCO counts column by column.
    return unrolled(read_counts(row["segmentation"].get("counts"), where), (shape[1], shape[0]), where).T


def _read(file: Path) -> Mapping[str, Any]:
    data = read_annotation_json(file, MOST_BYTES, "Export it again.")
    if not isinstance(data, dict):
        raise DatasetError(f"{file}: is not a COCO file, but a list. Expected: {ABOUT.expects}.")
    return data


def _rows(data: Mapping[str, Any], key: str, file: Path) -> list[Mapping[str, Any]]:
    rows = data.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{file}: {key!r} is not a list of objects. Export it again.")
    return rows


def _whole(row: Mapping[str, Any], key: str, where: str) -> int:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DatasetError(f"{where}: its {key} is {value!r}, not a whole number. Export it again.")
    return value


LAYOUT = Layout(ABOUT, matches, open_folder)
