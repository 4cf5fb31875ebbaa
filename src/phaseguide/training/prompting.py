"""Prompts in training: boxes and points as a user might set them, drawn from the labels of a crop.

A decoder learns what they mean only from steps that show them. Those it is shown say little that the labels
do not say, and they are as loose as a hand draws.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.models.backbones.base import Features
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.segmenter import GuidedSegmenter

SHOWN = 0.5
"""Share of the steps that show prompts; the others keep the model good without any."""

MOST_SHOWN = 4
"""Prompts on one crop; a user sets few."""

NEGATIVE = 0.25
"""Share of the points that say what is not there."""

LOOSE = 0.1
"""Standard deviation of a box's sides, as a share of its height and width."""

_PREVAILS = 0.5  # share of a box that its phase holds at least
_KNOWN = 0.9  # share of a box that is labelled at least: what is in the rest, nobody knows
_SMALLEST = 4  # px


def decode_shown(
    model: GuidedSegmenter,
    features: Features,
    ratio: Tensor | None,
    labels: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Decode a batch in training; on half of the calls each sample is shown prompts of its own.

    For a model that takes no prompts this is `GuidedSegmenter.decode`, and nothing is drawn. Ratio (B, K), labels (B,
    H, W) of the size that was encoded, a generator on the CPU; returns (B, K, H, W).
    """
    if not model.takes_prompts or float(torch.rand(1, generator=generator)) >= SHOWN:
        return model.decode(features, ratio)
    parts = []
    for i, own in enumerate(labels):
        # The decoder takes one set of prompts; it costs little beside the encoder, so samples go one by one.
        one = replace(features, maps=[m[i : i + 1] for m in features.maps])
        prompts = simulate_prompts(own, len(model.scheme), generator)
        parts.append(model.decode(one, None if ratio is None else ratio[i : i + 1], prompts))
    return torch.cat(parts)


def simulate_prompts(labels: Tensor, n_phases: int, generator: torch.Generator) -> Prompts:
    """Draw one to `MOST_SHOWN` boxes and points that the labels of a crop bear out.

    Half are boxes, around a connected region of a phase or inside one, with loose sides; only where the box is
    labelled nearly everywhere. The others are points, some of which say what is not there. Labels (H, W) with 1..K;
    the same state of the generator, on the CPU, gives the same prompts. Empty where nothing is labelled.
    """
    known = labels.cpu().numpy()
    present = [k for k in range(1, n_phases + 1) if (known == k).any()]
    boxes, box_phases, points, point_phases = [], [], [], []
    if not present:
        return Prompts()
    for _ in range(1 + _draw(MOST_SHOWN, generator)):
        phase = present[_draw(len(present), generator)]
        places = np.flatnonzero(known == phase)
        row, column = divmod(int(places[_draw(places.size, generator)]), known.shape[1])
        way = _draw(4, generator)  # around a region, inside one, or a point twice
        box = None
        if way == 0:
            box = _around(known, phase, row, column)
        elif way == 1:
            box = _inside(known, phase, row, column, generator)
        if box is not None:
            boxes.append(_loosened(box, known.shape, generator))
            box_phases.append(phase)
        else:
            others = [k for k in range(1, n_phases + 1) if k != phase]
            negative = bool(others) and float(torch.rand(1, generator=generator)) < NEGATIVE
            points.append((row, column))
            point_phases.append(-others[_draw(len(others), generator)] if negative else phase)
    return Prompts(
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(box_phases, dtype=np.int64),
        np.array(points, dtype=np.float64).reshape(-1, 2),
        np.array(point_phases, dtype=np.int64),
    )


Box = tuple[float, float, float, float]


def _around(known: NDArray[np.integer], phase: int, row: int, column: int) -> Box | None:
    """Bounds of the connected region of a pixel; None where they are no box of that phase."""
    from scipy.ndimage import find_objects, label

    regions, _ = label(known == phase)
    number = int(regions[row, column])
    rows, columns = find_objects(regions, number)[number - 1]
    box = (rows.start, columns.start, rows.stop - 1, columns.stop - 1)
    return box if _stands_for(known, phase, box) else None


def _inside(
    known: NDArray[np.integer], phase: int, row: int, column: int, generator: torch.Generator
) -> Box | None:
    """A box about a pixel, as large as its phase prevails in it; None where that is nowhere."""
    height, width = known.shape
    up, left = (_SMALLEST + _draw(max(1, side // 4), generator) for side in (height, width))
    while up >= _SMALLEST and left >= _SMALLEST:
        box = (
            max(0, row - up),
            max(0, column - left),
            min(height - 1, row + up),
            min(width - 1, column + left),
        )
        if _stands_for(known, phase, box):
            return box
        up, left = up // 2, left // 2
    return None


def _stands_for(known: NDArray[np.integer], phase: int, box: Box) -> bool:
    """Whether a user could have drawn a box for a phase: it prevails, and what is in the box is known."""
    top, left, bottom, right = map(int, box)
    if min(bottom - top, right - left) < _SMALLEST - 1:
        return False
    part = known[top : bottom + 1, left : right + 1]
    return bool((part == phase).mean() >= _PREVAILS and (part > 0).mean() >= _KNOWN)


def _loosened(box: Box, shape: tuple[int, ...], generator: torch.Generator) -> Box:
    """Move the sides as a hand does; they stay on the crop, and the box keeps most of its area."""
    top, left, bottom, right = box
    moves = (torch.randn(4, generator=generator).clamp(-2, 2) * LOOSE).tolist()
    height, width = bottom - top, right - left
    return (
        max(0.0, top + moves[0] * height),
        max(0.0, left + moves[1] * width),
        min(shape[0] - 1.0, bottom + moves[2] * height),
        min(shape[1] - 1.0, right + moves[3] * width),
    )


def _draw(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (1,), generator=generator))
