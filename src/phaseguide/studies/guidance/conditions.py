"""The conditions that are compared: how each network is trained, and which unguided one it is held against.

One thing differs at a time from the base ``joint``: all at once, the Phase Learning Module of width 256 at the encoder
output, half features and half guidance to begin with, exact ratios. Its last epoch is kept, since a network that never
learnt without a ratio cannot be judged without one. ``published`` is the preset of that name with a network from random
weights, which takes a higher rate and fewer epochs of four times as many windows. Segment Anything is not among them:
low-rank adapters on random weights say nothing of it, and its weights are not part of an installation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phaseguide.studies.networks.training import Condition
from phaseguide.training.presets import TRAINING_PRESETS

NONE = "none"

SMALL: dict[str, Any] = {
    "architecture": "unet",
    "encoder": "tu-regnety_002",
    "decoder": {"encoder_depth": 4, "decoder_channels": [64, 48, 32, 16]},
    "encoder_weights": "none",
    "epochs": 40,
    "crop": 128,
    "batch": 8,
    "encoder_rate": 1.0,
    "composition_weight": 0.43,  # 0.3 to 0.7 of the rest, as published
    "patience": 0,
    "validate_every": 100_000,
    "threads": 1,
}
"""A small U-Net from random weights: 0.54 M parameters, 1.3 M with the module; about four minutes of a thread."""

TOLD: dict[str, Any] = {
    "guidance": "plm",
    "guidance_options": {"width": 256, "gamma": 0.5, "delta": 0.5},
    "guidance_scales": 1,
    "schedule": "joint",
    "ratio_dropout": 0.0,
    "ratio_noise": 0.0,
}
UNTOLD: dict[str, Any] = {"guidance": "none"}

PUBLISHED: dict[str, Any] = {
    **TRAINING_PRESETS["published"],
    **{
        name: SMALL[name]
        for name in ("architecture", "encoder", "decoder", "encoder_weights", "crop", "threads")
    },
    "learning_rate": 1e-3,
    "epochs": 11,
    "test_share": 0.0,  # the fold is the test
}

SHIPPED: dict[str, Any] = {"patience": 0, "threads": 1}
"""The network of the shipped model and its recipe: what a run is without settings."""


def _pair(name: str, what: str, changes: Mapping[str, Any]) -> dict[str, Condition]:
    """The base with some changes, and its unguided twin before it."""
    return {
        f"{NONE}-{name}": Condition(f"unguided, {what}", {**SMALL, **UNTOLD, **changes}),
        name: Condition(f"joint, exact ratios, {what}", {**SMALL, **TOLD, **changes}, f"{NONE}-{name}"),
    }


# A step shows about as many pixels whatever the side, and statistics of batch norms come from as many.
_LARGE = {"frozen_norms_below": 0}
_WITHOUT_SKIPS = {"decoder": {**SMALL["decoder"], "skips": False}}

CONDITIONS: dict[str, Condition] = {
    NONE: Condition("unguided", {**SMALL, **UNTOLD}),
    "joint": Condition("joint, exact ratios", {**SMALL, **TOLD}, NONE),
    f"{NONE}-published": Condition(
        "unguided, otherwise as published",
        {**PUBLISHED, **UNTOLD, "guidance_options": {}, "validation_ratio": "none"},
    ),
    "published": Condition("as published", PUBLISHED, f"{NONE}-published"),
    "joint-noisy": Condition(
        "joint, half of the ratios left out, noise up to 0.5",
        {**SMALL, **TOLD, "ratio_dropout": 0.5, "ratio_noise": 0.5},
        NONE,
    ),
    "staged": Condition(
        "guidance alone on the frozen unguided network",
        {**SMALL, **TOLD, "schedule": "guidance"},
        NONE,
        start=NONE,
    ),
    **_pair("crop-256", "crops of 256 px", {"crop": 256, "batch": 2, **_LARGE}),
    **_pair("crop-384", "crops of 384 px", {"crop": 384, "batch": 1, **_LARGE}),
    **_pair("crop-mixed", "crops of 128, 256 and 384 px", {"crops": [128, 256, 384], "batch": 2, **_LARGE}),
    "ccrm": Condition(
        "joint, exact ratios, ccrm",
        {**SMALL, **TOLD, "guidance": "ccrm", "guidance_options": {"delta": 0.5}},
        NONE,
    ),
    "additive": Condition(
        "joint, exact ratios, additive",
        {**SMALL, **TOLD, "guidance": "additive", "guidance_options": {}},
        NONE,
    ),
    **_pair("no-skips", "U-Net without skips", _WITHOUT_SKIPS),
    f"{NONE}-fpn": Condition("unguided, FPN as shipped", {**SHIPPED, **UNTOLD}),
    "fpn": Condition(
        "joint, exact ratios, FPN as shipped", {**SHIPPED, **TOLD, "validate_every": 100_000}, f"{NONE}-fpn"
    ),
}
"""By name, in the order in which they are trained: an unguided network before those that are held against it."""
