"""The model that a training run starts with: a new one, another one, or new guidance on the backbone of another."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch

from phaseguide.errors import TrainingError
from phaseguide.models.architectures import ONE_LOGIT, REFINE
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.guidance import GUIDANCE
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, with_guidance
from phaseguide.option_values import NO_WEIGHTS, SYSTEMS
from phaseguide.phases import PhaseScheme
from phaseguide.training.adapters import sam_backbone
from phaseguide.training.config import RECOMMENDED, TrainingConfig

STRENGTHS = ("gamma", "delta")
"""Options of a module that say where it starts."""

_OUTGROWN = (
    "The guidance on scores (refine) of the model to start from was learnt on what that model got wrong, so it is left "
    "out: in the new model a ratio acts by matching."
)


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
    if start is not None and config.schedule != "guidance" and keeps_guidance(start, config):
        return copy.deepcopy(start)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        if start is not None:
            return with_guidance(start, guidance)
        decoder = {
            **({"width": config.width} if config.architecture in SYSTEMS else {}),
            **({ONE_LOGIT: True} if config.one_logit else {}),
            **config.decoder,
        }
        backbone = BackboneOptions(
            config.architecture, config.encoder, channels, decoder, dict(config.adapter)
        )
        model = GuidedSegmenter(backbone, guidance, scheme)
        if (sam := sam_backbone(model)) is not None:
            if config.encoder_weights != NO_WEIGHTS:
                sam.load_pretrained()  # draws numbers where there are more phases than masks
            _ = sam.base  # what is wrong with it is known before the first step
    if sam is None and config.encoder_weights != NO_WEIGHTS:
        model.backbone.load_pretrained(config.encoder_weights)
    return model


def network_alone(start: GuidedSegmenter) -> GuidedSegmenter:
    """Return a copy of a model without its guidance."""
    with torch.random.fork_rng():
        return with_guidance(start, GuidanceOptions("none", {}, 1))


def check_folds_for_refining(config: TrainingConfig) -> None:
    """Raise `TrainingError` for guidance on scores in a run without folds, where no score is of an unseen image."""
    if config.guidance == REFINE:
        raise TrainingError(
            "guidance is 'refine', which is learnt on images that networks have not seen. Add folds: --set "
            "crossfit=5, or --folds FILE."
        )


def keeps_guidance(start: GuidedSegmenter, config: TrainingConfig) -> bool:
    """Whether the guidance of a model to start from is the one that a run asks for; else fresh guidance is learnt."""
    asked = GuidanceOptions(config.guidance, config.guidance_options, config.guidance_scales)
    return is_same_guidance(start.guidance_options, asked)


def is_same_guidance(known: GuidanceOptions, asked: GuidanceOptions) -> bool:
    """Whether guidance is of the kind, at the scales, and of the form that is asked for.

    Without any option asked for, they may be whatever they are; gamma and delta are where a module starts, not its
    form.
    """
    if known.kind != asked.kind or known.kind == "none":
        return known.kind == asked.kind
    same_form = not asked.options or _form(known) == _form(asked)
    return known.scales == asked.scales and same_form


def tell_dropped(start: GuidedSegmenter, config: TrainingConfig) -> str:
    """Say which guidance of a model to start from is not gone on with; empty where it is."""
    if config.schedule != "guidance" and keeps_guidance(start, config):
        return ""
    asked = GuidanceOptions(config.guidance, config.guidance_options, config.guidance_scales)
    return tell_exchanged(start.guidance_options, asked)


def tell_exchanged(known: GuidanceOptions, asked: GuidanceOptions) -> str:
    """Say that a model is given other guidance than it has."""
    if known.kind == "none":
        return f"The model to start from has no guidance; {asked.kind!r} begins as a fresh module."
    if asked.kind == "none" and known.kind == REFINE:
        return _OUTGROWN
    if asked.kind == "none":
        return f"The guidance {known.kind!r} of the model to start from is dropped; it goes on without any."
    return (
        f"The guidance of the model to start from ({known.kind}, scales: {known.scales}) is dropped; a fresh module "
        f"({asked.kind}, scales: {asked.scales}) is learnt in its place."
    )


def usual_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a module, those that are left at their defaults included."""
    usual = {name: p.default for name, p in signature(GUIDANCE[kind]).parameters.items()}
    return {**usual, **options}


def _form(guidance: GuidanceOptions) -> dict[str, Any]:
    """All options of a module but for where it starts."""
    options = usual_options(guidance.kind, guidance.options)
    return {name: value for name, value in options.items() if name not in STRENGTHS}
