"""The guided segmenter: a backbone with guidance between its encoder and its decoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.architectures import REFINE, takes_ratio
from phaseguide.models.backbones.base import BackboneOptions, Features
from phaseguide.models.backbones.registry import build_backbone
from phaseguide.models.guidance import build_guidance
from phaseguide.models.refinement import ScoreRefinement, build_refinement
from phaseguide.phases import PhaseScheme

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.sam.prompts import Prompts


@dataclass(frozen=True)
class GuidanceOptions:
    """Which guidance to build.

    Attributes
    ----------
    kind : str
        A key of `phaseguide.models.guidance.GUIDANCE`, which acts on features, or ``refine``, which acts on scores
        (`phaseguide.models.refinement.ScoreRefinement`).
    options : dict
        Keyword arguments of its class.
    scales : int
        How many of the encoder's maps are guided, from the coarsest (the encoder output, as
        published) to finer ones, each by a module of its own. A decoder with skip connections may
        ignore its coarsest map altogether, and with it a guidance that acts only there.
    """

    kind: str = "plm"
    options: dict[str, Any] = field(default_factory=dict)
    scales: int = 1


class GuidedSegmenter(nn.Module):
    """Segment an image into phases, with or without a ratio.

    ``decode(encode(image), ratio)`` is the whole model. The encoder never sees the ratio, so its
    features are computed once an image and every further ratio costs one decode. A model whose guidance is ``refine``
    is not decoded again at all: the ratio acts on its scores, and `decode` takes it for none.

    Parameters
    ----------
    backbone : BackboneOptions
    guidance : GuidanceOptions
    scheme : PhaseScheme
    """

    def __init__(self, backbone: BackboneOptions, guidance: GuidanceOptions, scheme: PhaseScheme) -> None:
        super().__init__()
        self.scheme = scheme
        self.guidance_options = guidance
        self.backbone = build_backbone(backbone, len(scheme))
        channels = self.backbone.channels
        if not 1 <= guidance.scales <= len(channels):
            raise ModelError(
                f"guidance at {guidance.scales} scales: {backbone.encoder} has {len(channels)} maps to guide."
            )
        acts_on_scores = guidance.kind == REFINE
        self.guidance = nn.ModuleList(
            build_guidance(guidance.kind, c, len(scheme), guidance.options)
            for c in ([] if acts_on_scores else channels[::-1][: guidance.scales])
        )
        self.refinement: ScoreRefinement | None = (
            build_refinement(len(scheme), guidance.options) if acts_on_scores else None
        )

    @classmethod
    def from_card(cls, card: Card) -> GuidedSegmenter:
        """Build what a card describes, with fresh weights."""
        backbone = BackboneOptions(**card.backbone.model_dump())
        return cls(backbone, GuidanceOptions(**card.guidance.model_dump()), card.scheme)

    @property
    def in_channels(self) -> int:
        """Channels of the images the model was made for."""
        return self.backbone.options.in_channels

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image, shape (B, in_channels, H, W); independent of any ratio."""
        return self.backbone.encode(image)

    @property
    def takes_prompts(self) -> bool:
        """Whether boxes and points can guide the decoder."""
        return self.backbone.takes_prompts

    @property
    def takes_ratio(self) -> bool:
        """Whether a ratio changes what the model makes of an image; as `GuidanceCard.takes_ratio`."""
        return takes_ratio(self.guidance_options.kind, self.guidance_options.options)

    def decode(
        self, features: Features, ratio: Tensor | None = None, prompts: Prompts | None = None
    ) -> Tensor:
        """Return logits, shape (B, K, H, W).

        Parameters
        ----------
        features : Features
            From `encode`.
        ratio : Tensor, shape (B, K), or None
            Rows sum to 1; NaN rows, or None, mean no ratio.
        prompts : Prompts, optional
            Boxes and points in px of the image that was encoded, the same for all samples.

        Raises
        ------
        ModelError
            Prompts for a decoder that takes none.
        """
        maps = list(features.maps)
        for level, module in enumerate(self.guidance, start=1):
            maps[-level] = module(maps[-level], ratio)
        guided = replace(features, maps=maps)
        if prompts is None or not len(prompts):
            return self.backbone.decode(guided)
        return self.backbone.decode_prompted(guided, prompts)

    def forward(self, image: Tensor, ratio: Tensor | None = None) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(image), ratio)


def with_guidance(segmenter: GuidedSegmenter, guidance: GuidanceOptions) -> GuidedSegmenter:
    """Return a new segmenter with the backbone of another one, weights included, and fresh guidance."""
    new = GuidedSegmenter(segmenter.backbone.options, guidance, segmenter.scheme)
    new.backbone.load_state_dict(segmenter.backbone.state_dict())
    new.backbone.share_base(segmenter.backbone)
    return new


def intensity_limits(image: NDArray[Any], excluded: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentiles of the finite pixels (of a regular sample in large images).

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, C)
    excluded : ndarray of bool, shape (H, W), optional
        Pixels that do not count.
    """
    step_y, step_x = (max(1, n // 1024) for n in image.shape[:2])
    sample = np.asarray(image[::step_y, ::step_x], dtype=np.float32)
    if excluded is not None:
        counts = ~excluded[::step_y, ::step_x]
        # Few pixels that count may all lie between those of the sample.
        sample = sample[counts] if counts.any() else np.asarray(image[~excluded], dtype=np.float32)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = np.percentile(sample, (0.5, 99.5))
    return float(low), float(high)


def normalise_image(
    image: NDArray[Any], limits: tuple[float, float] | None = None, *, invert: bool = False
) -> NDArray[np.float32]:
    """Bring an image of any brightness to the range the networks know, about [-1, 1].

    The limits are mapped to -1 and 1 and the rest clipped to [-1.5, 1.5], so that 8-bit, 16-bit and
    float images of one field look alike. One map for all colour channels.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, C)
        Pixels that are not finite count as darkest.
    limits : tuple of float, optional
        From `intensity_limits` of the whole image; give them when ``image`` is a tile of it.
    invert : bool
        Exchange dark and bright (other detector, or light instead of electron micrograph).

    Returns
    -------
    ndarray of float32, shape (C, H, W)
    """
    low, high = limits if limits is not None else intensity_limits(image)
    pixels = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=low, posinf=high, neginf=low)
    scaled = np.clip((pixels - low) / max(high - low, 1e-12) * 2 - 1, -1.5, 1.5)
    if invert:
        scaled = -scaled
    planes = scaled[None] if scaled.ndim == 2 else np.moveaxis(scaled, -1, 0)
    return np.ascontiguousarray(planes, dtype=np.float32)
