"""Layers that several published systems are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEWEST = 4
"""Channels of a layer at least, however small the width."""


def scaled(channels: int, width: float, multiple_of: int = 1) -> int:
    """Channels of a layer at a width, at least `FEWEST` and a multiple of what has to divide them."""
    whole = round(channels * width / multiple_of) * multiple_of
    return max(whole, multiple_of, FEWEST)


def conv_norm(given: int, made: int, kernel: int = 3, *, bias: bool = True) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; the map keeps its size."""
    return nn.Sequential(
        nn.Conv2d(given, made, kernel, padding=kernel // 2, bias=bias),
        nn.BatchNorm2d(made),
        nn.ReLU(inplace=True),
    )


def double_conv(given: int, made: int) -> nn.Sequential:
    """Twice `conv_norm`."""
    return nn.Sequential(conv_norm(given, made), conv_norm(made, made))


def enlarged(maps: Tensor, factor: int) -> Tensor:
    """A map, bilinear, at a multiple of its size."""
    return maps if factor == 1 else F.interpolate(maps, scale_factor=float(factor), mode="bilinear")


class PlainEncoder(nn.Module):
    """Double convolutions with max pooling between them: the left half of a U-Net."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = list(widths)
        given = [in_channels, *widths[:-1]]
        self.levels = nn.ModuleList(double_conv(a, b) for a, b in zip(given, widths, strict=True))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the map of every level, from fine to coarse."""
        maps = [self.levels[0](image)]
        for level in self.levels[1:]:
            maps.append(level(F.max_pool2d(maps[-1], 2)))
        return maps


class Node(nn.Module):
    """A place of a decoder where maps of several scales meet, each through a branch of its own, and are mixed."""

    def __init__(self, branches: Iterable[nn.Module], mix: nn.Module) -> None:
        super().__init__()
        self.branches, self.mix = nn.ModuleList(branches), mix

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return what is made of maps of one size."""
        found = [branch(one) for branch, one in zip(self.branches, maps, strict=True)]
        mixed: Tensor = self.mix(torch.cat(found, 1))
        return mixed


class StepwiseDecoder(nn.Module):
    """The right half of a U-Net: enlarge, put the encoder's map beside it (gated where there are gates), and mix."""

    def __init__(
        self, enlarge: Sequence[nn.Module], mix: Sequence[nn.Module], gates: Sequence[nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.enlarge, self.mix = nn.ModuleList(enlarge), nn.ModuleList(mix)
        self.gates = nn.ModuleList(gates) if gates is not None else None

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return the map at full size; the modules stand from coarse to fine."""
        x = maps[-1]
        for step, skip in enumerate(maps[-2::-1]):
            x = self.enlarge[step](x)
            if self.gates is not None:
                skip = self.gates[step](skip, x)
            x = self.mix[step](torch.cat([skip, x], 1))
        return x
