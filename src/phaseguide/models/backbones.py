"""Backbones: encoder and decoder from segmentation-models-pytorch, through one registry.

Every backbone is split into ``encode`` (expensive, ratio-free, cached) and ``decode`` (cheap), and
padded here to a multiple of 32, since most decoders refuse other sizes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.pretrained import load_imagenet_weights

STRIDE = 32
ARCHITECTURES = {
    "unet": "Unet",
    "unetplusplus": "UnetPlusPlus",
    "fpn": "FPN",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
}


@dataclass(frozen=True)
class BackboneOptions:
    """Which backbone to build.

    Attributes
    ----------
    architecture : str
        A key of `ARCHITECTURES`.
    encoder : str
        Any encoder name of segmentation-models-pytorch; ``tu-`` prefixes a timm model.
    in_channels : int
        1 for grey, 3 for RGB.
    decoder : dict
        Further keyword arguments of the architecture, for example ``decoder_channels``.
    """

    architecture: str = "unet"
    encoder: str = "tu-tf_efficientnet_lite0"
    in_channels: int = 1
    decoder: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-compatible values."""
        return asdict(self)


@dataclass
class Features:
    """What `Backbone.encode` returns: maps from fine to coarse, and the size before padding."""

    maps: list[Tensor]
    height: int
    width: int

    def nbytes(self) -> int:
        """Memory that the maps hold, in bytes."""
        return sum(m.numel() * m.element_size() for m in self.maps)


class Backbone(nn.Module):
    """An encoder-decoder net whose logits equal those of its plain forward pass.

    Parameters
    ----------
    options : BackboneOptions
    n_phases : int
        K, channels of the logits.

    Raises
    ------
    ModelError
        Unknown architecture or encoder, or the two do not go together.
    """

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        import segmentation_models_pytorch as smp

        super().__init__()
        if options.architecture not in ARCHITECTURES:
            raise ModelError(
                f"Unknown architecture {options.architecture!r}. Choose one of {', '.join(ARCHITECTURES)}."
            )
        try:
            self.net = getattr(smp, ARCHITECTURES[options.architecture])(
                encoder_name=options.encoder,
                encoder_weights=None,
                in_channels=options.in_channels,
                classes=n_phases,
                **options.decoder,
            )
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise ModelError(
                f"Cannot build {options.architecture} with encoder {options.encoder!r}: {error}"
            ) from error
        self.options = options

    @property
    def channels(self) -> list[int]:
        """Channels of the encoder's maps, from fine to coarse, without the image and without empty maps."""
        return [int(c) for c in self.net.encoder.out_channels[1:] if c > 0]

    def load_imagenet(self) -> None:
        """Start the encoder from ImageNet weights that come with the installation."""
        load_imagenet_weights(self.net.encoder, self.options.encoder, self.options.in_channels)

    def encode(self, image: Tensor) -> Features:
        """Encode an image.

        Parameters
        ----------
        image : Tensor, shape (B, in_channels, H, W)
            Normalised; any size of at least 2 x 2.
        """
        height, width = image.shape[-2:]
        return Features(list(self.net.encoder(pad_to_stride(image))), height, width)

    def decode(self, features: Features) -> Tensor:
        """Return logits, shape (B, K, H, W), cropped to the size before padding."""
        logits: Tensor = self.net.segmentation_head(self.net.decoder(list(features.maps)))
        return logits[..., : features.height, : features.width]


def pad_to_stride(image: Tensor, stride: int = STRIDE) -> Tensor:
    """Pad right and bottom to a multiple of ``stride`` by reflection, or by replication if too small."""
    height, width = image.shape[-2:]
    bottom, right = -height % stride, -width % stride
    if not bottom and not right:
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a module keeps running statistics of a batch."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


__all__ = ["ARCHITECTURES", "Backbone", "BackboneOptions", "Features", "is_batch_norm", "pad_to_stride"]
