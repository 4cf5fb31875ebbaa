"""A backbone that classifies single pixels by features that nobody trained for them: learnt from strokes in a moment.

Its encoder is one of another model, frozen, which looks at the image at several zooms, and the plain filters of
`phaseguide.models.backbones.pixels.filters`. One linear layer makes scores of them. A linear layer on enlarged maps is
the enlargement of linear layers on the maps as they are, so each map is weighted at its own size: scores of a
megapixel cost milliseconds, and only these are computed anew after a stroke.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.backbones.base import BackboneOptions, Features
from phaseguide.models.backbones.pixels.filters import ImageFilters
from phaseguide.models.backbones.pretrained import load_encoder_weights
from phaseguide.models.backbones.split import SplitBackbone
from phaseguide.models.backbones.unet import check_encoder
from phaseguide.option_values import IMAGENET

ZOOMS = [1.0, 1.5]
"""How the encoder sees the image, where the options do not say."""
LEVELS = 4
"""Maps of the encoder that are used, from the finest."""
SIGMAS = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
"""Sizes of the image filters, px."""


class PixelBackbone(SplitBackbone):
    """Frozen features of each pixel, and a linear layer.

    Parameters
    ----------
    options : BackboneOptions
        ``encoder`` is one of segmentation-models-pytorch; ``decoder`` may hold ``zooms``, ``levels`` (maps of the
        encoder, from the finest) and ``sigmas`` (of the image filters, px).
    n_phases : int
        K.

    Raises
    ------
    ModelError
        Unknown encoder.
    """

    stride = 64
    """So that a half of a side, and one and a half, are what the encoder takes."""

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        super().__init__()
        check_encoder(options.encoder)
        given: dict[str, Any] = {"zooms": ZOOMS, "levels": LEVELS, "sigmas": SIGMAS, **options.decoder}
        self.options = options
        self.net = nn.Module()
        self.net.encoder = PixelFeatures(options, given["zooms"], given["levels"], given["sigmas"])
        self.net.decoder = PixelScores(self.net.encoder.out_channels, n_phases)
        self.net.segmentation_head = nn.Identity()

    def load_pretrained(self, weights: str = IMAGENET) -> None:
        """Take the encoder's weights from elsewhere; see `load_encoder_weights`."""
        load_encoder_weights(self.net.encoder.network, self.options, weights)

    def preferred_tile(self, device_kind: str) -> int:
        """A megapixel at once: the encoder sees it enlarged."""
        return 1024

    def features_at(self, features: Features, rows: Tensor, columns: Tensor) -> Tensor:
        """Return what the linear layer gets for pixels of the first image of a batch, shape (N, C); before
        standardising, each map enlarged as its scores are.

        Parameters
        ----------
        features : Features
            From `encode`.
        rows, columns : Tensor of int, shape (N,)
        """
        size = features.maps[0].shape[-2:]
        return torch.cat([_enlarged_at(one[0], size, rows, columns) for one in features.maps], 0).T


class PixelFeatures(nn.Module):
    """Maps of an image from filters (at full size) and from a frozen encoder at several zooms."""

    def __init__(
        self, options: BackboneOptions, zooms: list[float], levels: int, sigmas: list[float]
    ) -> None:
        import segmentation_models_pytorch as smp

        super().__init__()
        self.network = smp.encoders.get_encoder(
            options.encoder, in_channels=options.in_channels, depth=levels, weights=None
        )
        self.filters = ImageFilters(sigmas)
        self.zooms = [float(zoom) for zoom in zooms]
        widths = [int(c) for c in self.network.out_channels[1:]]
        self.out_channels = [self.filters.channels, *widths * len(self.zooms)]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps of an image whose sides are multiples of the stride."""
        maps = [self.filters(image)]
        for zoom in self.zooms:
            seen = image
            if zoom != 1:  # by a factor and not to a size, which an exported graph would keep for ever
                seen = F.interpolate(image, scale_factor=zoom, mode="bilinear", antialias=zoom < 1)
            maps += self.network(seen)[1:]
        return maps


class PixelScores(nn.Module):
    """One linear layer over standardised features, each map weighted at its own size.

    Attributes
    ----------
    centre, spread : Tensor, shape (C,)
        What is taken off each feature, and what divides it then.
    weight : Tensor, shape (K, C)
    bias : Tensor, shape (K,)
    """

    def __init__(self, channels: list[int], n_phases: int) -> None:
        super().__init__()
        self.channels = list(channels)
        total = sum(channels)
        self.register_buffer("centre", torch.zeros(total))
        self.register_buffer("spread", torch.ones(total))
        self.weight = nn.Parameter(torch.zeros(n_phases, total))
        self.bias = nn.Parameter(torch.zeros(n_phases))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return scores, shape (B, K, H, W), of the size of the first map."""
        size = maps[0].shape[-2:]
        weight = self.weight / cast(Tensor, self.spread)
        bias = self.bias - weight @ cast(Tensor, self.centre)
        total: Tensor | None = None
        for one, part in zip(maps, torch.split(weight, self.channels, 1), strict=True):
            scores = F.conv2d(one, part[:, :, None, None])
            if scores.shape[-2:] != size:
                scores = F.interpolate(scores, size=size, mode="bilinear")
            total = scores if total is None else total + scores
        assert total is not None
        return total + bias.view(1, -1, 1, 1)


def _enlarged_at(one: Tensor, size: tuple[int, ...], rows: Tensor, columns: Tensor) -> Tensor:
    """What `torch.nn.functional.interpolate` makes of a map, (C, h, w), at some pixels of a size: (C, N)."""
    if one.shape[-2:] == size:
        return one[:, rows, columns]
    top, bottom, down = _between(rows, one.shape[-2], size[0])
    left, right, across = _between(columns, one.shape[-1], size[1])
    above = torch.lerp(one[:, top, left], one[:, top, right], across)
    below = torch.lerp(one[:, bottom, left], one[:, bottom, right], across)
    return torch.lerp(above, below, down)


def _between(places: Tensor, given: int, wanted: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the two lines of a map that a place of the enlarged one lies between, and how far it is along."""
    at = ((places.to(torch.float32) + 0.5) * (given / wanted) - 0.5).clamp(0, given - 1)
    first = at.floor().long()
    return first, (first + 1).clamp_max(given - 1), at - first
