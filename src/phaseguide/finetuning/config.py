"""The one form of a fine-tuning run: defaults, limits, validation, presets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from phaseguide.errors import TrainingError


@dataclass(frozen=True)
class FinetuneConfig:
    """Everything that decides a fine-tuning run, apart from the model and the sources.

    Attributes
    ----------
    parts : {"fast", "adapters", "thorough"}
        ``fast``: guidance, decoder and head learn on encoder features that are computed once for each
        crop, flip and quarter turn. ``adapters``: the adapters of a Segment Anything model learn too, on the
        same turned crops, so that the blocks before the first adapted one run once for each. ``thorough``: all
        of the encoder that may learn does, on freely augmented crops.
    epochs : int
        Passes over the crops around the labels.
    minutes : float
        Stop after so long; 0 for no limit. Only a run without it can be repeated bit for bit.
    crop : int
        Side of the crops in px, a multiple of 32.
    batch : int
        Crops a step.
    learning_rate : float
        Peak rate of decoder, head, guidance and adapters; an encoder without adapters gets ``encoder_rate``
        times it.
    optimiser : {"adamw", "adam"}
    weight_decay : float
    cross_entropy_weight, dice_weight, ratio_weight : float
        Weights of the terms of the loss.
    anchor_weight : float
        Weight of what the model already says about pixels far from any label: who corrects a few places
        has left the others as they are.
    ratio_loss : {"tolerant", "mse"}
        How area shares are compared: in log ratio beyond the tolerance of what was said, or as published.
    average : float
        Decay of the moving average of the weights, which is what is judged and kept; 0 for none.
    rehearsal : float
        Share of the crops taken from the model's original training images where they are at hand,
        against forgetting.
    validation_share : float
        Share of the painted area that is held out, in blocks.
    validation_fields : tuple of str
        Sources that validate as a whole, instead of blocks.
    patience : int
        Stop after so many epochs without a better one; 0 never stops early.
    guidance_start : float or None
        Set gamma and delta of the guidance to this before learning.
    preview_seconds : float
        Least time between two previews.
    seed : int
    device : {"auto", "cpu", "cuda", "mps"}
    threads : int
        CPU threads; 0 leaves one core to the window.
    """

    parts: str = "fast"
    epochs: int = 20
    minutes: float = 0.0
    crop: int = 256
    batch: int = 4
    learning_rate: float = 5e-4
    encoder_rate: float = 0.1
    optimiser: str = "adamw"
    weight_decay: float = 1e-3
    cross_entropy_weight: float = 1.0
    dice_weight: float = 0.5
    ratio_weight: float = 0.3
    anchor_weight: float = 3.0
    ratio_loss: str = "tolerant"
    average: float = 0.95
    rehearsal: float = 0.5
    validation_share: float = 0.2
    validation_fields: tuple[str, ...] = ()
    patience: int = 8
    guidance_start: float | None = None
    preview_seconds: float = 4.0
    seed: int = 0
    device: str = "auto"
    threads: int = 0

    def validate(self) -> None:
        """Raise `TrainingError` naming the first value out of its limits."""
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise TrainingError(f"{name} is {value}; it must lie between {low:g} and {high:g}.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                wanted = f"{', '.join(choices[:-1])} or {choices[-1]}"
                raise TrainingError(f"{name} is {getattr(self, name)!r}; choose {wanted}.")
        if self.crop % 32:
            raise TrainingError(
                f"crop is {self.crop}; it must be a multiple of 32, for example {self.crop // 32 * 32 or 32}."
            )

    def used_threads(self) -> int:
        """CPU threads of the run."""
        return self.threads or max(1, (os.cpu_count() or 2) - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-compatible values."""
        return {**asdict(self), "validation_fields": list(self.validation_fields)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FinetuneConfig:
        """Read what `to_dict` wrote; unknown keys raise `TrainingError`."""
        known = {f.name for f in fields(cls)}
        foreign = sorted(set(data) - known)
        if foreign:
            raise TrainingError(
                f"Unknown fine-tuning setting {', '.join(foreign)}. Known are {', '.join(sorted(known))}."
            )
        return cls(**{**data, "validation_fields": tuple(data.get("validation_fields", ()))})


CHOICES: dict[str, tuple[str, ...]] = {
    "parts": ("fast", "adapters", "thorough"),
    "optimiser": ("adamw", "adam"),
    "ratio_loss": ("tolerant", "mse"),
    "device": ("auto", "cpu", "cuda", "mps"),
}

LIMITS: dict[str, tuple[float, float]] = {
    "epochs": (1, 10_000),
    "minutes": (0.0, 10_000.0),
    "crop": (32, 2048),
    "batch": (1, 256),
    "learning_rate": (1e-8, 1.0),
    "encoder_rate": (0.0, 10.0),
    "weight_decay": (0.0, 1.0),
    "cross_entropy_weight": (0.0, 100.0),
    "dice_weight": (0.0, 100.0),
    "ratio_weight": (0.0, 100.0),
    "anchor_weight": (0.0, 100.0),
    "average": (0.0, 0.9999),
    "rehearsal": (0.0, 0.9),
    "validation_share": (0.0, 0.5),
    "patience": (0, 10_000),
    "preview_seconds": (0.5, 3600.0),
    "threads": (0, 1024),
    "seed": (0, 2**31 - 1),
}

PRESETS: dict[str, FinetuneConfig] = {
    "fast": FinetuneConfig(),
    # Segment Anything has seen crops of 1024 px; smaller ones than these hold too little context for it.
    "adapters": FinetuneConfig(parts="adapters", crop=512, batch=2, learning_rate=3e-4),
    "thorough": FinetuneConfig(parts="thorough", epochs=20, learning_rate=5e-4, encoder_rate=0.3),
    # Phases that no model knew: nothing is there to be forgotten, and everything to be learnt.
    "new steel": FinetuneConfig(
        parts="thorough", epochs=15, learning_rate=1e-3, encoder_rate=0.5, anchor_weight=0.0, rehearsal=0.0,
        patience=0,
    ),
    # Adam 1e-5, batch 8, 40 epochs; Dice + cross-entropy and the mean squared error of the ratio at
    # 0.7 and 0.3; gamma and delta learnt from 0.5 (Phase Learning Module manuscript).
    "as published": FinetuneConfig(
        parts="thorough", epochs=40, batch=8, learning_rate=1e-5, encoder_rate=1.0, optimiser="adam",
        weight_decay=0.0, cross_entropy_weight=0.7, dice_weight=0.7, ratio_weight=0.3, anchor_weight=0.0,
        ratio_loss="mse",
        average=0.0, rehearsal=0.0, patience=0, guidance_start=0.5,
    ),
}  # fmt: skip
"""Settings by name, as the widget and the command line offer them."""


def preset_for(adapter: Mapping[str, Any]) -> str:
    """Name of the preset for improving a model, by its card's entry on adapters."""
    return "adapters" if adapter.get("rank") and not adapter.get("merged") else "fast"
