"""Backbones whose network is an encoder, a decoder and a layer that makes scores, one after the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from phaseguide.models.backbones.base import Backbone, Features, pad_to_stride


class SplitBackbone(Backbone):
    """A backbone that is cut after its encoder; the logits equal those of its network's plain forward pass.

    Attributes
    ----------
    net : Module
        With ``encoder`` (image to maps, ``out_channels`` says how many channels they have), ``decoder`` (the list of
        maps to one) and ``segmentation_head``.
    """

    net: Any

    @property
    def channels(self) -> list[int]:
        """Channels of the encoder's maps."""
        return [int(c) for c in self.net.encoder.out_channels]

    def encoder_parts(self) -> dict[str, nn.Module]:
        """All of the encoder."""
        return {"encoder": self.net.encoder}

    def decoder_parts(self) -> dict[str, nn.Module]:
        """The decoder and the layer that makes scores."""
        return {"decoder": self.net.decoder, "head": self.net.segmentation_head}

    def preferred_tile(self, device_kind: str) -> int:
        """A 1280 px field seen 1.5 times enlarged fits whole."""
        return 1920

    def preferred_overlap(self, tile: int) -> int:
        """About as far as these networks look."""
        return 128

    @property
    def half_dtype(self) -> str:
        """The type that these networks were published with."""
        return "float16"

    def encode(self, image: Tensor) -> Features:
        """Encode an image; see `Backbone.encode`."""
        height, width = image.shape[-2:]
        return Features(list(self.net.encoder(pad_to_stride(image, self.stride))), height, width)

    def decode(self, features: Features) -> Tensor:
        """Return logits; see `Backbone.decode`."""
        logits: Tensor = self.net.segmentation_head(self.net.decoder(list(features.maps)))
        return logits[..., : features.height, : features.width]
