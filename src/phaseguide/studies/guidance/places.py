"""What networks are judged on: whole fields, and windows of a fixed grid, each with its own true ratio."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.phases import NOT_CLASSIFIED
from phaseguide.ratios import Ratio, ratio_from_labels, total_variation
from phaseguide.studies.guidance.seen import fixed_pixels
from phaseguide.training.data import TrainingImage

Scope = Literal["fields", "windows"]
SCOPES: tuple[Scope, ...] = ("fields", "windows")

DIFFERENT = 0.02
"""Total variation from which a composition counts as another one."""


@dataclass(frozen=True)
class Place:
    """A field, or a window of one.

    Attributes
    ----------
    stem : str
        Image that it is of.
    row, column : int
        Where it begins in what of the image counts, px.
    pixels : Tensor, shape (C, H, W)
        Normalised with the whole image, as a crop of a training is.
    labels : ndarray of uint8, shape (H, W)
    true : ndarray, shape (K,)
        Area shares of these labels.
    """

    stem: str
    row: int
    column: int
    pixels: Tensor
    labels: NDArray[np.uint8]
    true: Ratio

    @property
    def name(self) -> str:
        """Image, place and size in a few characters."""
        height, width = self.labels.shape
        return f"{self.stem} {self.row},{self.column} {height}x{width}"

    @property
    def fixed(self) -> NDArray[np.uint8] | None:
        """Excluded pixels as edits are given, None without any."""
        return fixed_pixels(self.labels)


def fields(images: Iterable[TrainingImage], n_phases: int) -> list[Place]:
    """Return each labelled image as one place."""
    found = []
    for image in images:
        height, width = image.labels.shape
        place = _place(image, 0, 0, height, width, n_phases)
        if place is not None:
            found.append(place)
    return found


def most_mixed(places: Sequence[Place]) -> Place | None:
    """Return the place whose largest phase is smallest, which shows most; None without any."""
    return min(places, key=lambda place: float(place.true.max()), default=None)


def windows(images: Iterable[TrainingImage], side: int, n_phases: int) -> list[Place]:
    """Return all windows of a side, px, that lie edge to edge in the middle of each image.

    One that holds a pixel that nobody has classified has no ratio and is left out.
    """
    found = []
    for image in images:
        height, width = image.labels.shape
        for row in range(height % side // 2, height - side + 1, side):
            for column in range(width % side // 2, width - side + 1, side):
                place = _place(image, row, column, side, side, n_phases)
                if place is not None and not (place.labels == NOT_CLASSIFIED).any():
                    found.append(place)
    return found


def ratio_of_another(place: Place, pool: Sequence[Place], seed: int) -> Ratio | None:
    """Return the ratio of a place of another image, drawn by the seed and the place's name.

    It differs from the place's own by `DIFFERENT` at least; None where the pool holds none that does.
    """
    others = [p for p in pool if p.stem != place.stem and total_variation(p.true, place.true) >= DIFFERENT]
    if not others:
        return None
    name = int.from_bytes(hashlib.sha256(place.name.encode()).digest()[:8], "big")
    return others[int(np.random.default_rng([seed, name]).integers(len(others)))].true.copy()


def _place(
    image: TrainingImage, row: int, column: int, height: int, width: int, n_phases: int
) -> Place | None:
    window = (slice(row, row + height), slice(column, column + width))
    labels = np.ascontiguousarray(image.labels.numpy()[window])
    true = ratio_from_labels(labels, n_phases)
    return None if true is None else Place(image.stem, row, column, image.image[(..., *window)], labels, true)
