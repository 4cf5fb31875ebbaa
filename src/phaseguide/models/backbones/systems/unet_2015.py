"""The U-Net of 2015, plain: what a paper means that compares with U-Net and names no encoder.

Source: O. Ronneberger, P. Fischer, T. Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI
2015 (arXiv 1505.04597).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import nn

from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import PlainEncoder, StepwiseDecoder, double_conv, scaled

WIDTHS = (64, 128, 256, 512, 1024)


class Unet2015(System):
    """Five levels of double convolutions, max pooling down, 2 x 2 transposed convolutions up, skips side by side.

    As its later implementations, and unlike the paper, it pads its convolutions, so that scores have the size of the
    image, and normalises after each.
    """

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        widths = [scaled(c, options.get("width", 1.0)) for c in WIDTHS]
        steps = list(pairwise(widths[::-1]))
        decoder = StepwiseDecoder(
            [nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in steps],
            [double_conv(2 * fine, fine) for _, fine in steps],
        )
        return Network(PlainEncoder(in_channels, widths), decoder, nn.Conv2d(widths[0], n_phases, 1))
