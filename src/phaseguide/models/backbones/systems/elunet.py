"""ELU-Net: a light U-Net whose skip connections bring all coarser scales of the encoder to every level.

Source: Y. Deng and others, ELU-Net: An Efficient and Lightweight U-Net for Medical Image Segmentation, IEEE Access 10
(2022), doi 10.1109/ACCESS.2022.3163711.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import Node, PlainEncoder, double_conv, enlarged, scaled

CHANNELS = 8
"""Of the finest level in the paper's light model; each coarser level has twice as many."""

LEVELS = 5


class EluNet(System):
    """Deep skip connections; option ``channels`` is how many the finest level has.

    0.65 M parameters with 8 as published; 28 give the 7.9 M that others quote. The paper's loss is not part of it.
    """

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        first = scaled(options.get("channels", CHANNELS), options.get("width", 1.0))
        widths = [first * 2**level for level in range(LEVELS)]
        head = nn.Conv2d(first, n_phases, 1)
        return Network(PlainEncoder(in_channels, widths), _DeepSkipDecoder(widths), head)


class _DeepSkipDecoder(nn.Module):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        last = len(widths) - 1
        self.nodes = nn.ModuleList()
        for level in reversed(range(last)):
            given, made = [*widths[level:last], widths[level + 1]], widths[level]
            branches = (nn.Conv2d(c, made, 3, padding=1) for c in given)
            self.nodes.append(Node(branches, double_conv(made * len(given), made)))

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for level, node in zip(reversed(range(len(maps) - 1)), self.nodes, strict=True):
            taken = [enlarged(maps[at], 2 ** (at - level)) for at in range(level, len(maps) - 1)]
            x = node([*taken, enlarged(x, 2)])
        return x
