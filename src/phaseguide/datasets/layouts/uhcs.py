"""UHCS: micro-constituents of ultra-high carbon steel, as HDF5 or as image and label files, with six official folds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.reading.base import About, Entry, Field, Groups, Layout, Listing
from phaseguide.datasets.reading.fields import (
    check_shape,
    counted_from_zero,
    cropped,
    matched_to_bar,
    read_plane,
    read_values,
    with_known_bar,
)
from phaseguide.datasets.reading.files import check_stems, facts, images_in, pair_up, plain_files
from phaseguide.datasets.reading.groups import present, read_groups
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.packages import need
from phaseguide.datasets.reading.schemes import fixed_scheme
from phaseguide.errors import DatasetError
from phaseguide.phases import EXCLUDED, PhaseScheme

PHASES = ("denuded ferrite", "carbide network", "spheroidite", "Widmanstätten cementite")
BAR_ROWS = 38
FULL_HEIGHT = 522
FOLDS_FILE = "uhcs-validation-sets.json"

FOLDS: dict[str, tuple[int, ...]] = {
    "F0": (1176, 1219, 357, 333),
    "F1": (235, 360, 1528, 579),
    "F2": (220, 495, 1061, 75),
    "F3": (6, 1648, 295, 1289),
    "F4": (1579, 596, 312, 1150),
    "F5": (7, 477, 124, 599),
}
"""Those of uhcs-validation-sets.json in the authors' repository, bdecost/uhcs-segment; numbers are of micrographs."""

ABOUT = About(
    name="uhcs",
    title="Ultra-high carbon steel micro-constituents",
    expects="a .h5 file with a group micrographN (image, labels) an image; or images/ and labels/ with files uhcsNNNN "
    "or micrographN, labels 0 to 3 with -1 or 255 for the bar, or 1 to 4",
    licence="Creative Commons, as its NIST record says; the copy in leibo-cmu/MatSeg is under the MIT licence",
    source="materialsdata.nist.gov, hdl.handle.net/11256/964",
    citation="DeCost, Lei, Francis, Holm 2019, doi 10.1017/S1431927618015635",
    holds="24 SEM images of 522 x 645 px with a bar of 38 rows, four phases, six folds",
)

_NAME = re.compile(r"(?:uhcs|micrograph)0*(\d+)", re.IGNORECASE)


def matches(folder: Path) -> bool:
    """Whether there is an HDF5 file, or images whose names are those of the set; not where a scheme.json is."""
    if plain_files(folder, ".h5", ".hdf5"):
        return True
    if (folder / "scheme.json").exists() or not all(
        (folder / name).is_dir() for name in ("images", "labels")
    ):
        return False
    images = images_in(folder / "images")
    named = [_NAME.fullmatch(path.stem) for path in images]
    return bool(images) and all(named) and any("uhcs" in path.stem for path in images)


def open_folder(folder: Path, options: LayoutOptions) -> Listing:
    """List the micrographs of a folder with their folds."""
    scheme = fixed_scheme(PHASES, options)
    containers = plain_files(folder, ".h5", ".hdf5")
    if len(containers) > 1:
        raise DatasetError(
            f"{folder}: has {len(containers)} HDF5 files, {containers[0].name} and {containers[1].name} among them. "
            "Keep the one with the micrographs."
        )
    told: tuple[str, ...] = ()
    if containers:
        entries = _in_container(containers[0], options)
    else:
        entries, told = _in_files(folder, scheme, options)
    stems = [entry.stem for entry in entries]
    groups, missing = _folds(folder, stems)
    return Listing(ABOUT, folder, scheme, entries, groups, "folds", (*told, *missing))


def stem_of(name: str, where: str) -> str:
    """Return the name of an image in the way of the set, ``uhcs0357``."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise DatasetError(
            f"{where}: {name!r} is not named as a micrograph of this set, micrograph357 or uhcs0357."
        )
    return f"uhcs{int(found[1]):04d}"


def _folds(folder: Path, stems: Sequence[str]) -> tuple[Groups, tuple[str, ...]]:
    """Folds of a file in the folder, which must fit it; else the official ones, as far as their images are there."""
    file = folder / FOLDS_FILE
    if file.is_file():
        named = {f"F{name}" if name.isdigit() else name: group for name, group in read_groups(file).items()}
        told = {
            name: tuple(stem_of(one, f"{file}, fold {name}") for one in group)
            for name, group in named.items()
        }
        return present(told, stems, file)
    official = {name: tuple(f"uhcs{number:04d}" for number in numbers) for name, numbers in FOLDS.items()}
    return present(official, stems, None)


def _in_files(
    folder: Path, scheme: PhaseScheme, options: LayoutOptions
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    pairs, told = pair_up(folder / "images", folder / "labels", options)
    check_stems(folder, [(stem_of(image.stem, str(image)), image.name) for image, _ in pairs])
    from_one = _counts_from_one([label for _, label in pairs], folder)
    entries = tuple(
        Entry(
            stem_of(image.stem, str(image)),
            lambda image=image, label=label: _read_files(image, label, from_one, options),  # type: ignore[misc]
            (*facts(image, label), f"labels from {int(from_one)}"),
            image,
        )
        for image, label in pairs
    )
    return entries, told


def _counts_from_one(labels: Sequence[Path], folder: Path) -> bool:
    """Whether the phases are 1 to 4, as some copies of the set have them, and not 0 to 3 as published."""
    seen: set[int] = set()
    for path in labels:
        seen |= set(np.unique(read_values(path)).tolist())
        if len(PHASES) in seen:
            return True
    if labels and 0 not in seen:
        raise DatasetError(
            f"{folder / 'labels'}: nothing tells whether the phases are 0 to 3 or 1 to 4, since no map has 0 or 4. "
            'Add a scheme.json with the phases ({"phases": [{"label": 1, "name": ...}]}); they then count from 1.'
        )
    return False


def _read_files(image: Path, label: Path, from_one: bool, options: LayoutOptions) -> Field:
    micrograph, values = read_plane(image), read_values(label)
    shape = micrograph.plane_shape
    values = matched_to_bar(values, shape, BAR_ROWS, str(label))
    if from_one:
        outside = (values == -1) | (values == EXCLUDED)
        foreign = sorted(set(np.unique(values[~outside]).tolist()) - set(range(len(PHASES) + 1)))
        if foreign:
            raise DatasetError(f"{label}: holds the label {foreign[0]}; this copy of the set has 1 to 4.")
        labels = np.where(outside, EXCLUDED, values).astype(np.uint8)
    else:
        labels = counted_from_zero(values, len(PHASES), str(label))
    return with_known_bar(micrograph, labels, BAR_ROWS if shape[0] == FULL_HEIGHT else 0, options)


def _in_container(path: Path, options: LayoutOptions) -> tuple[Entry, ...]:
    need("h5py", f"{path}: reading HDF5")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            names = [name for name in file if _NAME.fullmatch(name)]
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from error
    if not names:
        raise DatasetError(f"{path}: has no group micrographN. Expected: {ABOUT.expects}.")
    check_stems(path, [(stem_of(name, str(path)), name) for name in names])
    entries = (
        Entry(
            stem_of(name, str(path)),
            lambda name=name: _read_group(path, name, options),  # type: ignore[misc]
            (*facts(path), name),
        )
        for name in names
    )
    return tuple(sorted(entries, key=lambda entry: entry.stem))


def _read_group(path: Path, name: str, options: LayoutOptions) -> Field:
    import h5py

    where = f"{path}, {name}"
    try:
        with h5py.File(path, "r") as file:
            group = file[name]
            lacking = [part for part in ("image", "labels") if part not in group]
            if lacking:
                raise DatasetError(f"{where}: has no {lacking[0]!r}. Get the file again.")
            image, values = np.asarray(group["image"]), np.asarray(group["labels"])
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error, name) from error
    image = _grey(image, where)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise DatasetError(f"{where}: its labels are no map of whole numbers. Get the file again.")
    values = matched_to_bar(values, image.shape, BAR_ROWS, f"{where}, labels")
    check_shape(values, image.shape, f"{where}, labels", "in the same group")
    labels = counted_from_zero(values, len(PHASES), f"{where}, labels")
    ignored = (labels == EXCLUDED).all(axis=1)[::-1]
    rows = int(np.argmin(ignored)) if not ignored.all() else 0
    field = Field(image, labels, bar_rows=rows, copied=False)
    return cropped(field, rows) if options.bar == "crop" else field


def _grey(image: NDArray[Any], where: str) -> NDArray[Any]:
    if image.ndim != 2 or image.dtype.kind not in "uif" or not image.size:
        raise DatasetError(f"{where}: its image is not of grey values, one a pixel. Get the file again.")
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype.kind in "iu" and image.min() >= 0 and image.max() <= 65535:
        return image.astype(np.uint8 if image.max() < 256 else np.uint16)
    return image.astype(np.float32)


def _damaged(path: Path, error: Exception, name: str = "") -> DatasetError:
    where = f"{path}, {name}" if name else str(path)
    return DatasetError(
        f"{where}: cannot be read as HDF5; the file is cut short or damaged ({str(error).splitlines()[0][:120]}). "
        "Download it again."
    )


LAYOUT = Layout(ABOUT, matches, open_folder)
