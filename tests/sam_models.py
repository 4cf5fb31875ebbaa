"""Model files of a tiny Segment Anything, for tests that need the whole path."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme

SAM_NAMES = ("ferrite", "pearlite", "carbide")


def sam_model(
    folder: Path,
    base: str,
    name: str = "adapted",
    *,
    rank: int = 4,
    in_channels: int = 1,
    seed: int = 1,
    names: tuple[str, ...] = SAM_NAMES,
) -> Path:
    """Write a model with random adapters on a base of `sam_files.offer_base`: ``<name>.safetensors``."""
    scheme, k = PhaseScheme.from_names(names), len(names)
    options = BackboneOptions("sam", "vit_tiny", in_channels, {}, {"rank": rank, "base": base})
    guidance = GuidanceOptions("plm", {"width": 16, "delta": 1.0})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        segmenter = GuidedSegmenter(options, guidance, scheme).eval()
        segmenter.backbone.load_pretrained()
        for parameter in segmenter.backbone.encoder_parts()["adapters"].parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    card = Card(
        name=name,
        description="A tiny Segment Anything with random adapters.",
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(**options.to_dict()),
        guidance=GuidanceCard(**asdict(guidance)),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[0.3] * k,
        calibration=CalibrationCard(own_error=[0.3] * k),
        model_licence="BSD-3-Clause",
    )
    path = folder / f"{name}.safetensors"
    save_model(path, segmenter, card)
    return path
