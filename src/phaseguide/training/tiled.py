"""Whole fields through a network that learns: at once, or in tiles where its attention would take too much memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.models.backbones.base import Features
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.network.tiling import Tile, blend_windows, plan_tiles
from phaseguide.training.adapters import encoded, sam_backbone


def encode_field(segmenter: GuidedSegmenter, image: Tensor) -> list[Features]:
    """Encode a field (1, C, H, W), normalised, on the segmenter's device, tile by tile.

    A Segment Anything model sees the tiles that it sees when it segments; any other the whole field.
    """
    tiles, _ = _tiles(segmenter, image)
    return [encoded(segmenter, segmenter.encode, image[(..., *tile.window)]) for tile in tiles]


def decode_field(
    segmenter: GuidedSegmenter, image: Tensor, features: Sequence[Features], ratio: Tensor | None = None
) -> NDArray[np.float32]:
    """Decode what `encode_field` returned, without a ratio or with one (K,) for every tile: shape (K, H, W).

    The ratio reaches the network as it is: in studies it may be all zero, or sum to more than 1. What a user asks for
    is checked by `phaseguide.ratios.validate_ratio`, long before.
    """
    tiles, overlap = _tiles(segmenter, image)
    told = None if ratio is None else ratio[None].to(image.device)
    scores = [segmenter.decode(one, told)[0].float().cpu().numpy() for one in features]
    if len(tiles) == 1:
        return np.asarray(scores[0], dtype=np.float32)
    height, width = image.shape[-2:]
    total = np.zeros((len(segmenter.scheme), height, width), dtype=np.float32)
    for tile, one, (down, across) in zip(
        tiles, scores, blend_windows(tiles, height, width, overlap), strict=True
    ):
        total[(slice(None), *tile.window)] += one * (down[:, None] * across)
    return total


def _tiles(segmenter: GuidedSegmenter, image: Tensor) -> tuple[list[Tile], int]:
    height, width = image.shape[-2:]
    sam = sam_backbone(segmenter)
    side = max(height, width) if sam is None else sam.preferred_tile(image.device.type)
    overlap = 0 if sam is None else sam.preferred_overlap(side)
    return plan_tiles(height, width, side, overlap), overlap
