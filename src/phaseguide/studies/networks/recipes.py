"""How the networks of the named studies are trained: the published way, in small and in full.

It is the preset ``published`` (all at once, exact ratios, all windows of a grid, Adam at a constant rate) with what a
network from random weights needs: a higher rate. Nobody's test images are taken from the training ones, since the
split tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phaseguide.models.architectures import NNUNET, SAM
from phaseguide.option_values import SYSTEMS
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.report import set_lines
from phaseguide.studies.study import Size
from phaseguide.training.presets import TRAINING_PRESETS

SMALL_STEPS = 1000
"""Batches of 8 windows of 128 px: five to ten minutes of one thread with the networks of `SMALL_NETWORKS`."""

FULL_RATE = 3e-4
"""Adam's at full size: 1e-5, as published, hardly moves a network from random weights."""

SMALL_WIDTH = 0.125
_LIBRARY = ("unet", "unetplusplus")
_ENCODER = {
    "encoder": "tu-regnety_002",
    "decoder": {"encoder_depth": 4, "decoder_channels": [64, 48, 32, 16]},
    "encoder_weights": "none",
}
"""0.54 M parameters, 1.3 M with a Phase Learning Module."""

SMALL_NETWORKS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(_LIBRARY, _ENCODER),
    **{name: {"width": SMALL_WIDTH} for name in SYSTEMS},
    "unet3plus": {"width": SMALL_WIDTH / 2},  # its decoder sees every level at every level
    "elunet": {"width": 0.5},  # has 8 channels at full size; no layer has less than 4
    NNUNET: {"width": SMALL_WIDTH, "decoder": {"stages": 6}},
}

GUIDED: dict[str, dict[str, Any]] = {
    "none": {"guidance": "none", "guidance_options": {}, "validation_ratio": "none"},
    "plm": {},
    "ccrm": {"guidance": "ccrm", "guidance_options": {"delta": 0.5}},
}
"""What differs from the preset by kind of guidance; the module acts at the encoder's output alone."""


def recipe(size: Size, architecture: str = "unet", guidance: str = "none") -> dict[str, Any]:
    """Return the settings of a training; in small the epochs follow from `SMALL_STEPS`."""
    settings: dict[str, Any] = {
        **TRAINING_PRESETS["published"],
        "architecture": architecture,
        "test_share": 0.0,
        "threads": 1,
    }
    if architecture == SAM:
        settings |= {"crop": 128, "learning_rate": 1e-3} if size == "small" else {"crop": 512}
    elif size == "small":
        settings |= {**SMALL_NETWORKS[architecture], "crop": 128, "learning_rate": 1e-3}
    else:
        settings |= {"encoder_weights": "none", "learning_rate": FULL_RATE, "threads": 0}
    return settings | GUIDED[guidance]


RATES: dict[str, str] = {
    "small": "at a rate of 1e-3 instead of 1e-5; networks are narrow, windows 128 px",
    "full": "at a rate of 3e-4 instead of 1e-5; Segment Anything from its own weights, at 1e-5",
}


def trained_how(numbers: Mapping[str, Any]) -> list[str]:
    """Return the lines that say by which recipe the networks of a report were trained, and what was set beside it."""
    return [
        f"Size {numbers['size']}, seeds {', '.join(map(str, numbers['seeds']))}. Networks are trained by the recipe "
        "`published`, but from random weights where a row does not say otherwise, and therefore "
        f"{RATES[numbers['size']]}.",
        *set_lines(numbers),
    ]


def steps(size: Size) -> int:
    """Return the batches of a training that `Condition` wants; 0, as many epochs as published, in full."""
    return SMALL_STEPS if size == "small" else 0


def pair_of(
    size: Size,
    architecture: str,
    changes: Mapping[str, Any],
    guidances: tuple[str, ...] = tuple(GUIDED),
    note: str = "",
) -> dict[str, Condition]:
    """Return a condition for each guidance of an architecture, the unguided one first, as ``unet-plm``."""
    return {
        f"{architecture}-{guidance}": Condition(
            f"{architecture}, {guidance if guidance != 'none' else 'unguided'}{note}",
            {**recipe(size, architecture, guidance), **changes},
            "" if guidance == "none" else f"{architecture}-none",
            steps=steps(size),
        )
        for guidance in guidances
    }
