"""Giving an image the colour channels that a model was made for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import ModelError


def fit_channels(image: NDArray[Any], channels: int, name: str) -> NDArray[Any]:
    """Give an image the channels that a model expects: grey from RGB by luminance, RGB from grey by copies.

    Raises `ModelError` where there is no sensible way from the one to the other.
    """
    have = 1 if image.ndim == 2 else image.shape[-1]
    if have == channels:
        return image if image.ndim == 2 or channels > 1 else image[..., 0]
    if channels == 1 and have in (3, 4):
        # ITU-R BT.601 luma, in float32 so that 16-bit images keep their range.
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        grey: NDArray[np.float32] = image[..., :3].astype(np.float32) @ weights
        return grey
    if have == 1 and channels == 3:
        plane = image if image.ndim == 2 else image[..., 0]
        return np.repeat(plane[..., None], 3, axis=-1)
    raise ModelError(
        f"{name} has {have} channels, but the model was made for {channels}. Choose a model for {have} "
        f"channels, or an image with {channels}."
    )
