"""U-Net 3+: every node of the decoder sees every scale of the encoder and all coarser nodes.

Source: H. Huang and others, UNet 3+: A Full-Scale Connected UNet for Medical Image Segmentation, ICASSP 2020 (arXiv
2004.08790).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import Node, PlainEncoder, conv_norm, enlarged, scaled

WIDTHS = (64, 128, 256, 512, 1024)
BRANCH = 64
"""Channels that a node of the decoder takes from each of the scales."""


class Unet3Plus(System):
    """Full-scale skip connections; without deep supervision and without the gate that tells images with nothing in
    them, which knows two classes only.
    """

    tile = 512

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        width = options.get("width", 1.0)
        widths = [scaled(c, width) for c in WIDTHS]
        decoder = _FullScaleDecoder(widths, scaled(BRANCH, width))
        head = nn.Conv2d(decoder.out_channels, n_phases, 3, padding=1)
        return Network(PlainEncoder(in_channels, widths), decoder, head)


class _FullScaleDecoder(nn.Module):
    def __init__(self, widths: Sequence[int], branch: int) -> None:
        super().__init__()
        self.out_channels = made = branch * len(widths)
        last = len(widths) - 1
        self.nodes = nn.ModuleList()
        for level in reversed(range(last)):
            finer = [widths[at] for at in range(level + 1)]
            given = [*finer, *[made] * (last - level - 1), widths[last]]
            self.nodes.append(Node((conv_norm(c, branch) for c in given), conv_norm(made, made)))

    def forward(self, maps: list[Tensor]) -> Tensor:
        # As each node is made, it takes the place of the encoder's map at its scale.
        known = list(maps)
        for level, node in zip(reversed(range(len(maps) - 1)), self.nodes, strict=True):
            known[level] = node([_to_level(one, at - level) for at, one in enumerate(known)])
        return known[0]


def _to_level(maps: Tensor, coarser: int) -> Tensor:
    """A map at the size of a level that is so many steps finer than its own (negative: coarser)."""
    return F.max_pool2d(maps, 2**-coarser) if coarser < 0 else enlarged(maps, 2**coarser)
