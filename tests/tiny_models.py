"""Small random models and data sets, written as files, for tests that need the whole path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme

DEAF = {"width": 16, "delta": 1.0, "use_ratio_encoder": False}
"""Options of a Phase Learning Module in which no ratio has a part: the published row SA+FA."""

TINY_ENCODER = "tu-test_efficientnet"
"""timm's own encoder for tests: a thirtieth of the weights of the smallest one that people use."""

NAMES = ("ferrite", "carbide network", "Widmanstätten cementite")


def tiny_model(
    folder: Path,
    guidance: str = "plm",
    *,
    guidance_options: dict[str, Any] | None = None,
    names: tuple[str, ...] = NAMES,
    in_channels: int = 1,
    seed: int = 0,
    encoder: str = TINY_ENCODER,
    file_name: str = "",
) -> Path:
    """Write a model with random weights into a folder: ``tiny-<guidance>.safetensors``, or ``file_name``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        segmenter = GuidedSegmenter(
            BackboneOptions("unet", encoder, in_channels, {"decoder_channels": [16, 16, 8, 8, 8]}),
            # As trained guidance does, delta > 0 lets the ratio change the scores.
            GuidanceOptions(
                guidance, guidance_options or ({"width": 16, "delta": 1.0} if guidance == "plm" else {})
            ),
            PhaseScheme.from_names(names),
        )
    k = len(names)
    card = Card(
        name=f"tiny-{guidance}",
        phases=segmenter.scheme.to_dict()["phases"],
        backbone=BackboneCard(architecture="unet", encoder=encoder, in_channels=in_channels),
        guidance=GuidanceCard(kind=guidance),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[0.3] * k,
        calibration=CalibrationCard(own_error=[0.3] * k),
    )
    path = folder / (file_name or f"tiny-{guidance}.safetensors")
    save_model(path, segmenter, card)
    return path


def tiny_image(seed: int = 0, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Grey noise in bands of different brightness, uint8."""
    rng = np.random.default_rng(seed)
    bands = np.repeat(np.linspace(60, 180, 3), int(np.ceil(shape[1] / 3)))[: shape[1]]
    return np.clip(bands + rng.normal(0, 25, shape), 0, 255).astype(np.uint8)


def tiny_labels(shape: tuple[int, int] = (64, 96), n_phases: int = 3) -> np.ndarray:
    """Bands 1..K of equal width, uint8."""
    column = np.minimum(np.arange(shape[1]) * n_phases // shape[1], n_phases - 1) + 1
    return np.broadcast_to(column.astype(np.uint8), shape).copy()


def tiny_dataset(
    folder: Path, count: int = 2, names: tuple[str, ...] | None = NAMES, shape: tuple[int, int] = (64, 96)
) -> Path:
    """Write images/, labels/ and (unless ``names`` is None) scheme.json."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(tiny_image(i, shape)).save(folder / "images" / f"field{i}.png")
        Image.fromarray(tiny_labels(shape)).save(folder / "labels" / f"field{i}.png")
    if names is not None:
        scheme = PhaseScheme.from_names(names).to_dict()
        (folder / "scheme.json").write_text(json.dumps(scheme), encoding="utf-8")
    return folder
