"""Backbones: encoder and decoder from segmentation-models-pytorch or Segment Anything, through one registry.

Every backbone is split into ``encode`` (expensive, ratio-free, cached) and ``decode`` (cheap). Those of
segmentation-models-pytorch are padded here to a multiple of 32, since most decoders refuse other sizes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.architectures import ARCHITECTURES, SAM, check_backbone
from phaseguide.models.backbones.imagenet import load_imagenet_weights

if TYPE_CHECKING:
    from phaseguide.models.backbones.sam import SamBackbone
    from phaseguide.models.sam.prompts import Prompts

STRIDE = 32


@dataclass(frozen=True)
class BackboneOptions:
    """Which backbone to build.

    Attributes
    ----------
    architecture : str
        A key of `ARCHITECTURES`, or ``sam``.
    encoder : str
        An encoder of segmentation-models-pytorch (``tu-`` prefixes a timm model); for ``sam`` a size:
        ``vit_b``, ``vit_l`` or ``vit_h``.
    in_channels : int
        1 for grey, 3 for RGB.
    decoder : dict
        Further keyword arguments of the architecture, for example ``decoder_channels``; see
        `phaseguide.models.architectures`.
    adapter : dict
        For ``sam`` alone; see `phaseguide.models.backbones.sam.SamBackbone`.
    """

    architecture: str = "unet"
    encoder: str = "tu-tf_efficientnet_lite0"
    in_channels: int = 1
    decoder: dict[str, Any] = field(default_factory=dict)
    adapter: dict[str, Any] = field(default_factory=dict)

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
        check_backbone(options.architecture, options.encoder, options.decoder, options.adapter)
        check_encoder(options.encoder)
        try:
            self.net = getattr(smp, ARCHITECTURES[options.architecture])(
                encoder_name=options.encoder,
                encoder_weights=None,
                in_channels=options.in_channels,
                classes=n_phases,
                **options.decoder,
            )
        except (LookupError, ValueError, RuntimeError, TypeError, AssertionError) as error:
            raise ModelError(
                f"Cannot build {options.architecture} with encoder {options.encoder!r}: {str(error)[:300]}"
            ) from error
        self.options = options

    @property
    def channels(self) -> list[int]:
        """Channels of the encoder's maps, from fine to coarse, without the image and without empty maps."""
        return [int(c) for c in self.net.encoder.out_channels[1:] if c > 0]

    def encoder_parts(self) -> dict[str, nn.Module]:
        """What of the encoder may learn."""
        return {"encoder": self.net.encoder}

    def decoder_parts(self) -> dict[str, nn.Module]:
        """What of the decoder may learn."""
        return {"decoder": self.net.decoder, "head": self.net.segmentation_head}

    @property
    def takes_prompts(self) -> bool:
        """Whether boxes and points have a say: not in this one."""
        return False

    def decode_prompted(self, features: Features, prompts: Prompts) -> Tensor:
        """Refuse boxes and points."""
        raise ModelError(
            f"Boxes and points cannot guide a {self.options.architecture} model; Segment Anything models "
            "with the mask decoder take them."
        )

    def preferred_tile(self, device_kind: str) -> int:
        """Largest side in the network at once, px: a 1280 px field seen 1.5 times enlarged fits whole."""
        return 1920

    def preferred_overlap(self, tile: int) -> int:
        """Overlap of neighbouring tiles of a side, px: about as far as these networks look."""
        return 128

    @property
    def half_dtype(self) -> str:
        """Name of torch's type for half precision on a GPU."""
        return "float16"

    def share_base(self, other: Backbone | SamBackbone) -> None:
        """Take over what another backbone does not count among its weights: here all is."""

    def load_pretrained(self) -> None:
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


def build_backbone(options: BackboneOptions, n_phases: int) -> Backbone | SamBackbone:
    """Build the backbone that the options name, with fresh weights.

    Raises
    ------
    ModelError
        Unknown architecture or encoder, options that do not go together, or a package that is missing.
    """
    if options.architecture == SAM:
        from phaseguide.models.backbones.sam import SamBackbone

        return SamBackbone(options, n_phases)
    return Backbone(options, n_phases)


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


__all__ = [
    "ARCHITECTURES",
    "SAM",
    "Backbone",
    "BackboneOptions",
    "Features",
    "build_backbone",
    "check_encoder",
    "is_batch_norm",
    "pad_to_stride",
]
