"""UCTransNet: a U-Net whose skip connections look at each other's channels in a transformer.

Source: H. Wang and others, UCTransNet: Rethinking the Skip Connections in U-Net from a Channel-wise Perspective with
Transformer, AAAI 2022 (arXiv 2109.04335).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import StepwiseDecoder, conv_norm, double_conv, scaled
from phaseguide.models.backbones.systems.positions import PositionEmbedding

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the encoder's maps; the first four go through the transformer."""

GRID = 14
"""Patches a side in an image of 224 px, for which the paper's positions are learnt."""

DROPOUT = 0.1


class UCTransNet(System):
    """Channel-wise cross fusion transformer on the skips, channel-wise cross attention in the decoder.

    The transformer belongs to the encoder: it is as expensive, and knows no ratio. Guidance at finer scales acts on
    what it gives. Options ``heads`` and ``layers`` are those of the transformer.
    """

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        widths = [scaled(c, options.get("width", 1.0)) for c in WIDTHS]
        encoder = _Encoder(in_channels, widths, options.get("heads", 4), options.get("layers", 4))
        skips, made = widths[-2::-1], [*widths[-3::-1], widths[0]]
        given = [widths[-1], *made[:-1]]
        decoder = StepwiseDecoder(
            [nn.Upsample(scale_factor=2.0) for _ in skips],
            [double_conv(skip + up, out) for skip, up, out in zip(skips, given, made, strict=True)],
            [_CrossAttention(skip, up) for skip, up in zip(skips, given, strict=True)],
        )
        return Network(encoder, decoder, nn.Conv2d(widths[0], n_phases, 1))

    @property
    def half_dtype(self) -> str:
        """Sums over all patches can leave the range of float16."""
        return "bfloat16"


class _Encoder(nn.Module):
    """The left half of a U-Net, its skips fused."""

    def __init__(self, in_channels: int, widths: Sequence[int], heads: int, layers: int) -> None:
        super().__init__()
        self.out_channels = list(widths)
        self.inlet = conv_norm(in_channels, widths[0])
        self.levels = nn.ModuleList(double_conv(a, b) for a, b in pairwise(widths))
        self.fusion = _CrossFusion(widths[:-1], heads, layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [self.inlet(image)]
        for level in self.levels:
            maps.append(level(F.max_pool2d(maps[-1], 2)))
        fused: list[Tensor] = self.fusion(maps[:-1])
        return [*fused, maps[-1]]


class _CrossFusion(nn.Module):
    """CCT: maps to tokens of one number, layers over them, and back to maps, added to those that came in."""

    def __init__(self, widths: Sequence[int], heads: int, layers: int) -> None:
        super().__init__()
        patches = [2 ** (len(widths) - level) for level in range(len(widths))]
        self.patch = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, patch, patch), PositionEmbedding(c, GRID), nn.Dropout(DROPOUT))
            for c, patch in zip(widths, patches, strict=True)
        )
        self.layers = nn.ModuleList(_Layer(widths, heads) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(c, eps=1e-6) for c in widths)
        self.back = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=float(patch)), conv_norm(c, c, 1))
            for c, patch in zip(widths, patches, strict=True)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        patches = [embed(one) for embed, one in zip(self.patch, maps, strict=True)]
        rows, columns = patches[0].shape[-2:]
        tokens = [one.flatten(2).transpose(1, 2) for one in patches]
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = [norm(one) for norm, one in zip(self.norm, tokens, strict=True)]
        grids = [one.transpose(1, 2).reshape(one.shape[0], one.shape[2], rows, columns) for one in tokens]
        return [one + back(grid) for one, back, grid in zip(maps, self.back, grids, strict=True)]


class _Layer(nn.Module):
    """Attention over channels, then a perceptron for each scale; both added to what came in."""

    def __init__(self, widths: Sequence[int], heads: int) -> None:
        super().__init__()
        self.norm = nn.ModuleList(nn.LayerNorm(c, eps=1e-6) for c in widths)
        self.norm_all = nn.LayerNorm(sum(widths), eps=1e-6)
        self.attention = _ChannelAttention(widths, heads)
        self.mlp = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(c, eps=1e-6),
                nn.Linear(c, 4 * c),
                nn.GELU(),
                nn.Dropout(DROPOUT),
                nn.Linear(4 * c, c),
                nn.Dropout(DROPOUT),
            )
            for c in widths
        )

    def forward(self, tokens: list[Tensor]) -> list[Tensor]:
        queries = [norm(one) for norm, one in zip(self.norm, tokens, strict=True)]
        found = self.attention(queries, self.norm_all(torch.cat(tokens, 2)))
        tokens = [one + new for one, new in zip(tokens, found, strict=True)]
        return [one + mlp(one) for one, mlp in zip(tokens, self.mlp, strict=True)]


class _ChannelAttention(nn.Module):
    """Channels of one scale ask the channels of all; heads as wide as the scale, and their mean."""

    def __init__(self, widths: Sequence[int], heads: int) -> None:
        super().__init__()
        self.heads, self.every = heads, sum(widths)
        self.query = nn.ModuleList(nn.Linear(c, heads * c, bias=False) for c in widths)
        self.key = nn.Linear(self.every, heads * self.every, bias=False)
        self.value = nn.Linear(self.every, heads * self.every, bias=False)
        self.norm = nn.InstanceNorm2d(heads)
        self.out = nn.ModuleList(nn.Linear(c, c, bias=False) for c in widths)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, queries: list[Tensor], everything: Tensor) -> list[Tensor]:
        keys, values = self._split(self.key(everything)), self._split(self.value(everything))
        found = []
        for tokens, query, out in zip(queries, self.query, self.out, strict=True):
            asked = self._split(query(tokens))
            alike = asked.transpose(2, 3) @ keys / math.sqrt(self.every)  # (B, heads, C, all)
            weights = self.drop(torch.softmax(self.norm(alike), dim=-1))
            mixed = (weights @ values.transpose(2, 3)).mean(1)  # (B, C, N)
            found.append(self.drop(out(mixed.transpose(1, 2))))
        return found

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, N, heads * C) as (B, heads, N, C)."""
        return tokens.reshape(tokens.shape[0], tokens.shape[1], self.heads, -1).transpose(1, 2)


class _CrossAttention(nn.Module):
    """CCA: every channel of a skip is weighted by the mean of the skip and of the decoder's map."""

    def __init__(self, skip: int, up: int) -> None:
        super().__init__()
        self.of_skip, self.of_up = nn.Linear(skip, skip), nn.Linear(up, skip)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        weight = (self.of_skip(skip.mean((2, 3))) + self.of_up(up.mean((2, 3)))) / 2
        weighted: Tensor = torch.relu(skip * torch.sigmoid(weight)[:, :, None, None])
        return weighted
