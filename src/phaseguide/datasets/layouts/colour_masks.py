"""Masks in which each phase has a colour, with a table that says which."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from phaseguide.datasets.reading.base import About, Entry, Field, Layout, Listing
from phaseguide.datasets.reading.colour_table import ColourTable, read_table
from phaseguide.datasets.reading.fields import as_field, check_shape, read_plane
from phaseguide.datasets.reading.files import facts, pair_up
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError
from phaseguide.micrographs.decoding import decode

TABLES = ("colours.csv", "colors.csv", "colours.json", "colors.json")
FOLDERS = ("masks", "labels", "annotations")

ABOUT = About(
    name="colour-masks",
    title="Colour-coded masks",
    expects="images/ and masks/ or labels/ of the same names, and colours.csv with columns colour (#rrggbb), phase; "
    "phases may be called excluded and not classified",
    holds="one colour a phase, 8 or 16 bit; grey levels are colours too",
)


def matches(folder: Path) -> bool:
    """Whether a table of colours lies beside images and masks."""
    return any((folder / name).is_file() for name in TABLES) and _masks(folder) is not None


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images that have a mask."""
    masks = _masks(folder)
    if masks is None or not (folder / "images").is_dir():
        raise DatasetError(
            f"{folder}: has no images/ with masks/ or labels/ beside it. Expected: {ABOUT.expects}."
        )
    file = Path(options.colours) if options.colours else _table(folder)
    table = read_table(file, options)
    pairs, told = pair_up(folder / "images", masks, options)
    entries = tuple(
        Entry(
            image.stem,
            partial(_read, image, mask, table, options),
            (*facts(image, mask), table.made_of),
            image,
        )
        for image, mask in pairs
    )
    return Listing(ABOUT, folder, table.scheme, entries, notices=told)


def _read(image: Path, mask: Path, table: ColourTable, options: LayoutOptions) -> Field:
    micrograph, pixels = read_plane(image), decode(mask).pixels
    labels, told = table.labels(pixels, str(mask), options.unknown_colours)
    check_shape(labels, micrograph.plane_shape, str(mask), image.name)
    return as_field(micrograph, labels, options, told)


def _masks(folder: Path) -> Path | None:
    return next((folder / name for name in FOLDERS if (folder / name).is_dir()), None)


def _table(folder: Path) -> Path:
    for name in TABLES:
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(
        f"{folder}: has no table that says which colour is which phase. Give one with --colours: CSV with columns "
        "colour and phase, a line each such as #ff0000,ferrite."
    )


LAYOUT = Layout(ABOUT, matches, open_folder)
