"""What a structure looks like: grey, texture, uneven etching, blur and noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.synthetic.fields import Gain, banded, drawn_out, gaussian_field, rough, smooth

_REACH_PX = 64.0

_TEXTURES: tuple[Callable[[float], Gain], ...] = (
    lambda angle: smooth(6.0),
    lambda angle: drawn_out(1.2, 12, angle),
    lambda angle: smooth(1.2),
    lambda angle: banded(7.0),
    lambda angle: rough(5.0),
)
"""Cloudy, lamellar, grainy, rippled and mottled: label 1 has the first, and so on round."""


def synthetic_image(
    labels: NDArray[np.uint8],
    phases: int,
    *,
    contrast: float = 0.5,
    texture: float = 0.06,
    gradient: float = 0.15,
    noise: float = 0.03,
    blur_px: float = 1.0,
    rng: np.random.Generator | int | None = None,
) -> NDArray[np.uint8]:
    """Draw the micrograph of a label map.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        Labels 1..K.
    phases : int
        K. Label 1 is the darkest phase, K the brightest; neighbours in this order have different textures.
    contrast : float
        From the darkest phase to the brightest, as a share of black to white.
    texture : float
        Standard deviation within a phase, as a share of black to white.
    gradient : float
        Uneven etching: by how much one side is brighter than the other, in a random direction.
    noise : float
        Standard deviation of the camera's noise, as a share of black to white.
    blur_px : float
        Standard deviation of the blur, which the noise does not undergo.
    rng : numpy.random.Generator or int, optional
        Source of chance, or its seed.

    Returns
    -------
    ndarray of uint8, shape (H, W)
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(rng)
    shape = (labels.shape[0], labels.shape[1])
    greys = np.linspace(0.5 - contrast / 2, 0.5 + contrast / 2, phases)
    image = np.zeros(shape)
    for label in range(1, phases + 1):
        gain = _TEXTURES[(label - 1) % len(_TEXTURES)](rng.uniform(0, np.pi))
        look = greys[label - 1] + texture * gaussian_field(shape, gain, _REACH_PX, rng)
        image = np.where(labels == label, look, image)
    rows, columns = (np.linspace(-0.5, 0.5, side) for side in shape)
    angle = rng.uniform(0, 2 * np.pi)
    image *= 1 + gradient * (np.sin(angle) * rows[:, None] + np.cos(angle) * columns)
    if blur_px:
        image = gaussian_filter(image, blur_px)
    image += noise * rng.standard_normal(shape)
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
