"""The one form of a fine-tuning run: defaults, limits, words, presets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from phaseguide.models.architectures import REFINE
from phaseguide.option_values import SEED, THREADS
from phaseguide.settings import Settings, setting
from phaseguide.training.departures import PUBLISHED, compare


class FinetuneConfig(Settings):
    """Everything that decides a fine-tuning run, apart from the model and the sources.

    ``fast``: guidance, decoder and head learn on encoder features that are computed once for each crop, flip and
    quarter turn. ``adapters``: the adapters of a Segment Anything model learn too, on the same turned crops, so that
    the blocks before the first adapted one run once for each. ``thorough``: all of the encoder that may learn does, on
    freely augmented crops (``augmentation`` *plain*: only turned by quarters and mirrored, brightness and contrast
    varied). ``score head``: the network stays, and the regression on its scores and the grey values around each pixel
    is fitted anew, with `HEAD_SETTINGS` alone (`finetune_head`).

    Where ``guidance`` is given, and the model's is of another kind, at other scales or of another form, a fresh module
    takes its place. What a window is told is its ratio by the labels that teach, so that one with held-out pixels has
    none, or by all of its labels (``ratio_from`` *all*): a ratio is what is said of a window, and no label. With
    ``validation_ratio`` *true* the model is judged while it is told the true area shares of each held-out window that
    is labelled all over.
    """

    kind: ClassVar[str] = "fine-tuning setting"

    protocol: Literal["", "published"] = ""  # what the settings follow; where they differ from it is told
    parts: Literal["fast", "adapters", "thorough", "score head"] = "fast"
    epochs: int = setting(20, low=1, high=10_000)
    minutes: float = setting(
        0.0, low=0.0, high=10_000.0
    )  # 0: no limit; only such a run can be repeated bit for bit
    crop: int = setting(
        256,
        "Crop side",
        "Side of the crops around the labels.",
        low=32,
        high=2048,
        multiple_of=32,
        step=32,
        unit=" px",
    )
    batch: int = setting(4, "Crops a step", "More is steadier and takes more memory.", low=1, high=256)
    learning_rate: float = setting(
        5e-4,
        "Learning rate",
        "Peak rate of decoder, head, guidance and adapters.",
        low=1e-8,
        high=1.0,
        step=1e-4,
        decimals=6,
    )
    encoder_rate: float = setting(
        0.1,
        "Encoder learns",
        "Rate of an encoder without adapters, as a part of the learning rate.",
        low=0.0,
        high=10.0,
        step=0.1,
        decimals=2,
        unit=" ×",
    )
    optimiser: Literal["adamw", "adam"] = "adamw"
    weight_decay: float = setting(1e-3, low=0.0, high=1.0)
    rate_schedule: Literal["cosine", "constant"] = "cosine"  # with a warm-up, or neither
    clip_gradient: float = setting(1.0, low=0.0, high=1000.0)  # largest norm; 0 does not clip
    augmentation: Literal["full", "plain"] = "full"
    rehearsal: float = setting(
        0.5,
        "Rehearsal",
        "Part of each step from the model's original training crops, against forgetting.",
        low=0.0,
        high=0.9,
        step=5,
        percent=True,
    )
    validation_share: float = setting(
        0.2,
        "Held out",
        "Part of the painted area, in blocks, that tests the model and does not teach it, where more than a little is "
        "painted; 0 tests on nothing.",
        low=0.0,
        high=0.5,
        step=5,
        percent=True,
    )
    crossfit: int = setting(
        2,
        "Fits that test",
        "Where little is painted: so many more fits, each tested on strokes that it did not learn from, while the "
        "model learns from all. None holds strokes out instead, which is quicker.",
        low=2,
        high=5,
        automatic=True,
        words={"0": "none"},
    )
    validation_fields: tuple[str, ...] = Field(
        default=(), strict=False
    )  # validate as a whole, instead of blocks
    patience: int = setting(
        8,
        "Patience",
        "Stop after so many epochs without a better one; 0 never.",
        low=0,
        high=10_000,
        unit=" epochs",
    )
    ratio_weight: float = setting(
        0.3,
        "Weight of ratios",
        "How much known ratios count against labels.",
        low=0.0,
        high=100.0,
        step=0.1,
        decimals=2,
    )
    dice_weight: float = setting(
        0.5,
        "Weight of Dice",
        "How much the overlap of areas counts.",
        low=0.0,
        high=100.0,
        step=0.1,
        decimals=2,
    )
    cross_entropy_weight: float = setting(
        1.0,
        "Weight per pixel",
        "How much each labelled pixel counts.",
        low=0.0,
        high=100.0,
        step=0.1,
        decimals=2,
    )
    balance: float = setting(
        0.5, low=0.0, high=1.0
    )  # phases count by their pixels to this power: 1 as painted
    anchor_weight: float = setting(3.0, low=0.0, high=100.0)  # on what it says far from labels
    ratio_loss: Literal["tolerant", "mse"] = "tolerant"  # in log ratio beyond the tolerance, or as published
    average: float = setting(
        0.95,
        "Moving average",
        "Decay of the average of the weights, which is what is kept.",
        low=0.0,
        high=0.9999,
        step=0.01,
        decimals=3,
    )
    guidance: Literal["", "none", "additive", "spatial", "plm", "ccrm"] = ""  # empty: the model's own
    guidance_options: dict[str, Any] = Field(default_factory=dict)  # of a fresh module; empty: as recommended
    guidance_scales: int = setting(0, low=1, high=16, automatic=True)  # 0: the model's own, else up to four
    guidance_start: float | None = None  # of gamma and delta
    ratio_from: Literal["taught", "all"] = (
        "taught"  # labels of a window that make its ratio; a fresh module: all
    )
    ratio_dropout: float = setting(0.5, low=0.0, high=1.0)  # share of crops shown without their ratio
    ratio_noise: float = setting(0.5, low=0.0, high=3.0)  # largest standard deviation in log space; 0: exact
    validation_ratio: Literal["none", "true"] = "none"
    preview_seconds: float = setting(
        4.0, "Preview every", "Least time between two previews.", low=0.5, high=3600.0, decimals=1, unit=" s"
    )
    seed: int = setting(0, low=SEED[0], high=SEED[1])
    threads: int = setting(
        0, "Threads", "CPU threads; 0 leaves one core to the window.", low=THREADS[0], high=THREADS[1]
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto", "Device", "Where the model learns.", words={"auto": "fastest found"}
    )

    @field_validator("guidance", mode="before")
    @classmethod
    def _acts_in_the_network(cls, value: Any) -> Any:
        if value == REFINE:
            raise ValueError(
                "guidance is 'refine', which is learnt from models of folds and so only on a data set (train DATASET "
                "--set crossfit=5). Choose none, additive, spatial, plm or ccrm, or leave it out."
            )
        return value

    def used_threads(self) -> int:
        """CPU threads of the run."""
        return self.threads or max(1, (os.cpu_count() or 2) - 1)


HEAD_SETTINGS = (
    "parts", "validation_share", "crossfit", "validation_fields", "rehearsal", "seed", "threads", "device",
)  # fmt: skip
"""Settings that the preset *score head* uses."""

_STATED: dict[str, Any] = {
    "parts": "thorough", "epochs": 40, "batch": 8, "learning_rate": 1e-5, "optimiser": "adam",
    "cross_entropy_weight": 0.7, "dice_weight": 0.7, "ratio_weight": 0.3, "ratio_loss": "mse", "guidance": "plm",
    "guidance_scales": 1, "guidance_start": 0.5,
    "guidance_options": {"width": 256, "coordinates": True, "gamma": 0.5, "delta": 0.5}, "ratio_from": "all",
    "ratio_dropout": 0.0, "ratio_noise": 0.0, "validation_ratio": "true",
}  # fmt: skip
"""What the publication of the Phase Learning Module says of the training. A run that differs says so."""

_CHANGES: dict[str, dict[str, Any]] = {
    # The fits that judge take their time too. Smaller crops would be quicker, but what is learnt on them says little of
    # the image (`docs/benchmarks/finetune.md`).
    "fast": {"epochs": 8},
    "score head": {"parts": "score head"},
    # Segment Anything has seen crops of 1024 px; smaller ones than these hold too little context for it.
    # Two more fits of its encoder would take too long without a large GPU.
    "adapters": {"parts": "adapters", "crop": 512, "batch": 2, "learning_rate": 3e-4, "crossfit": 0},
    "thorough": {"parts": "thorough", "epochs": 20, "learning_rate": 5e-4, "encoder_rate": 0.3},
    # Phases that no model knew: nothing is there to be forgotten, and everything to be learnt.
    "new steel": {
        "parts": "thorough", "epochs": 15, "learning_rate": 1e-3, "encoder_rate": 0.5, "anchor_weight": 0.0,
        "rehearsal": 0.0, "patience": 0,
    },
    # The Phase Learning Module at the encoder's output, told the exact ratio of every window; Adam 1e-5, batch 8, 40
    # epochs; Dice + cross-entropy and the mean squared error of each window's ratio at 0.7 and 0.3; gamma and delta
    # learnt from 0.5 (Phase Learning Module manuscript). What is not said there is left out.
    "as published": {
        **_STATED, "protocol": PUBLISHED, "encoder_rate": 1.0, "weight_decay": 0.0, "anchor_weight": 0.0,
        "average": 0.0, "rehearsal": 0.0, "patience": 0, "rate_schedule": "constant", "clip_gradient": 0.0,
        "augmentation": "plain", "balance": 1.0, "crossfit": 0,
    },
}  # fmt: skip


class _Presets(Mapping[str, FinetuneConfig]):
    """Makes each when it is asked for, so that a help text that only names them need not wait."""

    def __getitem__(self, name: str) -> FinetuneConfig:
        return FinetuneConfig(**_CHANGES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(_CHANGES)

    def __len__(self) -> int:
        return len(_CHANGES)


PRESETS: Mapping[str, FinetuneConfig] = _Presets()
"""Settings by name, as the widget and the command line offer them."""


def find_departures(config: FinetuneConfig) -> dict[str, Any]:
    """Return the settings that differ from the protocol that a run follows, each with the two values."""
    if config.protocol != PUBLISHED:
        return {}
    return compare(FinetuneConfig(**_STATED).to_dict(), config.to_dict(), _STATED)


def preset_for(adapter: Mapping[str, Any]) -> str:
    """Name of the preset for improving a model, by its card's entry on adapters."""
    return "adapters" if adapter.get("rank") and not adapter.get("merged") else "fast"


UNKNOWN_THEN: dict[str, Any] = {"crossfit": 0}
"""What settings were, in effect, in a run of a version that did not have them yet, where that is not the default."""


def config_of_then(told: Mapping[str, Any]) -> FinetuneConfig:
    """Read the settings of a run that an earlier version may have begun; errors as `FinetuneConfig.from_dict`."""
    return FinetuneConfig.from_dict({**UNKNOWN_THEN, **told})
