"""What the published systems share: an encoder of their own, a width, and no weights to start from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.architectures import OWN_ENCODER
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.split import SplitBackbone
from phaseguide.option_values import IMAGENET


class Network(nn.Module):
    """An encoder, a decoder and a head, one after the other."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = encoder, decoder, head

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of an image whose sides are multiples of the stride."""
        logits: Tensor = self.segmentation_head(self.decoder(self.encoder(image)))
        return logits


class System(SplitBackbone):
    """A published system; ``options.decoder`` may hold ``width``, a factor of all its channels, and options of its own.

    Raises `ModelError` where a package is missing.
    """

    tile = 1024
    """Largest side at once, px: 64 channels or more at full size want more memory than those of a light encoder."""

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        super().__init__()
        self.options = replace(options, encoder=OWN_ENCODER)
        self.net = self.build(options.in_channels, n_phases, options.decoder)

    @abstractmethod
    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """Return the network for images of so many channels, with fresh weights."""

    def preferred_tile(self, device_kind: str) -> int:
        """See `tile`."""
        return self.tile

    def load_pretrained(self, weights: str = IMAGENET) -> None:
        """Refuse: nobody published weights of this encoder."""
        raise ModelError(
            f"There are no pretrained weights for {self.options.architecture}; it starts from random ones. Leave "
            "the encoder weights out."
        )
