"""What of an image is metal, and what a network is shown of it: nothing that is excluded decides a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.segmenter import intensity_limits, normalise_image
from phaseguide.phases import EXCLUDED

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]

_SMALLEST_PX = 64
"""A network is shown at least so much, where the image has it."""


@dataclass(frozen=True)
class Metal:
    """An image, and what of it counts.

    Attributes
    ----------
    pixels : ndarray, shape (H, W) or (H, W, C)
        The image; what is excluded in the window has the middle of the limits, which a network takes for what lies
        beyond a border. A black or white hole would change what it sees in the metal around.
    window : (slice, slice)
        The smallest rectangle with everything that is not excluded; the network sees no more.
    limits : tuple of float
        See `phaseguide.models.segmenter.intensity_limits`; of what is not excluded.
    excluded : ndarray of bool, shape of the window, or None
        None where nothing in the window is excluded.
    """

    pixels: NDArray[Any]
    window: Window
    limits: tuple[float, float]
    excluded: Mask | None

    @property
    def seen(self) -> NDArray[Any]:
        """The pixels in the window."""
        return self.pixels[self.window]

    @property
    def is_whole(self) -> bool:
        """Whether the window is the whole image."""
        return self.seen.shape == self.pixels.shape

    def planes(self, *, invert: bool = False) -> NDArray[np.float32]:
        """What the network gets of the window, shape (C, h, w); see `normalise_image`."""
        return normalise_image(self.seen, self.limits, invert=invert)

    def looks_like(self, other: Metal) -> bool:
        """Whether a network is shown the same of both."""
        return (
            (self.window, self.limits) == (other.window, other.limits)
            and (self.pixels is other.pixels or np.array_equal(self.seen, other.seen))
        )  # fmt: skip


def find_metal(pixels: NDArray[Any], labels: NDArray[np.uint8] | None) -> Metal:
    """Tell what of an image counts.

    Every network result begins here: a session, training, fine-tuning, a look inside.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (H, W, C)
    labels : ndarray of uint8, shape (H, W), or None
        Manual edits or a label map; only 255 (excluded) matters. Where everything is excluded, everything counts.
    """
    height, width = pixels.shape[:2]
    whole = (slice(0, height), slice(0, width))
    excluded = None if labels is None else labels == EXCLUDED
    if excluded is None or not excluded.any() or excluded.all():
        return Metal(pixels, whole, intensity_limits(pixels), None)
    window = (_span(~excluded.all(axis=1)), _span(~excluded.all(axis=0)))
    within = excluded[window]
    if not within.any():
        return Metal(pixels, window, intensity_limits(pixels[window]), None)
    limits = intensity_limits(pixels[window], within)
    pixels = pixels.copy()
    middle = (limits[0] + limits[1]) / 2
    pixels[window][within] = middle if pixels.dtype.kind == "f" else round(middle)
    return Metal(pixels, window, limits, within)


def _span(counts: Mask) -> slice:
    """From the first to the last that counts, or a bit more where that is very little."""
    first, last = int(counts.argmax()), len(counts) - int(counts[::-1].argmax())
    size = min(len(counts), max(last - first, _SMALLEST_PX))
    first = max(0, min(first, len(counts) - size))
    return slice(first, max(last, first + size))
