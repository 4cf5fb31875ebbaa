"""The image encoder that runs: timm's, of any input size, with the official weights under its own names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from phaseguide.models.sam.checkpoint import ENCODER
from phaseguide.models.sam.shapes import PATCH, SamShape

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Mean and standard deviation of the RGB values, 0 to 255, that Segment Anything expects."""


def build_encoder(shape: SamShape) -> Any:
    """Build timm's encoder with fresh weights; ``torch.device("meta")`` around the call makes only its shape.

    The norms have the constant of the official model, 1e-6, so that both give the same.
    """
    from timm.models.vision_transformer_sam import VisionTransformerSAM

    encoder = VisionTransformerSAM(
        img_size=shape.image_side,
        patch_size=PATCH,
        num_classes=0,
        embed_dim=shape.width,
        depth=shape.depth,
        num_heads=shape.heads,
        window_size=14,
        use_rel_pos=True,
        global_attn_indexes=shape.global_blocks,
        neck_chans=shape.out_channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),  # type: ignore[arg-type]
    )
    encoder.requires_grad_(False)
    return encoder


def encoder_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of an official checkpoint's encoder under timm's names, not copied."""
    return {
        name.removeprefix(ENCODER).replace("mlp.lin", "mlp.fc"): tensor
        for name, tensor in state.items()
        if name.startswith(ENCODER)
    }


def to_sam_pixels(image: Tensor) -> Tensor:
    """Bring normalised images, shape (B, 1 or 3, H, W), to the RGB values that Segment Anything was trained on."""
    mean = torch.tensor(PIXEL_MEAN, device=image.device, dtype=image.dtype)[:, None, None]
    std = torch.tensor(PIXEL_STD, device=image.device, dtype=image.dtype)[:, None, None]
    return ((image + 1) * 127.5 - mean) / std
