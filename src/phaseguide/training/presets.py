"""Training settings by name: what a run starts from before the user's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phaseguide.errors import TrainingError
from phaseguide.training.config import TrainingConfig

STANDARD, SAM = "standard", "sam"

TRAINING_PRESETS: dict[str, dict[str, Any]] = {
    STANDARD: {},
    # LoRA of rank 512 on queries and values, mask decoder, Phase Learning Module as wide as published, for 40
    # epochs. The encoder has one map to guide. Rates are lower than those of a small network that learns
    # from ImageNet weights: nearly all of this one is trained already.
    SAM: {
        "architecture": "sam",
        "encoder": "vit_b",
        "decoder": {"head": "mask"},
        "adapter": {"rank": 512},
        "guidance": "plm",
        "guidance_options": {"width": 256, "coordinates": False, "delta": 1.0},
        "guidance_scales": 1,
        "guidance_rate": 10.0,
        "epochs": 40,
        "batch": 2,
        "learning_rate": 3e-4,
        "encoder_rate": 1.0,
    },
}
"""Settings that differ from those of `TrainingConfig`."""

SAM_CROPS = {"cpu": 512}
"""Side of the crops in px by kind of device: attention over 1024 px takes a CPU eight times that over 512."""

SAM_CROP = 1024


def training_config(preset: str | None, given: Mapping[str, Any], device_kind: str) -> TrainingConfig:
    """Settings of a preset (None: the one for the architecture) with those that were given on top.

    The kind of device decides how large crops are, and whether memory is saved, where neither is given.
    `TrainingError` for no such preset or setting, a value out of its limits, or a preset for another architecture.
    """
    wanted = given.get("architecture")
    name = preset or (SAM if wanted == "sam" else STANDARD)
    if name not in TRAINING_PRESETS:
        raise TrainingError(
            f"There is no preset {name!r} for a data set. Choose one of {', '.join(TRAINING_PRESETS)}."
        )
    settings = dict(TRAINING_PRESETS[name])
    if name == SAM:
        if wanted not in (None, "sam"):
            raise TrainingError(
                f"Preset {SAM!r} trains Segment Anything, not architecture {wanted!r}. Leave one of the two out."
            )
        settings["crop"] = SAM_CROPS.get(device_kind, SAM_CROP)
        settings["checkpointing"] = device_kind == "cuda"
        if given.get("guidance", settings["guidance"]) != settings["guidance"]:
            # Options of one kind of guidance mean nothing to another.
            del settings["guidance_options"]
    return TrainingConfig(**{**settings, **given})
