"""TransUNet: a ResNet, a vision transformer on its last map, and the decoder of a U-Net.

Source: J. Chen and others, TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation, 2021 (arXiv
2102.04306). The encoder is timm's hybrid of ResNet-50 (version 2) and ViT-B/16; the decoder is written from the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import conv_norm, enlarged, scaled
from phaseguide.models.backbones.systems.positions import PositionEmbedding
from phaseguide.option_values import IMAGENET

STEM, STAGES, BLOCKS = 64, (256, 512, 1024), (3, 4, 9)
"""Channels and blocks of the ResNet, at a half, a quarter, an eighth and a sixteenth of the size."""

TOKENS, HEADS, LAYERS = 768, 12, 12
DECODER = (512, 256, 128, 64, 16)
DROPOUT = 0.1

GRID = 14
"""Cells a side of the transformer's map in an image of 224 px, for which the positions are learnt."""

WEIGHTS = "vit_base_r50_s16_224.orig_in21k"
"""What timm calls the weights that the paper starts from (ImageNet-21k, Apache-2.0)."""


class TransUNet(System):
    """R50-ViT-B/16 as published; images of any size, to which the learnt positions are stretched.

    Grey is shown to the ResNet as three equal colours. Guidance acts on the transformer's map and then on those of the
    ResNet.
    """

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        width = options.get("width", 1.0)
        encoder = _HybridEncoder(in_channels, width)
        decoder = _Decoder(encoder.out_channels, [scaled(c, width) for c in DECODER])
        head = nn.Conv2d(decoder.out_channels, n_phases, 3, padding=1)
        return Network(encoder, decoder, head)

    @property
    def half_dtype(self) -> str:
        """The transformer's numbers can leave the range of float16."""
        return "bfloat16"

    def load_pretrained(self, weights: str = IMAGENET) -> None:
        """Start the encoder from the paper's weights, which timm downloads where they are not at hand yet."""
        import timm

        if weights != IMAGENET:
            raise ModelError(
                f"transunet has an encoder of its own and weights from {IMAGENET} alone, not {weights!r}."
            )
        if self.options.decoder.get("width", 1.0) != 1.0:
            raise ModelError(
                f"The pretrained weights of transunet are for width 1, not {self.options.decoder['width']:g}. Set "
                "encoder_weights to none, or width to 1."
            )
        try:
            source = timm.create_model(WEIGHTS, pretrained=True).state_dict()
        except Exception as error:  # of the hub, of the connection, of the disk
            raise ModelError(
                f"The weights {WEIGHTS} could not be downloaded ({' '.join(str(error).split())[:200]}). Connect to the "
                "internet once, or set encoder_weights to none."
            ) from error
        self.net.encoder.load_state_dict(_renamed(source))


class _HybridEncoder(nn.Module):
    """timm's ResNet and transformer blocks, which hand out the maps between them; without a class token."""

    def __init__(self, in_channels: int, width: float) -> None:
        super().__init__()
        from timm.layers.norm_act import GroupNormAct
        from timm.layers.std_conv import StdConv2dSame
        from timm.models.resnetv2 import ResNetV2
        from timm.models.vision_transformer import Block

        stem, *stages = (scaled(c, width, 8) for c in (STEM, *STAGES))
        tokens = scaled(TOKENS, width, HEADS)
        self.grey = in_channels == 1
        self.out_channels = [stem, *stages[:-1], tokens]
        self.resnet = ResNetV2(
            layers=list(BLOCKS),
            channels=tuple(stages),
            num_classes=0,
            in_chans=3 if self.grey else in_channels,
            global_pool="",
            stem_chs=stem,
            stem_type="same",
            preact=False,
            # Groups as published, where narrow layers can be divided so.
            norm_layer=partial(GroupNormAct, num_groups=32 if stem % 32 == 0 else 8),
            conv_layer=partial(StdConv2dSame, eps=1e-8),
        )
        self.embed = nn.Conv2d(stages[-1], tokens, 1)
        self.positions = PositionEmbedding(tokens, GRID)
        self.drop = nn.Dropout(DROPOUT)
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(Block(tokens, HEADS, qkv_bias=True, proj_drop=DROPOUT, norm_layer=norm) for _ in range(LAYERS))
        )
        self.norm = norm(tokens)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image.expand(-1, 3, -1, -1) if self.grey else image
        stem: Any = self.resnet.stem
        x = stem.norm(stem.conv(x))
        maps, x = [x], stem.pool(x)
        for stage in self.resnet.stages:
            x = stage(x)
            maps.append(x)
        placed = self.drop(self.positions(self.embed(maps.pop())))
        rows, columns = placed.shape[-2:]
        seen = self.norm(self.blocks(placed.flatten(2).transpose(1, 2)))
        return [*maps, seen.transpose(1, 2).reshape(seen.shape[0], seen.shape[2], rows, columns)]


class _Decoder(nn.Module):
    """Cascaded upsampler: bilinear, skip beside it, two convolutions; the last step to full size has no skip."""

    def __init__(self, given: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = widths[-1]
        self.inlet = conv_norm(given[-1], widths[0], bias=False)
        skips = [*given[-2::-1], 0]
        self.steps = nn.ModuleList(
            nn.Sequential(conv_norm(before + skip, after, bias=False), conv_norm(after, after, bias=False))
            for before, skip, after in zip(widths[:-1], skips, widths[1:], strict=True)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        x: Tensor = self.inlet(maps[-1])
        for step, skip in zip(self.steps, [*maps[-2::-1], None], strict=True):
            x = enlarged(x, 2)
            x = step(x if skip is None else torch.cat([x, skip], 1))
        return x


def _renamed(source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of timm's hybrid as `_HybridEncoder` calls them; its class token and its scores are not used."""
    names = {
        "patch_embed.backbone.": "resnet.",
        "patch_embed.proj.": "embed.",
        "blocks.": "blocks.",
        "norm.": "norm.",
    }
    found = {
        new + name.removeprefix(old): tensor
        for name, tensor in source.items()
        for old, new in names.items()
        if name.startswith(old)
    }
    places = source["pos_embed"][:, 1:]
    found["positions.map"] = places.transpose(1, 2).reshape(1, places.shape[2], GRID, GRID)
    return found
