"""All layouts by name, and which of them a folder is in."""

from __future__ import annotations

from pathlib import Path

from phaseguide.datasets.layouts import (
    aachen,
    coco,
    colour_masks,
    cvat,
    folder,
    imagej,
    labelme,
    metaldam,
    nasa,
    qupath,
    uhcs,
)
from phaseguide.datasets.reading.base import Layout, Listing
from phaseguide.datasets.reading.groups import chosen
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError

LAYOUTS: dict[str, Layout] = {
    layout.about.name: layout
    for layout in (
        uhcs.LAYOUT, nasa.SUPER, nasa.EBC, metaldam.LAYOUT, aachen.LAYOUT, colour_masks.LAYOUT, coco.LAYOUT,
        cvat.LAYOUT, labelme.LAYOUT, qupath.LAYOUT, imagej.LAYOUT, folder.LAYOUT,
    )
}  # fmt: skip
"""In the order in which a folder is compared with them."""


def open_layout(path: str | Path, options: LayoutOptions | None = None, name: str | None = None) -> Listing:
    """List the fields of a folder in a known layout; nothing but names and annotations is read.

    Parameters
    ----------
    path : str or Path
        The folder.
    options : LayoutOptions, optional
        What its files leave open.
    name : str, optional
        The layout; by default the first of `LAYOUTS` that the folder looks like.

    Returns
    -------
    Listing
        Phases, entries that read one field each, splits or folds.

    Raises
    ------
    DatasetError
        No such folder or layout, nothing in the folder, or annotations that do not fit; file and line are named.
    """
    path, options = Path(path), options or LayoutOptions()
    if not path.is_dir():
        what = "is a file; give the folder that it lies in" if path.exists() else "there is no such folder"
        raise DatasetError(f"{path}: {what}.")
    layout = find_layout(path, name)
    listing = chosen(layout.open(path, options), options.splits)
    if not listing.entries:
        raise DatasetError(f"{path}: has no labelled image. Expected: {layout.about.expects}.")
    return listing


def find_layout(path: Path, name: str | None = None) -> Layout:
    """Return a layout by its name, or the one that a folder looks like."""
    if name is not None:
        if name not in LAYOUTS:
            raise DatasetError(f"There is no layout {name!r}. Layouts: {', '.join(LAYOUTS)}.")
        return LAYOUTS[name]
    for layout in LAYOUTS.values():
        if layout.matches(path):
            return layout
    raise DatasetError(
        f"{path}: is in none of the layouts that are known. Name one with --layout, and compare the folder with what "
        "it expects: phaseguide data list."
    )
