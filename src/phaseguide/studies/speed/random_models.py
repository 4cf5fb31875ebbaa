"""Models with random weights: speed and memory do not ask what they have learnt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter

NARROW = "narrow (random weights)"


def random_card(name: str, segmenter: GuidedSegmenter, guidance: str) -> Card:
    """Return a card that claims nothing of any phase."""
    from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard

    k = len(segmenter.scheme)
    return Card(
        name=name,
        phases=segmenter.scheme.to_dict()["phases"],
        backbone=BackboneCard(**segmenter.backbone.options.to_dict()),
        guidance=GuidanceCard(kind=guidance),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[0.3] * k,
        calibration=CalibrationCard(own_error=[0.3] * k),
    )


def narrow_model(folder: Path) -> Path:
    """Write a cheap guided model with random weights (seed 0) and four phases into a folder."""
    import torch

    from phaseguide.models.backbones.base import BackboneOptions
    from phaseguide.models.model_file import save_model
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
    from phaseguide.phases import PhaseScheme

    scheme = PhaseScheme.from_names(("a", "b", "c", "d"))
    backbone = BackboneOptions("unet", "tu-lcnet_050", 1, {"decoder_channels": [16, 8, 8, 8, 4]})
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        segmenter = GuidedSegmenter(backbone, GuidanceOptions("additive", {}), scheme)
    path = folder / "narrow.safetensors"
    save_model(path, segmenter, random_card(NARROW, segmenter, "additive"))
    return path
