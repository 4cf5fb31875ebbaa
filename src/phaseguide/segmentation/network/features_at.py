"""What the network makes of single pixels before its last layer, for backbones whose features are those of pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.errors import ModelError
from phaseguide.models.backbones.pixels.backbone import PixelBackbone
from phaseguide.segmentation.network.encoding import EncodedImage


def features_at(
    encoded: EncodedImage, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the features of pixels of an image, (N, C), as its first view shows them; NaN outside what was encoded.

    Raises `ModelError` for a model with another backbone.
    """
    backbone = encoded.segmenter.backbone
    if not isinstance(backbone, PixelBackbone):
        raise ModelError(
            f"A {backbone.options.architecture} model has no features of single pixels; take one that was fitted to "
            "strokes."
        )
    found = np.full((len(rows), sum(backbone.channels)), np.nan, dtype=np.float32)
    left = np.ones(len(rows), dtype=np.bool_)
    for tile in encoded.tiles:
        y, x = rows - tile.top, columns - tile.left
        inside = left & (y >= 0) & (y < tile.height) & (x >= 0) & (x < tile.width)
        if not inside.any():
            continue
        features = encoded.features(tile, 0)
        with torch.inference_mode():
            picked = backbone.features_at(features, *(torch.from_numpy(at[inside]) for at in (y, x)))
            found[inside] = picked.float().cpu().numpy()
        left &= ~inside
    return found
