"""NASA's benchmark sets Super1 to Super4 and EBC1 to EBC3: folders train, val, test, and masks in train_annot ..."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.reading.base import About, Entry, Field, Layout, Listing
from phaseguide.datasets.reading.fields import (
    as_field,
    check_shape,
    counted_from_zero,
    read_plane,
    read_values,
)
from phaseguide.datasets.reading.files import check_stems, facts, images_in, pair_up
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.schemes import fixed_scheme
from phaseguide.errors import DatasetError
from phaseguide.micrographs.decoding import decode

SUPERALLOY = ("matrix", "secondary precipitate", "tertiary precipitate")
COATING = ("background", "thermally grown oxide", "crack")
ANNOTATED = "_annot"

_SOURCE = "github.com/nasa/pretrained-microscopy-models, folder benchmark_segmentation_data"
_CITATION = "Stuckner, Harder, Smith 2022, npj Computational Materials, doi 10.1038/s41524-022-00878-5"

SUPER_ABOUT = About(
    name="superalloy",
    title="NASA nickel superalloys, Super1 to Super4",
    expects="folders train, val, test, different_test with images, and the same with _annot for RGBA masks X_mask.tif: "
    "blue the secondary precipitate, red the tertiary, all else the matrix, 8 or 16 bit",
    licence="MIT",
    source=_SOURCE,
    citation=_CITATION,
    holds="Super1 10/4/4, Super2 4/4/4, Super3 1/4/4, Super4 4/4/5 SEM images of 512 x 512 px; three phases",
)
EBC_ABOUT = About(
    name="ebc",
    title="NASA environmental barrier coatings, EBC1 to EBC3",
    expects="folders train, val, test with images, and the same with _annot for label maps of the same names: 0 the "
    "background, 1 the thermally grown oxide, 2 cracks",
    licence="MIT",
    source=_SOURCE,
    citation=_CITATION,
    holds="EBC1 18/3/3, EBC2 4/3/3, EBC3 15/3/6 SEM images of 1024 x 1024 px; three phases",
)


def splits_of(folder: Path) -> list[str]:
    """Return the names of sub-folders that have masks beside them."""
    there = {path.name for path in folder.iterdir() if path.is_dir()}
    usual = ("train", "val", "test")
    splits = sorted(name.removesuffix(ANNOTATED) for name in there if name.endswith(ANNOTATED))
    return sorted(splits, key=lambda name: usual.index(name) if name in usual else len(usual))


def _matches(folder: Path, colour: bool) -> bool:
    """Whether there are such folders, with masks in colour, or without."""
    for split in splits_of(folder):
        masks = images_in(folder / f"{split}{ANNOTATED}")
        if masks:
            return masks[0].stem.endswith("_mask") == colour
    return False


def _open(
    folder: Path, options: LayoutOptions, about: About, phases: tuple[str, ...], colour: bool
) -> Listing:
    scheme = fixed_scheme(phases, options)
    splits = splits_of(folder)
    if unknown := [name for name in options.splits if name not in splits]:
        raise DatasetError(
            f"{folder}: has no split {unknown[0]!r}. Splits of it: {', '.join(splits) or 'none'}."
        )
    entries: list[Entry] = []
    names: list[tuple[str, str]] = []
    told: list[str] = []
    groups: dict[str, tuple[str, ...]] = {}
    for split in splits:
        if options.splits and split not in options.splits:
            continue
        images = folder / split
        if not images.is_dir():
            raise DatasetError(
                f"{folder}: has {split}{ANNOTATED} and no {split}. Add the images of this split."
            )
        pairs, left_out = pair_up(images, folder / f"{split}{ANNOTATED}", options)
        told += left_out
        groups[split] = tuple(image.stem for image, _ in pairs)
        names += [(image.stem, f"{split}/{image.name}") for image, _ in pairs]
        read = _read_colours if colour else _read_values
        entries += [
            Entry(image.stem, partial(read, image, mask, options), facts(image, mask), image)
            for image, mask in pairs
        ]
    check_stems(folder, names)
    return Listing(about, folder, scheme, tuple(entries), groups, notices=tuple(told))


def _read_values(image: Path, mask: Path, options: LayoutOptions) -> Field:
    micrograph, values = read_plane(image), read_values(mask)
    check_shape(values, micrograph.plane_shape, str(mask), image.name)
    return as_field(micrograph, counted_from_zero(values, len(COATING), str(mask)), options)


def _read_colours(image: Path, mask: Path, options: LayoutOptions) -> Field:
    micrograph = read_plane(image)
    labels, told = labels_of_colours(mask)
    check_shape(labels, micrograph.plane_shape, str(mask), image.name)
    return as_field(micrograph, labels, options, told)


def labels_of_colours(mask: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the labels of a mask as published: pure blue 2, pure red 3, all else 1; also what there is to tell.

    Under the colours lies the grey image. Colours that are neither pure nor grey are edges that somebody smoothed;
    the published code takes them for the matrix, and so does this, but it tells.
    """
    pixels = decode(mask).pixels
    if pixels.ndim == 2:  # a mask of nothing but matrix
        return np.ones(pixels.shape, dtype=np.uint8), ()
    if pixels.ndim != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(
            f"{mask}: is not a mask of 8 or 16 bits a colour of one plane. Get the file again."
        )
    full = np.iinfo(pixels.dtype).max
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    labels = np.ones(red.shape, dtype=np.uint8)
    labels[(red == 0) & (green == 0) & (blue == full)] = 2
    labels[(red == full) & (green == 0) & (blue == 0)] = 3
    mixed = int(((labels == 1) & ((red != green) | (green != blue))).sum())
    if not mixed:
        return labels, ()
    return labels, (
        f"{mask.name}: {mixed} pixels are neither pure blue or red nor grey; they count as matrix, as published.",
    )


SUPER = Layout(
    SUPER_ABOUT,
    partial(_matches, colour=True),
    partial(_open, about=SUPER_ABOUT, phases=SUPERALLOY, colour=True),
)
EBC = Layout(
    EBC_ABOUT, partial(_matches, colour=False), partial(_open, about=EBC_ABOUT, phases=COATING, colour=False)
)
