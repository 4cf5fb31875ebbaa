"""A tiny model that takes boxes and points, with random weights, for tests of what happens to them."""

from __future__ import annotations

from pathlib import Path

import torch

from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from tiny_models import NAMES


def prompted_model(folder: Path, base: str, *, guidance: str = "ccrm", head: str = "mask") -> Path:
    """Write a tiny Segment Anything on a base that `sam_files.offer_base` offers; returns its file."""
    options = BackboneOptions("sam", "vit_tiny", 1, {"head": head}, {"rank": 2, "base": base})
    with torch.random.fork_rng():
        torch.manual_seed(5)
        segmenter = GuidedSegmenter(options, GuidanceOptions(guidance), PhaseScheme.from_names(NAMES))
    k = len(NAMES)
    card = Card(
        name=f"tiny-sam-{head}",
        phases=segmenter.scheme.to_dict()["phases"],
        backbone=BackboneCard(**segmenter.backbone.options.to_dict()),
        guidance=GuidanceCard(kind=guidance),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[0.3] * k,
        calibration=CalibrationCard(own_error=[0.3] * k),
    )
    path = folder / f"{card.name}.safetensors"
    save_model(path, segmenter, card)
    return path
