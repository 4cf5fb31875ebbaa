"""What each pixel looks like, for a small classifier: the model's scores and the image, at several scales."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.models.metal import Metal
from phaseguide.segmentation.matching.local_means import local_mean

SCORE_WINDOWS = (9, 33)
"""Sides in px of the squares over which scores are averaged."""

IMAGE_WINDOWS = (3, 9, 27)
"""Sides in px of the squares of the local mean, contrast and gradient of the image."""

MOST_PIXELS = 1_500_000
"""Of a larger image only every n-th row and column is kept."""

STRIP_ROWS = 512

Plane = NDArray[np.float32]


class Scored(Protocol):
    """What is needed of a `phaseguide.segmentation.session.Session`."""

    @property
    def metal(self) -> Metal:
        """What of the image counts."""

    @property
    def scores(self) -> NDArray[np.float32] | None:
        """Scores without a ratio, (K, H, W); None before the first segmentation."""


def pixel_features(session: Scored) -> NDArray[np.float16]:
    """Return the features of a session's image.

    For each phase the log-probability of the unguided scores, as it is and averaged over squares; of the image its
    intensity, and its mean, standard deviation and gradient in squares. Local means of local quantities (box filters)
    instead of Gaussians: their cost does not grow with their size. The session needs scores, so a first segmentation;
    `MicrographError` without. D = 3 K + 10, of every pixel, or of every n-th row and column of images with more than
    `MOST_PIXELS`; 0 in rows and columns at the border that are excluded altogether.
    """
    scores = session.scores
    if scores is None:
        raise MicrographError(
            "The image was not segmented yet. Segment it once; then its scores can be used."
        )
    height, width = scores.shape[1:]
    step = int(np.ceil(np.sqrt(height * width / MOST_PIXELS)))
    margin = max(*SCORE_WINDOWS, *IMAGE_WINDOWS)
    metal = session.metal
    (rows, columns), excluded = metal.window, metal.excluded
    kept_columns = slice(-(-columns.start // step), -(-columns.stop // step))
    left = kept_columns.start * step - columns.start
    depth = len(scores) * (1 + len(SCORE_WINDOWS)) + 1 + 3 * len(IMAGE_WINDOWS)
    features = np.zeros((-(-height // step), -(-width // step), depth), dtype=np.float16)
    # Strips keep the memory bounded; each is looked at with what surrounds it, so that none shows.
    for top in range(rows.start, rows.stop, STRIP_ROWS):
        bottom = min(rows.stop, top + STRIP_ROWS)
        above, below = max(rows.start, top - margin), min(rows.stop, bottom + margin)
        first = -(-top // step) * step
        if first >= bottom:
            continue
        strip = features[first // step : first // step + len(range(first, bottom, step)), kept_columns]
        maps = _maps(
            np.asarray(scores[:, above:below, columns]),
            _grey(metal.pixels[above:below, columns], metal.limits),
            None if excluded is None else excluded[above - rows.start : below - rows.start],
        )
        for channel, values in enumerate(maps):
            strip[..., channel] = values[first - above : bottom - above : step, left::step]
    return features


def _maps(scores: NDArray[np.float32], image: Plane, excluded: NDArray[np.bool_] | None) -> Iterator[Plane]:
    from scipy.ndimage import uniform_filter

    def mean_over(side: int) -> Callable[[Plane], Plane]:
        return local_mean(partial(uniform_filter, size=side), excluded)

    top = scores.max(0)
    log_sum = np.log(np.exp(scores - top).sum(0)) + top
    for plane in scores:
        probable = np.maximum(plane - log_sum, -20.0)
        yield probable
        for side in SCORE_WINDOWS:
            yield mean_over(side)(probable)
    yield image
    for side in IMAGE_WINDOWS:
        average = mean_over(side)
        mean = average(image)
        yield mean
        yield np.sqrt(np.maximum(average(image**2) - mean**2, 0.0))
        yield np.hypot(*np.gradient(mean))


def _grey(pixels: NDArray[Any], limits: tuple[float, float]) -> Plane:
    """Intensity with the usual limits at 0 and 1; what is not finite counts as darkest."""
    grey = pixels if pixels.ndim == 2 else pixels[..., :3].mean(-1, dtype=np.float32)
    low, high = limits
    scaled = (np.asarray(grey, dtype=np.float32) - low) / max(high - low, 1e-6)
    plane: Plane = np.clip(np.nan_to_num(scaled, nan=-1.0), -1.0, 2.0).astype(np.float32)
    return plane
