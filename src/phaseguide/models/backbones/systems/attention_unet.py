"""Attention U-Net: a U-Net whose skip connections are gated by what the decoder has found so far.

Source: O. Oktay and others, Attention U-Net: Learning Where to Look for the Pancreas, MIDL 2018 (arXiv 1804.03999).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import (
    PlainEncoder,
    StepwiseDecoder,
    conv_norm,
    double_conv,
    scaled,
)

WIDTHS = (64, 128, 256, 512, 1024)


class AttentionUnet(System):
    """The five levels of a U-Net, with an additive attention gate on every skip connection.

    The paper's gate takes a coarser map and enlarges its result. Here the decoder's map is enlarged first, so gate and
    skip have one grid, as in the common implementations, whose count of parameters this one has.
    """

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        widths = [scaled(c, options.get("width", 1.0)) for c in WIDTHS]
        steps = list(pairwise(widths[::-1]))
        decoder = StepwiseDecoder(
            [nn.Sequential(nn.Upsample(scale_factor=2.0), conv_norm(coarse, fine)) for coarse, fine in steps],
            [double_conv(2 * fine, fine) for _, fine in steps],
            [AttentionGate(fine) for _, fine in steps],
        )
        return Network(PlainEncoder(in_channels, widths), decoder, nn.Conv2d(widths[0], n_phases, 1))


class AttentionGate(nn.Module):
    """x times sigmoid(psi(ReLU(W_x x + W_g g))), one number a place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(1, channels // 2)
        self.of_skip = nn.Sequential(nn.Conv2d(channels, between, 1), nn.BatchNorm2d(between))
        self.of_signal = nn.Sequential(nn.Conv2d(channels, between, 1), nn.BatchNorm2d(between))
        self.psi = nn.Sequential(nn.Conv2d(between, 1, 1), nn.BatchNorm2d(1))

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Return the skip connection, as far as the signal lets it through."""
        found = torch.relu(self.of_skip(skip) + self.of_signal(signal))
        gated: Tensor = skip * torch.sigmoid(self.psi(found))
        return gated
