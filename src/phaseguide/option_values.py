"""Values of settings that a command shows before it runs. They are plain, so that ``--help`` loads no form."""

from __future__ import annotations

from typing import Any

SEED = (0, 2**31 - 1)
THREADS = (0, 1024)
TILE = (256, 8192)
"""Side of a tile in px."""

EMBEDDINGS_GB = 10.0
"""What is kept on disk of all images, unless more or less is asked for."""

MICRONET, IMAGE_MICRONET, IMAGENET, NO_WEIGHTS = "micronet", "image-micronet", "imagenet", "none"
ENCODER_WEIGHTS = (MICRONET, IMAGE_MICRONET, IMAGENET, NO_WEIGHTS)
"""What an encoder of segmentation-models-pytorch can start from, by name; anything else is a file."""

SAM_BASE = "base"
"""What a model of Segment Anything starts from: its base weights, chosen otherwise."""

TRAINING: dict[str, Any] = {
    "architecture": "fpn", "encoder": "tu-tf_efficientnet_lite1", "guidance": "ccrm", "epochs": 45, "crop": 256,
    "batch": 4, "learning_rate": 1.5e-3, "patience": 6, "seed": 0, "threads": 0, "encoder_weights": IMAGENET,
}  # fmt: skip
"""Settings of a training run that are options of their own."""

SYSTEMS = ("unet_2015", "attention_unet", "unet3plus", "nnunet", "transunet", "uctransnet", "elunet")
"""Architectures that are published systems, with encoders of their own."""

ARCHITECTURE_NAMES = (
    "unet",
    "unetplusplus",
    "fpn",
    "fpn-fine",
    "deeplabv3plus",
    "segformer",
    *SYSTEMS,
    "sam",
)

TRAINING_PRESETS = ("standard", "sam", "published", "binary")
FINETUNE_PRESETS = ("fast", "score head", "adapters", "thorough", "new steel", "as published")
