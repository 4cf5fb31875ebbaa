"""QuPath: one GeoJSON an image, with polygons that may have holes; classifications are phases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from phaseguide.datasets.reading.annotated import Annotated, entries_of
from phaseguide.datasets.reading.annotation_json import read_annotation_json
from phaseguide.datasets.reading.base import About, Layout, Listing
from phaseguide.datasets.reading.files import ImageIndex, facts, plain_files
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring
from phaseguide.datasets.reading.schemes import scheme_of
from phaseguide.errors import DatasetError

MOST_BYTES = 1024**3

ABOUT = About(
    name="qupath",
    title="QuPath GeoJSON",
    expects="a .geojson of the name of each image, in px, and the images in any sub-folder",
    holds="Polygon and MultiPolygon with holes; the classification of an object is its phase",
)


def matches(folder: Path) -> bool:
    """Whether there is a GeoJSON file."""
    return bool(plain_files(folder, ".geojson", deep=True))


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that have a GeoJSON, and those that have none."""
    index = ImageIndex(folder)
    of_image: dict[Path, Annotated] = {}
    names: list[str] = []
    colours: dict[str, str] = {}
    for file in plain_files(folder, ".geojson", deep=True):
        image = index.find(file.stem, str(file))
        if image in of_image:
            raise DatasetError(f"{file}: is for {image.name}, and so is {of_image[image].where}. Keep one.")
        features = _features(file)
        for number, feature in enumerate(features, start=1):
            name = _phase(feature, options, f"{file}, feature {number}")
            names.append(name)
            if colour := _colour(feature):
                colours.setdefault(name, colour)
        of_image[image] = Annotated(
            image, str(file), partial(_outlines, file, options), facts(file), empty=not features
        )
    for image in index.paths:
        if image not in of_image:
            of_image[image] = Annotated(image, str(folder), list, (), empty=True)
    scheme = scheme_of(names, options, colours)
    entries, told = entries_of(folder, list(of_image.values()), scheme, options)
    return Listing(ABOUT, folder, scheme, entries, notices=told)


def _outlines(file: Path, options: LayoutOptions) -> list[Outline]:
    outlines = []
    for number, feature in enumerate(_features(file), start=1):
        where = f"{file}, feature {number}"
        geometry = feature.get("geometry")
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind not in ("Polygon", "MultiPolygon"):
            raise DatasetError(f"{where}: is a {kind}, which covers no area. Draw a polygon, or take it out.")
        assert isinstance(geometry, dict)
        told = geometry.get("coordinates")
        polygons = [told] if kind == "Polygon" else told
        if not isinstance(polygons, list) or not all(isinstance(one, list) and one for one in polygons):
            raise DatasetError(f"{where}: its coordinates are not lists of rings. Export it again.")
        phase = _phase(feature, options, where)
        outlines += [Outline(phase, where, tuple(as_ring(r, where) for r in one)) for one in polygons]
    return outlines


def _phase(feature: Mapping[str, Any], options: LayoutOptions, where: str) -> str:
    told = _classification(feature)
    name = str(told.get("name") or " - ".join(map(str, told.get("names") or [])) or options.unnamed)
    if not name:
        raise DatasetError(
            f"{where}: has no classification. Give it the class of its phase, or name the phase of such outlines with "
            "--unnamed."
        )
    return name


def _classification(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = feature.get("properties")
    told = properties.get("classification") if isinstance(properties, dict) else None
    return told if isinstance(told, dict) else {}


def _colour(feature: Mapping[str, Any]) -> str:
    told = _classification(feature).get("color")
    if isinstance(told, list) and len(told) == 3 and all(isinstance(c, int) and 0 <= c < 256 for c in told):
        return "#" + "".join(f"{c:02x}" for c in told)
    return ""


def _features(file: Path) -> list[Mapping[str, Any]]:
    data = read_annotation_json(file, MOST_BYTES, "Export it again.")
    if isinstance(data, dict):
        data = [data] if data.get("type") == "Feature" else data.get("features")
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise DatasetError(f"{file}: is no GeoJSON with features. Export it again.")
    return data


LAYOUT = Layout(ABOUT, matches, open_folder)
