"""The strokes that every method learns from: as many in each phase, and led by the mistakes of none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.studies.finetune.data import Field, seeded
from phaseguide.studies.finetune.simulated_user import BRUSH, Brush, first_strokes

STROKES = 3
"""Strokes in each phase of an image."""


@dataclass(frozen=True, eq=False)
class Painted:
    """An image with strokes on it: ``marks`` hold 1..K where painted, 0 elsewhere, 255 where the image is excluded."""

    field: Field
    marks: NDArray[np.uint8]
    strokes: int

    @property
    def pixels(self) -> int:
        """Painted pixels."""
        return int(np.count_nonzero(self.known))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where it is painted."""
        found: NDArray[np.bool_] = (self.marks != NOT_CLASSIFIED) & (self.marks != EXCLUDED)
        return found

    @property
    def unpainted_truth(self) -> NDArray[np.uint8]:
        """True labels, 0 where it is painted: no method is judged on what it was told."""
        return np.where(self.known, np.uint8(NOT_CLASSIFIED), self.field.truth)

    @property
    def excluded(self) -> NDArray[np.uint8] | None:
        """Excluded pixels as edits are given, None without any."""
        found = self.marks == EXCLUDED
        return np.where(found, EXCLUDED, 0).astype(np.uint8) if found.any() else None


def paint(one: Field, n_phases: int, seed: int, strokes: int = STROKES, brush: Brush = BRUSH) -> Painted:
    """Paint so many strokes in each phase that the image has, drawn by the seed and the image's name.

    A stroke is at most the brush's width and length. What is excluded in the truth (an information bar) is known to
    whoever paints.
    """
    marks = np.where(one.truth == EXCLUDED, EXCLUDED, 0).astype(np.uint8)
    made = 0
    for number in range(strokes):
        left = np.where(marks == NOT_CLASSIFIED, one.truth, np.uint8(NOT_CLASSIFIED))
        present = np.unique(left[(left != NOT_CLASSIFIED) & (left != EXCLUDED)]).size
        most = present * brush.width * brush.length
        new = first_strokes(left, n_phases, most, seeded(seed, "peers", one.stem, number), brush)
        marks = np.where(new > 0, new, marks)
        made += present
    return Painted(one, marks, made)
