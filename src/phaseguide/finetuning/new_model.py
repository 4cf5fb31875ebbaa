"""A model for phases that no model knows yet: a fresh decoder on an encoder that has seen the world."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from phaseguide.errors import ModelError
from phaseguide.models.card import DEFAULT_OWN_ERROR, BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import PhaseScheme
from phaseguide.training.config import RECOMMENDED, TrainingConfig

if TYPE_CHECKING:
    from phaseguide.models.segmenter import GuidedSegmenter

DEFAULTS = TrainingConfig()


def new_model(
    scheme: PhaseScheme,
    *,
    start: LoadedModel | None = None,
    channels: int = 1,
    name: str = "model",
    guidance: str = DEFAULTS.guidance,
    seed: int = 0,
) -> LoadedModel:
    """Make an untrained model for the user's own phases.

    Parameters
    ----------
    scheme : PhaseScheme
    start : LoadedModel, optional
        Takes over its encoder, its decoder, and what it knows of phases of the same name. None starts
        from the ImageNet weights that come with the installation, with a fresh decoder.
    channels : int
        1 for grey images, 3 for colour.
    name : str
    guidance : {"ccrm", "plm", "additive", "none"}
        Where there is no ``start``.
    seed : int
        For fresh weights.

    Raises
    ------
    ModelError
        ``start`` was made for another number of channels.
    """
    from phaseguide.models.rephase import origin_by_name, rephase

    if start is not None:
        if start.segmenter.in_channels != channels:
            raise ModelError(
                f"Model {start.card.name!r} was made for {start.segmenter.in_channels} channels, the images have "
                f"{channels}. Start from another model, or from ImageNet."
            )
        model = rephase(start, scheme, origin_by_name(start.card.scheme, scheme), seed=seed)
        return LoadedModel(model.segmenter, model.card.model_copy(update={"name": name}), Path())
    segmenter = _fresh(scheme, channels, guidance, seed)
    k = len(scheme)
    card = Card(
        name=name,
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(**segmenter.backbone.options.to_dict()),
        guidance=GuidanceCard(**asdict(segmenter.guidance_options)),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[1.0] * k,
        calibration=CalibrationCard(own_error=[DEFAULT_OWN_ERROR] * k),
    )
    return LoadedModel(segmenter, card, Path())


def _fresh(scheme: PhaseScheme, channels: int, guidance: str, seed: int) -> GuidedSegmenter:
    import torch

    from phaseguide.models.backbones import BackboneOptions
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter

    c = DEFAULTS
    options = GuidanceOptions(guidance, dict(RECOMMENDED.get(guidance, {})), c.guidance_scales)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = BackboneOptions(c.architecture, c.encoder, channels, dict(c.decoder))
        segmenter = GuidedSegmenter(backbone, options, scheme)
    segmenter.backbone.load_pretrained()
    segmenter.eval()
    return segmenter
