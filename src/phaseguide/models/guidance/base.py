"""What every guidance module shares: the bypass for "no ratio", the ratio encoder, coordinates."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Guidance(nn.Module):
    """Features in, features of the same shape out, conditioned on a ratio.

    "No ratio" is a path of its own: the features pass untouched. So a model without a ratio is
    exactly its backbone, and zeros are never mistaken for a composition.
    """

    def __init__(self, channels: int, n_phases: int) -> None:
        super().__init__()
        self.channels = channels
        self.n_phases = n_phases

    def forward(self, features: Tensor, ratio: Tensor | None) -> Tensor:
        """Condition features, shape (B, C, H, W), on ratios, shape (B, K); a row of NaN, or None, means no ratio."""
        if ratio is None:
            return features
        absent = torch.isnan(ratio).any(dim=1)
        if bool(absent.all()):
            return features
        known = torch.where(absent[:, None], torch.full_like(ratio, 1 / self.n_phases), ratio)
        guided = self.guide(features, known.to(features.dtype))
        return torch.where(absent[:, None, None, None], features, guided)

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Condition features on a ratio that is given for every sample."""
        raise TypeError(f"{type(self).__name__} does not define how to guide.")


class NoGuidance(Guidance):
    """The identity: the baseline of every comparison."""

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Return the features untouched."""
        return features


def ratio_encoder(n_phases: int, width: int) -> nn.Sequential:
    """RE of the Phase Learning Module: Linear(n, 128), ReLU, Linear(128, w).

    33,536 parameters for n = 3 and w = 256, as published.
    """
    return nn.Sequential(nn.Linear(n_phases, 128), nn.ReLU(), nn.Linear(128, width))


def coordinate_grid(features: Tensor) -> Tensor:
    """Coordinates of a field of view, in [-1, 1] along x and y.

    Source: Liu et al. 2018, "An intriguing failing of convolutional neural networks and the
    CoordConv solution". They are relative to what the network sees at once (the crop or tile). Shape (B, 2, H, W).
    """
    b, _, h, w = features.shape
    y = torch.linspace(-1, 1, h, dtype=features.dtype, device=features.device)
    x = torch.linspace(-1, 1, w, dtype=features.dtype, device=features.device)
    grid = torch.stack((x.expand(h, w), y[:, None].expand(h, w)))
    return grid.expand(b, 2, h, w)
