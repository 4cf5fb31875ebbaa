"""Small labelled fields with two textures that a network can learn in a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from phaseguide.models.segmenter import normalise_image
from phaseguide.phases import PhaseScheme
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, TrainingImage

SCHEME = PhaseScheme.from_names(["smooth", "rough"])
TINY = {"decoder_channels": [16, 16, 8, 8, 8]}


def field(seed: int, height: int = 96, width: int = 112) -> TrainingImage:
    """Left part dark and smooth, right part bright and rough; the border moves with the seed."""
    rng = np.random.default_rng(seed)
    border = int(width * rng.uniform(0.3, 0.7))
    labels = np.ones((height, width), dtype=np.uint8)
    labels[:, border:] = 2
    image = np.where(labels == 1, 80, 150) + rng.normal(0, np.where(labels == 1, 4, 30))
    return TrainingImage(f"f{seed}", torch.from_numpy(normalise_image(image)), torch.from_numpy(labels))


def data(count: int = 4) -> TrainingData:
    images = [field(i) for i in range(count)]
    return TrainingData(tuple(images[1:]), tuple(images[:1]), SCHEME)


def write_fields(folder: Path, count: int = 3, size: int = 64) -> Path:
    """Write square fields f0, f1, ... as a data set folder with a scheme."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        item = field(i, size, size)
        grey = ((item.image[0].numpy() + 1.5) / 3 * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / "images" / f"f{i}.png")
        Image.fromarray(item.labels.numpy()).save(folder / "labels" / f"f{i}.png")
    (folder / "scheme.json").write_text(json.dumps(SCHEME.to_dict()))
    return folder


def config(**changes: object) -> TrainingConfig:
    settings: dict[str, object] = {
        "architecture": "unet",
        "encoder": "tu-test_efficientnet",
        "decoder": TINY,
        "encoder_weights": "none",
        "guidance": "plm",
        "guidance_scales": 1,
        "guidance_options": {"width": 8, "coordinates": False},
        "epochs": 2,
        "guidance_epochs": 1,
        "crop": 64,
        "batch": 2,
        "validate_every": 1,
        "patience": 0,
        "threads": 1,
        "device": "cpu",
    }
    if changes.get("guidance", "plm") != "plm":
        settings["guidance_options"] = {}
    return TrainingConfig(**{**settings, **changes})  # type: ignore[arg-type]
