"""A feature pyramid that also looks at full size: plain convolutions beside the encoder, scores at half size.

The encoders that fit a laptop have 16 to 24 channels where a lath is a few pixels wide, and a pyramid of theirs makes
its scores at a quarter of the size. Here a stem of plain convolutions sees every pixel; its map joins the encoder's at
half size, and corrects the pyramid there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.architectures import FPN
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.pretrained import load_encoder_weights
from phaseguide.models.backbones.unet import LibraryBackbone
from phaseguide.option_values import IMAGENET

STEM = 16
FINE = 32
"""Channels at full and at half size, where the options name none: with these a pass takes about 1.5 times as long as
one of the plain pyramid."""


class FineBackbone(LibraryBackbone):
    """FPN of segmentation-models-pytorch with a stem at full size; options as those of ``fpn``, and two widths.

    Parameters
    ----------
    options : BackboneOptions
        ``decoder`` may hold ``stem_channels`` (at full size) and ``fine_channels`` (at half size, a multiple of 8).
    n_phases : int
        K, channels of the logits.

    Raises
    ------
    ModelError
        As `LibraryBackbone`.
    """

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        pyramid = dict(options.decoder)
        stem, fine = pyramid.pop("stem_channels", STEM), pyramid.pop("fine_channels", FINE)
        super().__init__(replace(options, architecture=FPN, decoder=pyramid), n_phases)
        self.options = options
        self.net.encoder = _FineEncoder(self.net.encoder, options.in_channels, stem, fine)
        self.net.decoder = _FineDecoder(self.net.decoder, fine, n_phases)
        self.net.segmentation_head = nn.Upsample(scale_factor=2.0, mode="bilinear")

    def load_pretrained(self, weights: str = IMAGENET) -> None:
        """Start the encoder from weights, as `LibraryBackbone`; the stem starts anew."""
        load_encoder_weights(self.net.encoder.coarse, self.options, weights)


class _FineEncoder(nn.Module):
    """The maps of an encoder, with a richer one at half size."""

    def __init__(self, coarse: nn.Module, in_channels: int, stem: int, fine: int) -> None:
        super().__init__()
        self.coarse = coarse
        widths = [int(c) for c in cast(list[int], coarse.out_channels)]
        self.stem = nn.Sequential(_layer(in_channels, stem), _layer(stem, fine, stride=2), _layer(fine, fine))
        self.join = _layer(widths[1] + fine, fine)
        self.output_stride = coarse.output_stride
        self.out_channels = [widths[0], fine, *widths[2:]]

    def forward(self, image: Tensor) -> list[Tensor]:
        same, half, *rest = self.coarse(image)
        return [same, self.join(torch.cat([half, self.stem(image)], 1)), *rest]


class _FineDecoder(nn.Module):
    """Scores of the pyramid, brought to half size and corrected by what is read there; no correction at the start."""

    def __init__(self, pyramid: nn.Module, fine: int, n_phases: int) -> None:
        super().__init__()
        self.pyramid = pyramid
        width = int(cast(int, pyramid.out_channels))
        self.scores = nn.Conv2d(width, n_phases, 1)
        self.lateral = nn.Conv2d(width, fine, 3, padding=1)
        self.read = _layer(fine, fine)
        self.correction = nn.Conv2d(fine, n_phases, 3, padding=1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(cast(Tensor, self.correction.bias))

    def forward(self, features: list[Tensor]) -> Tensor:
        coarse, fine = self.pyramid(features), features[1]
        size = fine.shape[-2:]
        scores = F.interpolate(self.scores(coarse), size=size, mode="bilinear")
        lateral = F.interpolate(self.lateral(coarse), size=size, mode="bilinear")
        corrected: Tensor = scores + self.correction(self.read(F.relu(lateral + fine)))
        return corrected


def _layer(given: int, made: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride, padding=1, bias=False),
        nn.GroupNorm(made // 8, made),
        nn.ReLU(inplace=True),
    )
