"""Training settings by name: what a run starts from before the user's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phaseguide.errors import TrainingError
from phaseguide.training.config import TrainingConfig
from phaseguide.training.departures import PUBLISHED, compare

STANDARD, SAM, BINARY = "standard", "sam", "binary"

_SAM_NETWORK: dict[str, Any] = {
    "architecture": "sam",
    "encoder": "vit_b",
    "decoder": {"head": "mask"},
    "adapter": {"rank": 512},
    "guidance_scales": 1,
    "encoder_rate": 1.0,
}
"""LoRA of rank 512 on queries and values, and the mask decoder; the encoder has one map to guide."""

_STATED: dict[str, Any] = {
    "schedule": "joint",
    "guidance": "plm",
    "guidance_options": {"width": 256, "coordinates": True, "gamma": 0.5, "delta": 0.5},
    "guidance_scales": 1,
    "windows": "sliding",
    "epochs": 40,
    "batch": 8,
    "optimiser": "adam",
    "learning_rate": 1e-5,
    "cross_entropy_weight": 0.7,
    "dice_weight": 0.7,
    "composition_weight": 0.3,
    "composition_loss": "mse",
    "ratio_dropout": 0.0,
    "ratio_noise": 0.0,
    "validation_ratio": "true",
    "validation_share": 0.2,
    "test_share": 0.1,
}
"""What the publication of the Phase Learning Module says of the training. A run that differs says so."""

_PLAIN: dict[str, Any] = {
    "architecture": "unet",
    "decoder": {},
    "augmentation": "plain",
    "rate_schedule": "constant",
    "weight_decay": 0.0,
    "clip_gradient": 0.0,
    "encoder_rate": 1.0,
    "average": 0.0,
    "patience": 0,
    "validate_every": 1,
}
"""What is not said, as plain as it can be: nothing that is not mentioned is added. Of augmentations no more is known to
us than that there were some, so the smallest usual set is taken: quarter turns, mirroring, brightness and contrast,
which leave the ratio of a window what it is. Side and overlap of the windows are not said either, nor the encoder. With
a batch of 8 no batch norm is kept from moving."""

_BINARY: dict[str, Any] = {
    **_PLAIN,
    "architecture": "unet_2015",
    "one_logit": True,
    "guidance": "none",
    "guidance_scales": 1,
    "crop": 768,
    "batch": 16,
    "optimiser": "adam",
    "learning_rate": 1e-4,
    "dice_weight": 0.0,
    "composition_weight": 0.0,
}
"""The U-Net of 2015 for two phases, as it is used on martensite-austenite islands: binary cross-entropy of one logit
and nothing else, Adam at 1e-4, batches of 16. There whole images of 768 x 1024 px are shown; crops here are squares of
the shorter side. What is not known of those runs is as plain as in `_PLAIN`."""

TRAINING_PRESETS: dict[str, dict[str, Any]] = {
    STANDARD: {},
    # A Phase Learning Module as wide as published, for 40 epochs. Rates are lower than those of a small network that
    # learns from ImageNet weights: nearly all of this one is trained already.
    SAM: {
        **_SAM_NETWORK,
        "guidance": "plm",
        "guidance_options": {"width": 256, "coordinates": False, "delta": 1.0},
        "guidance_rate": 10.0,
        "epochs": 40,
        "batch": 2,
        "learning_rate": 3e-4,
    },
    PUBLISHED: {"protocol": PUBLISHED, **_STATED, **_PLAIN},
    BINARY: _BINARY,
}
"""Settings that differ from those of `TrainingConfig`."""

SAM_CROPS = {"cpu": 512}
"""Side of the crops in px by kind of device: attention over 1024 px takes a CPU eight times that over 512."""

SAM_CROP = 1024


def training_config(preset: str | None, given: Mapping[str, Any], device_kind: str) -> TrainingConfig:
    """Settings of a preset (None: the one for the architecture) with those that were given on top.

    The kind of device decides how large crops are, and whether memory is saved, where neither is given.
    `TrainingError` for no such preset or setting, a value out of its limits, or a preset or a setting for another
    architecture.
    """
    wanted = given.get("architecture")
    name = preset or (SAM if wanted == "sam" else STANDARD)
    if name not in TRAINING_PRESETS:
        raise TrainingError(
            f"There is no preset {name!r} for a data set. Choose one of {', '.join(TRAINING_PRESETS)}."
        )
    settings = dict(TRAINING_PRESETS[name])
    if name == SAM and wanted not in (None, "sam"):
        raise TrainingError(
            f"Preset {SAM!r} trains Segment Anything, not architecture {wanted!r}. Leave one of the two out."
        )
    if SAM in (name, wanted):
        settings |= _SAM_NETWORK
        settings["crop"] = SAM_CROPS.get(device_kind, SAM_CROP)
        settings["checkpointing"] = device_kind == "cuda"
    if given.get("guidance", settings.get("guidance")) != settings.get("guidance"):
        # Options of one kind of guidance mean nothing to another.
        settings.pop("guidance_options", None)
    config = TrainingConfig(**{**settings, **given})
    config.check_architecture()
    return config


def find_departures(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings that differ from the protocol that a run follows, each with the two values."""
    if config.protocol != PUBLISHED:
        return {}
    return compare(TrainingConfig(**_STATED).to_dict(), config.to_dict(), _STATED)
