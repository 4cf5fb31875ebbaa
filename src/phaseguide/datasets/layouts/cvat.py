"""CVAT for images 1.1: one XML of polygons and boxes for many images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.parsers import expat

from phaseguide.datasets.reading.annotated import Annotated, entries_of
from phaseguide.datasets.reading.base import About, Layout, Listing
from phaseguide.datasets.reading.files import ImageIndex, begins, plain_files, the_one
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring
from phaseguide.datasets.reading.schemes import scheme_of
from phaseguide.errors import DatasetError
from phaseguide.files.foreign import open_plain

ABOUT = About(
    name="cvat",
    title="CVAT for images 1.1",
    expects="an XML of the export (annotations.xml), and the images in any sub-folder; subsets of a task are splits",
    holds="polygons and boxes, in the order of their z_order; labels are phases",
)

_DRAWN = ("polygon", "box")
_NO_AREA = ("polyline", "points", "cuboid", "skeleton", "ellipse", "mask", "tag")


@dataclass
class _Image:
    """An image of the file: its attributes, and its shapes as (line, element, attributes)."""

    line: int
    told: Mapping[str, str]
    shapes: list[tuple[int, str, Mapping[str, str]]] = field(default_factory=list)


def matches(folder: Path) -> bool:
    """Whether an XML file begins as an export of CVAT does."""
    return any(_is_cvat(path) for path in plain_files(folder, ".xml"))


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that the export names."""
    files = [path for path in plain_files(folder, ".xml") if _is_cvat(path)]
    file, index = the_one(files, folder, "XML of CVAT for images", ABOUT.expects), ImageIndex(folder)
    labels, images = _parse(file)
    annotated: list[Annotated] = []
    groups: dict[str, list[str]] = {}
    for image in images:
        where = f"{file}, line {image.line}"
        path = index.find(image.told.get("name", ""), where)
        size = tuple(image.told.get(name, "") for name in ("height", "width"))
        known = (int(size[0]), int(size[1])) if all(n.isdigit() for n in size) else None
        made_of = tuple(f"{kind} {sorted(told.items())}" for _, kind, told in image.shapes)
        outlines = partial(_outlines, image, file)
        annotated.append(Annotated(path, where, outlines, made_of, known, empty=not image.shapes))
        if subset := image.told.get("subset"):
            groups.setdefault(subset, []).append(path.stem)
    names = [*labels, *(told.get("label", "") for image in images for _, _, told in image.shapes)]
    scheme = scheme_of(names, options, labels)
    entries, told_of = entries_of(folder, annotated, scheme, options)
    stems = {entry.stem for entry in entries}
    kept = {name: tuple(stem for stem in group if stem in stems) for name, group in groups.items()}
    return Listing(ABOUT, folder, scheme, entries, kept, notices=told_of)


def _parse(file: Path) -> tuple[dict[str, str], list[_Image]]:
    """Labels of the task with their colours, and its images, read as a stream; `DatasetError` with the line."""
    parser = expat.ParserCreate()
    images: list[_Image] = []
    labels: dict[str, str] = {}
    path: list[str] = []
    text: dict[str, str] = {}

    def begin(name: str, told: dict[str, str]) -> None:
        path.append(name)
        if name == "image":
            images.append(_Image(parser.CurrentLineNumber, told))
        elif name in (*_DRAWN, *_NO_AREA) and path[-2:-1] == ["image"]:
            images[-1].shapes.append((parser.CurrentLineNumber, name, told))
        elif name == "label":
            text.clear()

    def says(data: str) -> None:
        if path[-2:-1] == ["label"]:
            text[path[-1]] = text.get(path[-1], "") + data

    def end(name: str) -> None:
        path.pop()
        if name == "label" and text.get("name"):
            colour = text.get("color", "")
            labels[text["name"]] = colour if len(colour) == 7 and colour.startswith("#") else "#999999"

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, says
    try:
        with open_plain(file) as opened:
            parser.ParseFile(opened)
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except expat.ExpatError as error:
        raise DatasetError(
            f"{file}, line {error.lineno}: is not sound XML ({expat.ErrorString(error.code)}); it is cut short or "
            "damaged. Export it again."
        ) from error
    return labels, images


def _outlines(image: _Image, file: Path) -> list[Outline]:
    outlines = []
    for line, kind, told in sorted(image.shapes, key=lambda shape: _order(shape[2])):
        where = f"{file}, line {line}"
        if kind in _NO_AREA:
            raise DatasetError(f"{where}: is a {kind}; only polygons and boxes are read. Convert it.")
        try:
            if kind == "box":
                left, top, right, bottom = (float(told[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
                corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            else:
                corners = [_pair(pair) for pair in told["points"].split(";") if pair.strip()]
        except (KeyError, ValueError) as error:
            raise DatasetError(
                f'{where}: its points are not a list "x,y;x,y;..." of numbers. Export it again.'
            ) from error
        outlines.append(Outline(told.get("label", ""), where, (as_ring(corners, where),)))
    return outlines


def _pair(text: str) -> tuple[float, float]:
    x, y = text.split(",")
    return float(x), float(y)


def _order(told: Mapping[str, str]) -> int:
    try:
        return int(told.get("z_order", "0"))
    except ValueError:
        return 0


def _is_cvat(path: Path) -> bool:
    return b"<annotations" in begins(path)


LAYOUT = Layout(ABOUT, matches, open_folder)
