"""Encoder and decoder of segmentation-models-pytorch: U-Net and the other architectures of that library.

Images are padded here to a multiple of 32, since most of its decoders refuse other sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.architectures import ARCHITECTURES
from phaseguide.models.backbones.base import BackboneOptions, Features
from phaseguide.models.backbones.pretrained import load_encoder_weights
from phaseguide.models.backbones.split import SplitBackbone
from phaseguide.option_values import IMAGENET


class LibraryBackbone(SplitBackbone):
    """An encoder-decoder net of the library.

    A U-Net with the option ``skips`` false decodes the encoder's output alone: what the finer maps show has to go
    through it, and so has guidance, which acts at that one scale only.

    Parameters
    ----------
    options : BackboneOptions
    n_phases : int
        K, channels of the logits.

    Raises
    ------
    ModelError
        Unknown encoder, or it does not go with the architecture.
    """

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        import segmentation_models_pytorch as smp

        super().__init__()
        check_encoder(options.encoder)
        decoder = dict(options.decoder)
        self._skips = bool(decoder.pop("skips", True))
        try:
            self.net = getattr(smp, ARCHITECTURES[options.architecture])(
                encoder_name=options.encoder,
                encoder_weights=None,
                in_channels=options.in_channels,
                classes=n_phases,
                **decoder,
            )
            if not self._skips:
                self.net.decoder = _decoder_without_skips(self.net.encoder.out_channels[-1], decoder)
        except (LookupError, ValueError, RuntimeError, TypeError, AssertionError) as error:
            raise ModelError(
                f"Cannot build {options.architecture} with encoder {options.encoder!r}: {str(error)[:300]}"
            ) from error
        if getattr(getattr(self.net.decoder, "merge", None), "policy", "") == "add":
            self.net.decoder.merge = _Sum()
        self.options = options

    @property
    def channels(self) -> list[int]:
        """Channels of the encoder's maps, without the image and without empty maps."""
        return [int(c) for c in self.net.encoder.out_channels[1:] if c > 0]

    def load_pretrained(self, weights: str = IMAGENET) -> None:
        """Start the encoder from weights; see `phaseguide.models.backbones.pretrained.load_encoder_weights`."""
        load_encoder_weights(self.net.encoder, self.options, weights)

    def decode(self, features: Features) -> Tensor:
        """Return logits; see `Backbone.decode`."""
        maps = list(features.maps)
        if not self._skips:
            # Their sizes still say how far each block enlarges.
            maps[:-1] = [m[:, :0] for m in maps[:-1]]
        logits: Tensor = self.net.segmentation_head(self.net.decoder(maps))
        return logits[..., : features.height, : features.width]


class _Sum(nn.Module):
    """Adds the maps of a pyramid as the library does, without a copy of all of them where that gives the same bits."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        if any(one.dtype != torch.float32 or one.device.type != "cpu" for one in maps):
            return torch.stack(maps).sum(dim=0)
        total = maps[0]
        for one in maps[1:]:
            total = total + one
        return total


def _decoder_without_skips(channels: int, options: Mapping[str, Any]) -> nn.Module:
    """The decoder of a U-Net that takes nothing but the last map of its encoder, of so many channels."""
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    depth = int(options.get("encoder_depth", 5))
    decoder: nn.Module = UnetDecoder(
        encoder_channels=(*[0] * depth, channels),
        decoder_channels=options.get("decoder_channels", (256, 128, 64, 32, 16)),
        n_blocks=depth,
        use_norm=options.get("decoder_use_norm", "batchnorm"),
        attention_type=options.get("decoder_attention_type"),
        interpolation_mode=options.get("decoder_interpolation", "nearest"),
    )
    return decoder


def check_encoder(encoder: str) -> None:
    """Make sure that an encoder is one of the libraries here, which build it without a network or a file.

    Raises
    ------
    ModelError
        It is not.
    """
    import timm
    from segmentation_models_pytorch.encoders import encoders

    prefix, _, name = encoder.partition("-")
    if encoder not in encoders and not (prefix in ("tu", "timm") and timm.is_model(name)):
        raise ModelError(
            f"Cannot build the encoder {encoder!r}: neither segmentation-models-pytorch nor timm has one of that name "
            "here. Correct it, or update these libraries."
        )
