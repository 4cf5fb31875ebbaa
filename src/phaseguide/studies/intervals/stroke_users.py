"""Simulated users who paint strokes as people do: spread out, where it is easy, in one spot, on mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.studies.finetune.simulated_user import Brush, paint_stroke

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SPREAD, EASY, SPOT, MISTAKES = "spread out", "easy places", "one spot", "mistakes"
WHERE = (SPREAD, EASY, SPOT, MISTAKES)
"""Where a user paints. On easy places the model is right, and surer than on half of what it has right of the phase."""

AMOUNTS = (0.001, 0.005, 0.02)
"""Painted parts of the image."""

FEWEST_STROKES, MOST_STROKES = 4, 12
"""Strokes of a phase, between which the amount decides; beyond that they become longer."""

STROKE_LENGTH = 36
SPOT_SIDE = 1 / 3
"""Side of the one spot, as part of the image's."""

SPOT_PX = 40
"""A phase is in a spot if it has more pixels than this there."""


@dataclass(frozen=True)
class Seen:
    """An image as its user sees it: the true labels, and what a model says of it."""

    truth: Labels
    scores: NDArray[np.float32]

    @property
    def predicted(self) -> Labels:
        """The model's label map."""
        labels: Labels = (self.scores.argmax(0) + 1).astype(np.uint8)
        return labels


def paint_as(where: str, amount: float, seen: Seen, rng: np.random.Generator) -> Labels:
    """Paint this part of an image in one of the ways of `WHERE`, as many pixels of each phase that is there.

    A phase that has no such place is painted wherever it is. The brush is 3 px wide for little paint, else 5 or 7.
    """
    truth, n_phases = seen.truth, len(seen.scores)
    brush_px = 3 if amount <= AMOUNTS[0] else 5 if amount <= AMOUNTS[1] else 7
    wanted = _place(where, seen, n_phases, rng)
    painted = np.zeros_like(truth)
    present = [k for k in range(1, n_phases + 1) if (truth == k).any()]
    if where == SPOT:
        present = [k for k in present if np.count_nonzero(wanted & (truth == k)) > SPOT_PX] or present
    share = int(amount * np.count_nonzero((truth != NOT_CLASSIFIED) & (truth != EXCLUDED)) / len(present))
    strokes = int(np.clip(round(share / (brush_px * STROKE_LENGTH)), FEWEST_STROKES, MOST_STROKES))
    brush = Brush(brush_px, max(2, round(share / strokes / brush_px)))
    for k in present:
        left, region = share, wanted & (truth == k)
        if not region.any():
            region = truth == k
        for _ in range(2 * strokes):
            free = region & (painted == NOT_CLASSIFIED)
            if left <= 0 or not free.any():
                break
            left -= paint_stroke(painted, free, k, min(left, -(-share // strokes)), rng, brush)
    return painted


def _place(where: str, seen: Seen, n_phases: int, rng: np.random.Generator) -> Mask:
    """Where such a user paints."""
    truth, predicted = seen.truth, seen.predicted
    if where == MISTAKES:
        return np.asarray(predicted != truth)
    if where == EASY:
        ordered = np.sort(seen.scores, axis=0)
        margin, easy = ordered[-1] - ordered[-2], np.zeros(truth.shape, bool)
        for k in range(1, n_phases + 1):
            right = (truth == k) & (predicted == k)
            if right.any():
                easy |= right & (margin >= np.median(margin[right]))
        return easy
    if where == SPOT:
        return _spot(truth, n_phases, rng)
    return np.ones(truth.shape, bool)


def _spot(truth: Labels, n_phases: int, rng: np.random.Generator) -> Mask:
    """A window, drawn among those with most phases of 30."""
    height, width = (max(1, round(side * SPOT_SIDE)) for side in truth.shape)
    best, most = np.ones(truth.shape, bool), -1
    for _ in range(30):
        top = int(rng.integers(truth.shape[0] - height + 1))
        left = int(rng.integers(truth.shape[1] - width + 1))
        window = (slice(top, top + height), slice(left, left + width))
        counts = np.bincount(truth[window].ravel(), minlength=n_phases + 1)[1 : n_phases + 1]
        phases = int(np.count_nonzero(counts > SPOT_PX))
        if phases > most:
            best, most = np.zeros(truth.shape, bool), phases
            best[window] = True
    return best
