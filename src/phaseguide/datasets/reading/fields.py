"""From an image file and labels of its shape to a field: one plane, its information bar excluded or cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.reading.base import Field
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError
from phaseguide.micrographs.decoding import decode
from phaseguide.micrographs.reading import Micrograph, read_micrograph
from phaseguide.micrographs.sidecars import find_beside
from phaseguide.phases import EXCLUDED


def read_plane(path: Path) -> Micrograph:
    """Read an image of one plane; `DatasetError` for a stack, `MicrographError` as `read_micrograph`."""
    micrograph = read_micrograph(path)
    if micrograph.is_stack:
        raise DatasetError(
            f"{path}: is a stack of {len(micrograph.data)} planes. Save each plane as a file of its own."
        )
    return micrograph


def read_values(path: Path) -> NDArray[Any]:
    """Read the stored values of a label file, whatever whole numbers they are, of one plane: (H, W)."""
    values = decode(path, as_labels=True).pixels
    if values.ndim != 2:
        what = "a colour picture" if values.ndim == 3 and values.shape[-1] == 3 else "a stack"
        raise DatasetError(
            f"{path}: is {what}, not a label map of one plane. Choose the layout that it is made for."
        )
    return values


def check_shape(labels: NDArray[Any], shape: tuple[int, int], label_file: str, image_file: str) -> None:
    """Raise `DatasetError` where labels are not of their image's shape."""
    if labels.shape != shape:
        raise DatasetError(
            f"{label_file}: is {labels.shape[0]} x {labels.shape[1]} px, but its image {image_file} is "
            f"{shape[0]} x {shape[1]} px. Labels must match pixel by pixel."
        )


def as_field(
    micrograph: Micrograph, labels: NDArray[np.uint8], options: LayoutOptions, notices: tuple[str, ...] = ()
) -> Field:
    """Return a field of a file whose bars and rim the reader found."""
    done = micrograph.excluding(labels)
    bottom, top = micrograph.info_bar_rows, micrograph.info_bar_rows_top
    whole = Field(
        micrograph.data,
        done,
        micrograph.pixel_size_um,
        bottom + top,
        tells_all(micrograph),
        (*micrograph.notices, *notices),
    )
    return cropped(whole, bottom, top) if options.bar == "crop" else whole


def tells_all(micrograph: Micrograph) -> bool:
    """Whether a file holds its pixel size itself, so that a copy of it does; else a text file beside it does."""
    return find_beside(micrograph.path, micrograph.plane_shape[1]) is None


def cropped(field: Field, bottom: int, top: int = 0) -> Field:
    """Cut rows of information bars off image and labels."""
    if not bottom and not top:
        return field
    rows = slice(top, field.labels.shape[0] - bottom)
    return replace(field, image=field.image[rows], labels=field.labels[rows], copied=False)


def with_known_bar(
    micrograph: Micrograph, labels: NDArray[np.uint8], rows: int, options: LayoutOptions
) -> Field:
    """Return a field whose bar has a published height: its rows are excluded, or cut off."""
    labels = labels.copy()
    if rows:
        labels[-rows:] = EXCLUDED
    whole = Field(
        micrograph.data, labels, micrograph.pixel_size_um, rows, tells_all(micrograph), micrograph.notices
    )
    return cropped(whole, rows) if options.bar == "crop" else whole


def matched_to_bar(labels: NDArray[Any], shape: tuple[int, int], rows: int, label_file: str) -> NDArray[Any]:
    """Return labels in the shape of their image, where one of the two may be without the information bar.

    Labels that stop above the bar are continued by -1, those that go on below an image without it are cut.
    """
    height, width = shape
    if labels.shape == (height - rows, width):
        bar = np.full((rows, width), -1, dtype=np.int64)
        return np.concatenate([labels.astype(np.int64), bar])
    if labels.shape == (height + rows, width):
        return labels[:-rows]
    check_shape(labels, shape, label_file, "of the same name")
    return labels


def counted_from_zero(values: NDArray[Any], phases: int, where: str) -> NDArray[np.uint8]:
    """Return labels 1..K of published values 0..K-1, where -1 and 255 are excluded; `DatasetError` for others."""
    outside = (values == -1) | (values == EXCLUDED)
    foreign = np.unique(values[~outside & ((values < 0) | (values >= phases))])
    if foreign.size:
        shown = ", ".join(map(str, foreign[:5].tolist())) + (" ..." if foreign.size > 5 else "")
        raise DatasetError(
            f"{where}: holds the label {shown}. This layout has 0 to {phases - 1}, and -1 or 255 for what is ignored. "
            "Get the file again, or choose another --layout."
        )
    return np.where(outside, EXCLUDED, np.where(outside, 0, values) + 1).astype(np.uint8)
