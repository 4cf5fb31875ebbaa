"""What Segment Anything models need beside others while they learn: half the bytes on a GPU, blocks computed twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch

from phaseguide.errors import TrainingError
from phaseguide.models.architectures import SAM
from phaseguide.models.backbones.base import Features
from phaseguide.models.backbones.sam import SamBackbone
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.network.device import computes_bfloat16
from phaseguide.training.config import TrainingConfig

T = TypeVar("T")


def sam_backbone(segmenter: GuidedSegmenter) -> SamBackbone | None:
    """The backbone of a Segment Anything model, None for any other."""
    return segmenter.backbone if isinstance(segmenter.backbone, SamBackbone) else None


def has_adapters(segmenter: GuidedSegmenter) -> bool:
    """Whether a model has adapters that can learn on a base that stays as it is."""
    return "adapters" in segmenter.backbone.encoder_parts()


def encoded(segmenter: GuidedSegmenter, encode: Callable[[T], Features], value: T) -> Features:
    """Run an encoder, or a part of it, as learning does.

    A Segment Anything encoder runs in bfloat16 where the GPU computes in it, forwards and backwards; what it returns
    is float32 again, so that guidance, decoder and losses are as precise as ever. Any other network, and any on the
    CPU, runs as it is. ``encode`` is the segmenter's own, or `SamBackbone.encode_frozen` or ``encode_adapted``.
    """
    first = value.maps[0] if isinstance(value, Features) else value
    assert isinstance(first, torch.Tensor)
    with _precision(segmenter, first.device):
        features = encode(value)
    return replace(features, maps=[m.float() for m in features.maps])


def use_checkpointing(segmenter: GuidedSegmenter) -> None:
    """Keep only what passes between the encoder's blocks, and compute the rest again for the gradient.

    `TrainingError` for another model than Segment Anything's.
    """
    sam = sam_backbone(segmenter)
    if sam is None:
        raise TrainingError(
            f"checkpointing is true, but a {segmenter.backbone.options.architecture} model has no blocks to compute "
            f"twice; only architecture {SAM} has. Leave it out."
        )
    sam.use_checkpointing(True)


def is_checkpointing(segmenter: GuidedSegmenter) -> bool:
    """Whether `use_checkpointing` is on."""
    sam = sam_backbone(segmenter)
    return sam is not None and bool(sam.encoder.grad_checkpointing)


def _precision(segmenter: GuidedSegmenter, device: torch.device) -> AbstractContextManager[Any]:
    if sam_backbone(segmenter) is not None and device.type == "cuda" and computes_bfloat16("cuda"):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def too_large(config: TrainingConfig, segmenter: GuidedSegmenter) -> str:
    """Say what of a run takes less memory, where a step did not fit."""
    crops = "1 crop" if config.batch == 1 else f"{config.batch} crops"
    less = [f"fewer crops a step (--batch {config.batch // 2})"] if config.batch > 1 else []
    side = max(config.sides)
    if config.crops and side > 32:
        less.append("smaller sides in crops")
    elif side >= 64:
        less.append(f"smaller crops (--crop {side // 64 * 32})")
    if sam_backbone(segmenter) is not None and not is_checkpointing(segmenter):
        less.append("less memory for each, in more time (--set checkpointing=true)")
    advice = f"Take {', or '.join(less)}." if less else "Close other programs, or choose another --device."
    return f"Memory ran out in a step with {crops} of {side} px. {advice}"
