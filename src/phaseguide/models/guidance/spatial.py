"""Spatial guidance, first form: the ratio's vector placed with coordinates, before any attention to features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phaseguide.models.guidance.base import Guidance, coordinate_grid, ratio_encoder


class SpatialGuidance(Guidance):
    """F' = gamma F + delta conv3x3([RE(r), x, y]): what a ratio adds may differ from place to place.

    The step between `AdditiveGuidance`, which is blind to space, and the Phase Learning Module, which also looks at
    the features. Our reading of the second published form ("spatial v1", slides of 2024); no equations are public.
    Without coordinates it differs from the additive form at the border of the field alone.

    Parameters
    ----------
    channels, n_phases : int
    width : int
        Of the ratio encoder's vector.
    coordinates : bool
        Feed x and y; see `coordinate_grid`.
    gamma, delta : float
        Fixed. 1 and 1 leave pretrained features intact, since the convolution starts at zero; the slides have 0.7
        and 0.3.
    """

    strength: Tensor

    def __init__(
        self,
        channels: int,
        n_phases: int,
        width: int = 256,
        coordinates: bool = True,
        gamma: float = 1.0,
        delta: float = 1.0,
    ) -> None:
        super().__init__(channels, n_phases)
        self.coordinates = coordinates
        self.encoder = ratio_encoder(n_phases, width)
        self.place = nn.Conv2d(width + (2 if coordinates else 0), channels, 3, padding=1)
        nn.init.zeros_(self.place.weight)
        assert self.place.bias is not None
        nn.init.zeros_(self.place.bias)
        self.register_buffer("strength", torch.tensor([float(gamma), float(delta)]))

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Add the placed vector."""
        b, _, h, w = features.shape
        code = self.encoder(ratio)[:, :, None, None].expand(b, -1, h, w)
        grid = [coordinate_grid(features)] if self.coordinates else []
        gamma, delta = self.strength
        placed: Tensor = gamma * features + delta * self.place(torch.cat([code, *grid], 1))
        return placed
