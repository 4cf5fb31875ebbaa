"""What every backbone is: ``encode`` (expensive, ratio-free, cached) and ``decode`` (cheap), and what may learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.option_values import IMAGENET

if TYPE_CHECKING:
    from phaseguide.models.sam.prompts import Prompts

STRIDE = 32


@dataclass(frozen=True)
class BackboneOptions:
    """Which backbone to build.

    Attributes
    ----------
    architecture : str
        A key of `phaseguide.models.backbones.registry.BACKBONES`.
    encoder : str
        An encoder of segmentation-models-pytorch (``tu-`` prefixes a timm model); for ``sam`` a size:
        ``vit_b``, ``vit_l`` or ``vit_h``; a published system has its own, whatever is named here.
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


class Backbone(nn.Module, ABC):
    """A network that turns an image into features, and features into scores of K phases.

    Its class takes `BackboneOptions` and K, and is named in `phaseguide.models.backbones.registry`.

    Attributes
    ----------
    options : BackboneOptions
        What it was built from.
    """

    options: BackboneOptions
    stride: int = STRIDE
    """What the network is shown has sides that are multiples of it, px."""

    @property
    @abstractmethod
    def channels(self) -> list[int]:
        """Channels of the encoder's maps, from fine to coarse."""

    @abstractmethod
    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image, shape (B, channels, H, W), of any size of at least 2 x 2."""

    @abstractmethod
    def decode(self, features: Features) -> Tensor:
        """Return logits, shape (B, K, H, W), cropped to the size before padding."""

    @abstractmethod
    def encoder_parts(self) -> dict[str, nn.Module]:
        """What of the encoder may learn."""

    @abstractmethod
    def decoder_parts(self) -> dict[str, nn.Module]:
        """What of the decoder may learn."""

    @abstractmethod
    def load_pretrained(self, weights: str = IMAGENET) -> None:
        """Start from weights that somebody else trained, by name or, for an encoder of the library, a file.

        Raises
        ------
        ModelError
            There are none, or they are not at hand.
        """

    @abstractmethod
    def preferred_tile(self, device_kind: str) -> int:
        """Largest side in the network at once, px."""

    @abstractmethod
    def preferred_overlap(self, tile: int) -> int:
        """Overlap of neighbouring tiles of a side, px."""

    @property
    @abstractmethod
    def half_dtype(self) -> str:
        """Name of torch's type for half precision on a GPU."""

    @property
    def takes_prompts(self) -> bool:
        """Whether boxes and points have a say."""
        return False

    def decode_prompted(self, features: Features, prompts: Prompts) -> Tensor:
        """Return logits as `decode`, guided by boxes and points in px of the image.

        Raises
        ------
        ModelError
            The network takes none.
        """
        raise ModelError(
            f"Boxes and points cannot guide a {self.options.architecture} model; Segment Anything models "
            "with the mask decoder take them."
        )

    def share_base(self, other: Backbone) -> None:
        """Take over what another backbone does not count among its weights; nothing, where all is counted."""

    def frozen_parameters(self) -> int:
        """How many weights of the encoder are no parameters of the backbone, since models share them."""
        return 0


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
