"""What of a picture is no micrograph: information bars at the bottom and the top, and empty rims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from phaseguide.micrographs.info_bar import detect_info_bar
from phaseguide.micrographs.rim import find_rim
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

Mask = NDArray[np.bool_]
LabelsOrNone = TypeVar("LabelsOrNone", NDArray[np.uint8], NDArray[np.uint8] | None)


@dataclass(frozen=True, eq=False)
class Margins:
    """Rows of the information bars of an image, or of every plane of a stack, 0 without; and its rim.

    The rim is what was left empty when the picture was stitched, turned or framed, (H, W) or (..., H, W); None if
    nothing was. Of a stack each plane has its own.
    """

    bottom: int = 0
    top: int = 0
    rim: Mask | None = None

    def __bool__(self) -> bool:
        return bool(self.bottom or self.top or self.rim is not None)

    def of_plane(self, *index: int) -> Margins:
        """Return those of one plane of a stack."""
        rim = None if self.rim is None else self.rim[index]
        return Margins(self.bottom, self.top, rim if rim is not None and rim.any() else None)

    def describe(self) -> str:
        """Say what is excluded."""
        *others, last = self.parts()
        return f"{', '.join(others)} and {last} are excluded" if others else f"{last} is excluded"

    def notices(self) -> tuple[str, ...]:
        """Return what a record and its reader are told: that sentence, or nothing."""
        return (f"{self.describe()}.",) if self else ()

    def settings(self) -> dict[str, int | float]:
        """Return the same in numbers, for a record: rows of the bars, and the share of the picture that is rim."""
        return {
            "info_bar_rows_excluded": self.bottom,
            "info_bar_rows_excluded_top": self.top,
            "empty_rim_excluded": 0.0 if self.rim is None else float(self.rim.mean()),
        }

    def parts(self) -> list[str]:
        """Name what there is."""
        bars = (("bottom", self.bottom), ("top", self.top))
        parts = [f"the information bar at the {where} ({rows} rows)" for where, rows in bars if rows]
        if self.rim is not None:
            parts.append(f"the empty rim ({100 * self.rim.mean():.2g} % of the picture)")
        return parts

    def exclude(self, labels: LabelsOrNone, shape: tuple[int, ...]) -> NDArray[np.uint8] | LabelsOrNone:
        """Exclude bars and rims, except where somebody has said something: edits or a label map, None for nothing.

        ``shape`` is that of the plane, (H, W), or of the stack; labels of another one are left as they are. They are
        returned themselves where there is nothing to exclude.
        """
        if not self or (labels is not None and labels.shape != shape):
            return labels
        marked = np.zeros(shape, dtype=np.uint8) if labels is None else labels.copy()
        outside = np.zeros(shape, dtype=bool)
        outside[..., : self.top, :] = True
        outside[..., shape[-2] - self.bottom :, :] = True
        if self.rim is not None and self.rim.shape[-2:] == shape[-2:]:
            outside |= self.rim
        marked[outside & (marked == NOT_CLASSIFIED)] = EXCLUDED
        return marked


NO_MARGINS = Margins()


def of_stack(planes: Sequence[Margins], size: tuple[int, int]) -> Margins:
    """Return the margins of images of one size, (H, W), that are put onto one another."""
    rims = None
    if any(plane.rim is not None for plane in planes):
        nothing = np.zeros(size, dtype=bool)
        rims = np.stack([nothing if plane.rim is None else plane.rim for plane in planes])
    return Margins(max(plane.bottom for plane in planes), max(plane.top for plane in planes), rims)


def find_margins(image: NDArray[Any], *, bottom: int = 0, empty: Mask | None = None) -> Margins:
    """Look for the bars (in the first plane) and rims of an image of shape (..., H, W) or (..., H, W, 3).

    ``bottom`` are the rows of the bar where the file tells them, ``empty`` pixels that the file itself says are empty,
    such as transparent ones.
    """
    is_rgb = image.ndim > 2 and image.shape[-1] == 3
    size = image.shape[-3:-1] if is_rgb else image.shape[-2:]
    planes = image.reshape(-1, *size, *([3] if is_rgb else []))
    first = planes[0]
    bottom = bottom or detect_info_bar(first)
    top = detect_info_bar(first[: size[0] - bottom][::-1])
    rims = np.zeros((len(planes), *size), dtype=bool)
    for plane, rim in zip(planes, rims, strict=True):
        inner = slice(top, size[0] - bottom)
        found = find_rim(plane[inner])
        if found is not None:
            rim[inner] = found
    if empty is not None and not empty.all():
        rims |= empty.reshape(rims.shape)
    if not rims.any():
        return Margins(bottom, top)
    bottom, top = _within(first, rims[0], bottom, top)
    return Margins(bottom, top, rims.reshape(*image.shape[: image.ndim - 2 - is_rgb], *size))


def _within(image: NDArray[Any], rim: Mask, bottom: int, top: int) -> tuple[int, int]:
    """Look for bars within a frame, where none was found outside of it."""
    outside = rim.copy()
    outside[:top] = outside[len(rim) - bottom :] = True
    rows, columns = (np.flatnonzero(~outside.all(axis=axis)) for axis in (1, 0))
    if not rows.size or outside[:, columns[0]].all():
        return bottom, top
    inner = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if not bottom and (found := detect_info_bar(inner)):
        bottom = len(image) - int(rows[-1]) - 1 + found
    if not top and (found := detect_info_bar(inner[::-1])):
        top = int(rows[0]) + found
    return bottom, top
