"""A learnt position embedding for a grid of any size, which tracing takes for one operation and not for a size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PositionEmbedding(nn.Module):
    """A learnt map of ``side`` x ``side`` cells, added to maps of any size: it is stretched to theirs."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.zeros(1, channels, side, side))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps, shape (B, C, h, w), with their places added."""
        places = F.interpolate(self.map, size=maps.shape[-2:], mode="bilinear")
        return maps + places
