"""What is compared: the official package's encoder, a plain LoRA loop over it, and ours on random weights.

The loop is what a person writes in an afternoon: the official modules in single precision, a hand-written LoRA on
queries and values, the official mask decoder with a mask a phase. Nothing in it is slower than it has to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.sam.checkpoint import build_official, official_package
from phaseguide.models.sam.shapes import PATCH, SamShape
from phaseguide.studies.speed.clock import benchmark_image

PHASES = ("a", "b", "c")
"""Of the models that are measured; three, as in the published work."""


def official_encoder(shape: SamShape, tensors: Mapping[str, Tensor], side: int) -> Any:
    """Build the official encoder on given weights (under timm's names), which it shares and does not learn.

    The official encoder takes one side only; for another one, a multiple of 16 px, its position embedding is
    resampled here. Its relative positions are resampled by its own code.
    """
    from timm.layers.pos_embed import resample_abs_pos_embed_nhwc

    with torch.device("meta"):
        encoder = build_official(shape).image_encoder
    state = {name.replace("mlp.fc", "mlp.lin"): tensor for name, tensor in tensors.items()}
    encoder.load_state_dict(state, assign=True)
    tokens = side // PATCH
    if tokens != shape.grid:
        place = resample_abs_pos_embed_nhwc(encoder.pos_embed.detach(), [tokens, tokens])
        encoder.pos_embed = nn.Parameter(place)
    encoder.requires_grad_(False)
    return encoder.eval()


class HandWrittenLora(nn.Module):
    """A fused, frozen projection from d to 3 d with B A added to its queries and values."""

    def __init__(self, fused: nn.Linear, rank: int) -> None:
        super().__init__()
        self.fused = fused
        width = fused.in_features
        self.q_a, self.v_a = (nn.Linear(width, rank, bias=False) for _ in range(2))
        self.q_b, self.v_b = (nn.Linear(rank, width, bias=False) for _ in range(2))
        for layer in (self.q_b, self.v_b):
            nn.init.zeros_(layer.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return queries, keys and values one after the other, shape (..., 3 d)."""
        out: Tensor = self.fused(tokens)
        width = tokens.shape[-1]
        out[..., :width] += self.q_b(self.q_a(tokens))
        out[..., -width:] += self.v_b(self.v_a(tokens))
        return out


class PlainLoraSam(nn.Module):
    """The official modules with a hand-written LoRA; what learns are the adapters and the mask decoder."""

    def __init__(
        self, shape: SamShape, tensors: Mapping[str, Tensor], n_phases: int, rank: int, side: int
    ) -> None:
        super().__init__()
        modeling = official_package()
        c, tokens = shape.out_channels, side // PATCH
        self.encoder = official_encoder(shape, tensors, side)
        for block in self.encoder.blocks:
            block.attn.qkv = HandWrittenLora(block.attn.qkv, rank)
        self.prompts = modeling.PromptEncoder(
            embed_dim=c,
            image_embedding_size=(tokens, tokens),
            input_image_size=(side, side),
            mask_in_chans=16,
        ).requires_grad_(False)
        self.decoder = modeling.MaskDecoder(
            num_multimask_outputs=n_phases,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=c, mlp_dim=8 * c, num_heads=8),
            transformer_dim=c,
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits, shape (B, K, side, side), of pixels as `phaseguide.models.sam.encoder.to_sam_pixels` makes
        them.
        """
        coded = self.encoder(pixels)
        sparse, dense = self.prompts(None, None, None)
        masks, _ = self.decoder(coded, self.prompts.get_dense_pe(), sparse, dense, multimask_output=True)
        logits: Tensor = F.interpolate(masks, pixels.shape[-2:], mode="bilinear", align_corners=False)
        return logits


def build_segmenter(
    encoder: str, rank: int, *, blocks: int = 0, head: str = "mask", guidance: str = "none"
) -> Any:
    """Return a segmenter on random base weights (seed 0), whose adapters are at work (not zero)."""
    from phaseguide.models.backbones.base import BackboneOptions
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
    from phaseguide.phases import PhaseScheme

    torch.manual_seed(0)
    options = BackboneOptions("sam", encoder, 1, {"head": head}, {"rank": rank, "blocks": blocks})
    segmenter = GuidedSegmenter(options, GuidanceOptions(guidance), PhaseScheme.from_names(PHASES))
    for part in segmenter.backbone.encoder_parts().values():
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    return segmenter.eval()


def image_planes(side: int, device: str) -> Any:
    """Return the benchmark's micrograph as the network takes it, shape (1, 1, side, side)."""
    from phaseguide.models.segmenter import normalise_image

    return torch.from_numpy(normalise_image(benchmark_image(side)))[None].to(device)
