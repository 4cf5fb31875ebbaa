"""The model that a training run starts with: a new one, another one, or new guidance on the backbone of another."""

from __future__ import annotations

import copy

import torch

from phaseguide.errors import TrainingError
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, with_guidance
from phaseguide.phases import PhaseScheme
from phaseguide.training.adapters import sam_backbone
from phaseguide.training.config import RECOMMENDED, TrainingConfig


def build_model(
    config: TrainingConfig, scheme: PhaseScheme, channels: int, start: GuidedSegmenter | None = None
) -> GuidedSegmenter:
    """Build it, with the same numbers for the same seed; the process's own randomness stays as it is.

    `TrainingError` for ``schedule="guidance"`` without a model to start from, `ModelError` for options that do not go
    together.
    """
    guidance = GuidanceOptions(
        config.guidance,
        dict(config.guidance_options or RECOMMENDED.get(config.guidance, {})),
        config.guidance_scales,
    )
    if start is None and config.schedule == "guidance":
        raise TrainingError("schedule is 'guidance', so the run needs a trained model to start from.")
    if start is not None and config.schedule != "guidance":
        return copy.deepcopy(start)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        if start is not None:
            return with_guidance(start, guidance)
        backbone = BackboneOptions(
            config.architecture, config.encoder, channels, dict(config.decoder), dict(config.adapter)
        )
        model = GuidedSegmenter(backbone, guidance, scheme)
        if (sam := sam_backbone(model)) is not None:
            if config.imagenet:
                sam.load_pretrained()  # draws numbers where there are more phases than masks
            _ = sam.base  # what is wrong with it is known before the first step
    if sam is None and config.imagenet:
        model.backbone.load_pretrained()
    return model
