"""MetalDAM: SEM images of additively manufactured steels with five labels and an information bar of 65 rows."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from phaseguide.datasets.reading.base import About, Entry, Field, Groups, Layout, Listing
from phaseguide.datasets.reading.fields import (
    as_field,
    counted_from_zero,
    matched_to_bar,
    read_plane,
    read_values,
    with_known_bar,
)
from phaseguide.datasets.reading.files import facts, images_in, pair_up
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.schemes import fixed_scheme
from phaseguide.errors import DatasetError

PHASES = ("matrix", "austenite", "martensite/austenite", "precipitate", "defect")
BAR_ROWS = 65
FULL_SHAPES = ((960, 1280), (768, 1024))
"""Height and width with the bar."""

FOLDS, SEED = 5, 123456789

ABOUT = About(
    name="metaldam",
    title="MetalDAM, additively manufactured steels",
    expects="images/ with micrographN.jpg or .png, and labels/ with maps of the same names, 0 to 4; either may be "
    "without the 65 rows of the bar",
    licence="none stated in its repository; ask ArcelorMittal and DaSCI before you pass anything on",
    source="github.com/ari-dasci/OD-MetalDAM, releases: the labelled images",
    citation="Luengo et al. 2022, Information Fusion; MetalDAM by ArcelorMittal and DaSCI",
    holds="42 SEM images of 1280 x 895 and 1024 x 703 px without the bar, five phases; published shares 31.86, 58.26, "
    f"8.96, 0.24 and 0.68 %; {FOLDS} folds, shuffled with seed {SEED}",
)

_NAME = re.compile(r"micrograph\d+", re.IGNORECASE)


def matches(folder: Path) -> bool:
    """Whether images and labels are named as those of the set; not where a scheme.json is."""
    if (folder / "scheme.json").exists() or not all(
        (folder / name).is_dir() for name in ("images", "labels")
    ):
        return False
    images = images_in(folder / "images")
    return bool(images) and all(_NAME.fullmatch(path.stem) for path in images)


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the images of a folder with the folds of the published protocol."""
    for name in ("images", "labels"):
        if not (folder / name).is_dir():
            raise DatasetError(f"{folder}: has no folder {name}. Expected: {ABOUT.expects}.")
    pairs, told = pair_up(folder / "images", folder / "labels", options)
    entries = tuple(
        Entry(image.stem, partial(_read, image, label, options), facts(image, label), image)
        for image, label in pairs
    )
    groups = folds_of([entry.stem for entry in entries])
    return Listing(ABOUT, folder, fixed_scheme(PHASES, options), entries, groups, "folds", told)


def folds_of(stems: list[str]) -> Groups:
    """Deal images to five folds as the published code does: shuffled with its seed; images in order of their names."""
    if len(stems) < FOLDS:
        return {}
    from sklearn.model_selection import KFold

    ordered = sorted(stems)
    deal = KFold(FOLDS, shuffle=True, random_state=SEED).split(ordered)
    return {str(number): tuple(ordered[i] for i in test) for number, (_, test) in enumerate(deal, start=1)}


def _read(image: Path, label: Path, options: LayoutOptions) -> Field:
    micrograph = read_plane(image)
    shape = micrograph.plane_shape
    values = matched_to_bar(read_values(label), shape, BAR_ROWS, str(label))
    labels = counted_from_zero(values, len(PHASES), str(label))
    if shape in FULL_SHAPES:
        return with_known_bar(micrograph, labels, BAR_ROWS, options)
    return as_field(micrograph, labels, options)


LAYOUT = Layout(ABOUT, matches, open_folder)
