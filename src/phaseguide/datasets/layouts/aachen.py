"""Aachen-Heerlen: SEM images of bainitic steel, and a CSV of polygons around martensite-austenite islands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phaseguide.datasets.reading.annotated import Annotated, entries_of
from phaseguide.datasets.reading.base import About, Layout, Listing
from phaseguide.datasets.reading.files import ImageIndex, begins, plain_files, the_one
from phaseguide.datasets.reading.options import NO_BACKGROUND, LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring
from phaseguide.datasets.reading.schemes import fixed_scheme
from phaseguide.errors import DatasetError
from phaseguide.files.json_files import parse_json
from phaseguide.files.text_files import Row, parse_table, read_text

ISLANDS = "martensite-austenite"
MATRIX = "bainitic matrix"
IMAGE_COLUMNS = ("image_url", "image_name", "image", "filename", "file_name")
POLYGON_COLUMNS = ("polygon", "vertices", "points")
MOST_BYTES = 1024**3

ABOUT = About(
    name="aachen-heerlen",
    title="Aachen-Heerlen annotated steel microstructures",
    expects="images in any sub-folder, and a CSV with columns image_url; point; polygon: name, centroid and corners "
    "[(x, y), ...] in px, one line a polygon",
    licence="CC0 for the files",
    source="figshare collection 5185004 (doi 10.6084/m9.figshare.c.5185004): the PNG images and "
    "..._annotations_polygon.csv",
    citation="Iren et al. 2021, Scientific Data 8, 140, doi 10.1038/s41597-021-00926-7",
    holds="1,705 SEM images, 8,909 polygons; two phases",
)


def matches(folder: Path) -> bool:
    """Whether a table of the folder has a column for images and one for polygons."""
    return any(_has_columns(path) for path in plain_files(folder, ".csv"))


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that the table names, and those that it does not."""
    tables = [path for path in plain_files(folder, ".csv") if _has_columns(path)]
    table = the_one(tables, folder, "CSV with columns for the image and the polygon", ABOUT.expects)
    rows = _rows(table)
    image_column, polygon_column = _columns(rows[0], table)
    index = ImageIndex(folder)
    by_image: dict[Path, list[Row]] = {path: [] for path in index.paths}
    for row in rows[1:]:
        where = f"{table}, line {row.line}"
        if len(row.cells) != len(rows[0].cells):
            raise DatasetError(
                f"{where}: has {len(row.cells)} cells, but the heading has {len(rows[0].cells)}. Correct the line."
            )
        by_image[index.find(row.cells[image_column], where)].append(row)
    matrix = MATRIX if options.background == "background" else options.background
    scheme = fixed_scheme([ISLANDS] if matrix == NO_BACKGROUND else [matrix, ISLANDS], options)
    background = NO_BACKGROUND if matrix == NO_BACKGROUND else scheme.names[0]
    annotated = [
        Annotated(
            image,
            str(table),
            lambda rows=rows: [_outline(row, polygon_column, table, scheme.names[-1]) for row in rows],  # type: ignore[misc]
            tuple(row.cells[polygon_column] for row in rows),
            empty=not rows,
        )
        for image, rows in by_image.items()
    ]
    entries, told = entries_of(folder, annotated, scheme, options.changed(background=background))
    return Listing(ABOUT, folder, scheme, entries, notices=told)


def _outline(row: Row, column: int, table: Path, phase: str) -> Outline:
    where = f"{table}, line {row.line}"
    return Outline(phase, where, (as_ring(_corners(row.cells[column], where), where),))


def _corners(cell: str, where: str) -> list[Any]:
    """Read ``[(x, y), ...]``, as Python writes a list, without running anything."""
    try:
        corners = parse_json(cell.replace("(", "[").replace(")", "]"))
    except ValueError as error:
        raise DatasetError(
            f"{where}: its polygon {cell[:40]!r} is not a whole list of corners [(x, y), ...]. Correct the line, or "
            "get the file again."
        ) from error
    if not isinstance(corners, list):
        raise DatasetError(f"{where}: its polygon {cell[:40]!r} is no list of corners [(x, y), ...].")
    return corners


def _rows(table: Path) -> list[Row]:
    try:
        rows = parse_table(read_text(table, MOST_BYTES))
    except OSError as error:
        raise DatasetError(f"{table}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise DatasetError(f"{table}: {error}. Get the file again.") from error
    if not rows:
        raise DatasetError(f"{table}: is empty. Get the file again.")
    return rows


def _columns(heading: Row, table: Path) -> tuple[int, int]:
    names = [cell.casefold() for cell in heading.cells]
    found = [
        next((names.index(n) for n in known if n in names), -1) for known in (IMAGE_COLUMNS, POLYGON_COLUMNS)
    ]
    if -1 in found:
        raise DatasetError(
            f"{table}, line {heading.line}: has no column {IMAGE_COLUMNS[0]} and {POLYGON_COLUMNS[0]}, but "
            f"{', '.join(heading.cells)}. Name them so."
        )
    return found[0], found[1]


def _has_columns(table: Path) -> bool:
    heading = begins(table).decode("utf-8", "replace").partition("\n")[0].lower()
    return any(n in heading for n in IMAGE_COLUMNS) and any(n in heading for n in POLYGON_COLUMNS)


LAYOUT = Layout(ABOUT, matches, open_folder)
