"""A tiny model with random weights, for tests that need one that runs but not one that knows anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from phaseguide.models.backbones import BackboneOptions
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme

NAMES = ("ferrite", "pearlite", "martensite")


def tiny_model(
    folder: Path,
    guidance: str = "plm",
    *,
    in_channels: int = 1,
    names: tuple[str, ...] = NAMES,
    file_name: str = "tiny.safetensors",
) -> Path:
    """Write a model file and return its path. Its guidance is strong, so that a ratio shows."""
    torch.manual_seed(0)
    scheme = PhaseScheme.from_names(names)
    options: dict[str, Any] = {"width": 16, "coordinates": False, "delta": 1.0} if guidance == "plm" else {}
    segmenter = GuidedSegmenter(
        BackboneOptions("unet", "tu-tf_efficientnet_lite0", in_channels, {"decoder_channels": [16, 16, 8, 8, 8]}),
        GuidanceOptions(guidance, options),
        scheme,
    )
    k = len(names)
    card = Card(
        name="tiny",
        description="Random weights, for tests.",
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(architecture="unet", encoder="", in_channels=in_channels),
        guidance=GuidanceCard(kind=guidance),
        training_ratio_mean=np.full(k, 1 / k).tolist(),
        training_ratio_spread=[0.3] * k,
        calibration=CalibrationCard(own_error=[0.3] * k),
    )
    path = folder / file_name
    save_model(path, segmenter, card)
    return path
