"""Scores of a whole image that a refinement corrects for a ratio; in tiles that leave no seams."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.events import Progress
from phaseguide.models.refinement import OPEN, ScoreRefinement
from phaseguide.segmentation.matching.match import argmax_labels
from phaseguide.segmentation.network.scratch import empty_beside, release
from phaseguide.segmentation.network.told import Told
from phaseguide.segmentation.request import Preview

Scores = NDArray[np.float32]
Window = tuple[slice, slice]

TILE = 1024
"""Side in px of what is corrected at once."""

FARTHEST = 3.0
"""A disagreement in log-ratio space beyond it is taken for it; larger ones were never learnt."""


def refine_scores(
    refinement: ScoreRefinement,
    calibrated: Scores,
    grey: Callable[[slice], Scores],
    offsets: NDArray[np.float64],
    told: Told,
    *,
    window: Window,
    device: torch.device,
    focus: Window | None = None,
    excluded: NDArray[np.uint8] | None = None,
) -> Generator[Progress | Preview, None, Scores]:
    """Correct the scores of an image for a ratio, and return them; a preview comes when those in ``focus`` are there.

    Parameters
    ----------
    refinement : ScoreRefinement
        In evaluation mode.
    calibrated : ndarray of float32, shape (K, H, W)
        Log probabilities up to a constant at each pixel; may be a memory map, the result then is one too.
    grey : callable
        Returns rows of the window as the network sees them, shape (rows, w).
    offsets : ndarray, shape (K,)
        What matches ``calibrated`` to ``told.imposed``.
    told : Told
    window : (slice, slice)
        Rows and columns that hold the metal; outside, scores stay what they are.
    device : torch.device
    focus : (slice, slice), optional
        Tiles that touch these rows and columns come first.
    excluded : ndarray of uint8, shape (H, W), optional
        255 where a preview has no phase.

    Returns
    -------
    ndarray of float32, shape (K, H, W)
    """
    refinement = refinement.to(device).to(memory_format=torch.channels_last)
    result = empty_beside(calibrated)
    result[:] = calibrated
    numbers = [
        torch.as_tensor(values, dtype=torch.float32, device=device)[None]
        for values in (
            offsets,
            np.clip(told.disagreement, -FARTHEST, FARTHEST),
            told.spread(OPEN),
        )
    ]
    tiles = _tiles(refinement.reach, window)
    late = [inner for inner, _ in tiles if focus is not None and not _touch(inner, focus)]
    order = sorted(tiles, key=lambda pair: pair[0] in late)
    for done, (inner, outer) in enumerate(order, start=1):
        part = np.ascontiguousarray(calibrated[:, *outer])
        rows, columns = outer
        strip = grey(slice(rows.start - window[0].start, rows.stop - window[0].start))
        seen = strip[:, columns.start - window[1].start : columns.stop - window[1].start]
        with torch.inference_mode():
            scores, image = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (part, seen))
            refined = refinement(scores[None], numbers[0], image[None, None], numbers[1], numbers[2])[0]
        top, left = inner[0].start - rows.start, inner[1].start - columns.start
        height, width = inner[0].stop - inner[0].start, inner[1].stop - inner[1].start
        result[:, *inner] = refined[:, top : top + height, left : left + width].cpu().numpy()
        if focus is not None and done == len(order) - len(late):
            yield Preview(
                argmax_labels(result[:, *focus], None if excluded is None else excluded[focus]), focus
            )
        release(calibrated)
        release(result)
        yield Progress("Correcting for the ratio", done, len(order))
    return result


def _tiles(reach: int, window: Window) -> list[tuple[Window, Window]]:
    """Cut a window into tiles: each with what its pixels depend on around it, inside the window."""
    bottom, right = window[0].stop, window[1].stop
    top, left = window[0].start, window[1].start

    def spans(start: int, stop: int) -> list[tuple[slice, slice]]:
        edges = range(start, stop, TILE)
        return [
            (slice(a, min(a + TILE, stop)), slice(max(start, a - reach), min(a + TILE + reach, stop)))
            for a in edges
        ]

    return [
        ((y, x), (around_y, around_x))
        for y, around_y in spans(top, bottom)
        for x, around_x in spans(left, right)
    ]


def _touch(a: Window, b: Window) -> bool:
    """Whether two windows of the image have pixels in common."""
    return all(p.start < q.stop and q.start < p.stop for p, q in zip(a, b, strict=True))
