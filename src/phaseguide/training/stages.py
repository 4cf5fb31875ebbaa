"""The stages of a run: which parts learn, on what kind of crops, with or without a ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from phaseguide.models.backbones.base import is_batch_norm
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.ratios import FLOOR
from phaseguide.training.config import TrainingConfig


@dataclass(frozen=True)
class Stage:
    """One stage of a run, with the shares of crops that are shown without a ratio or degraded heavily.

    ``backbone`` learns encoder and decoder without any ratio. ``guidance`` then learns the guidance module alone with
    everything else frozen, so that a missing ratio costs exactly nothing. ``joint`` learns all at once, with ratio
    dropout.
    """

    name: Literal["backbone", "guidance", "joint"]
    epochs: int
    ratio_dropout: float
    degrade: float
    composition_weight: float


def plan_stages(config: TrainingConfig) -> list[Stage]:
    """Derive the stages from a configuration."""
    if config.guidance == "none":
        return [Stage("backbone", config.epochs, 1.0, config.degrade, config.composition_weight)]
    if config.schedule == "joint":
        return [
            Stage("joint", config.epochs, config.ratio_dropout, config.degrade, config.composition_weight)
        ]
    guidance = Stage(
        "guidance", config.guidance_epochs, 0.0, config.guidance_degrade, config.guidance_composition_weight
    )
    if config.schedule == "guidance":
        return [guidance]
    return [Stage("backbone", config.epochs, 1.0, config.degrade, config.composition_weight), guidance]


def prepare(segmenter: GuidedSegmenter, stage: Stage, config: TrainingConfig) -> torch.optim.Optimizer:
    """Freeze what the stage does not teach and make its optimiser."""
    guidance_only = stage.name == "guidance"
    # Gradients left over from the stage before would count when the gradient norm is clipped.
    segmenter.zero_grad(set_to_none=True)
    segmenter.backbone.requires_grad_(not guidance_only)
    segmenter.guidance.requires_grad_(stage.name != "backbone")
    rate = config.learning_rate
    if guidance_only:
        groups = [{"params": list(segmenter.guidance.parameters()), "lr": rate * config.guidance_rate}]
    else:
        encoder = [p for part in segmenter.backbone.encoder_parts().values() for p in part.parameters()]
        held = {id(p) for p in encoder}
        rest = [p for p in segmenter.parameters() if id(p) not in held and p.requires_grad]
        groups = [{"params": encoder, "lr": rate * config.encoder_rate}, {"params": rest, "lr": rate}]
    for group in groups:
        group["peak"] = group["lr"]
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, weight_decay=config.weight_decay)


def set_modes(segmenter: GuidedSegmenter, stage: Stage, config: TrainingConfig) -> None:
    """Put modules in training mode, except the batch norms whose statistics must not move.

    Those of an encoder stay where a step shows few crops; the published batch of 8 moves them.
    """
    segmenter.train()
    if stage.name == "guidance":
        segmenter.backbone.eval()
    elif config.batch < config.frozen_norms_below:
        for part in segmenter.backbone.encoder_parts().values():
            for module in part.modules():
                if is_batch_norm(module):
                    module.eval()


def set_rate(optimiser: torch.optim.Optimizer, step: int, steps: int, schedule: str = "cosine") -> None:
    """Warm up over 30 steps (a tenth of short runs), then follow a half cosine to zero; ``constant`` does neither."""
    if schedule == "constant":
        return
    warm = min(30, max(1, steps // 10))
    factor = min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def noisy_ratios(ratios: Tensor, dropout: float, noise: float, generator: torch.Generator) -> Tensor | None:
    """Ratios (B, K) as a user would give them: with log-normal error of a random size, some left out.

    Each crop draws its own standard deviation in log space from [0, noise]; with no noise the ratios stay exactly what
    they are, zeros included. NaN rows mean no ratio; None when all are.
    """
    b, k = ratios.shape
    spread = torch.rand(b, 1, generator=generator) * noise
    shift = torch.randn(b, k, generator=generator) * spread
    noisy = ratios.clamp_min(FLOOR) * torch.exp(shift)
    noisy = noisy / noisy.sum(1, keepdim=True) if noise else ratios
    dropped = torch.rand(b, 1, generator=generator) < dropout
    noisy = torch.where(dropped, torch.full_like(noisy, torch.nan), noisy)
    return None if bool(torch.isnan(noisy).any(1).all()) else noisy


def read_gauges(guidance: nn.Module) -> dict[str, float]:
    """Return the scalars of guidance that are worth watching, as far as they are numbers."""
    values = {name: float(p.detach()) for name, p in guidance.named_parameters() if p.ndim == 0}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards the model's; early steps count more."""
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, m in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
            if a.is_floating_point():
                a.lerp_(m, 1 - keep)
            else:
                a.copy_(m)
