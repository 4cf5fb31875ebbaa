"""The networks that are compared: backbone x guidance x schedule, each beside an unguided one that is trained alike.

Names are ``unet-none``, ``unet-plm`` (all at once, exact ratios: as published, the same networks as in ``systems``),
``unet-plm-noisy`` (half of the crops without a ratio, others with noise) and ``unet-plm-staged`` (guidance alone, on
the frozen unguided network). Backbones: ``unet``; ``no-skips``, the same without skip connections, so that all has to
go through the map that is guided; ``fpn``, the network of the shipped model, from ImageNet; ``sam``, Segment Anything
with low-rank adapters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from phaseguide.errors import PhaseguideError
from phaseguide.models.architectures import FPN, SAM
from phaseguide.option_values import IMAGENET, TRAINING
from phaseguide.studies.networks.recipes import recipe, steps
from phaseguide.studies.networks.sam_base import RANKS, SamBase, base_for
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.study import Given, Size
from phaseguide.training.config import DECODERS

NONE = "none"
GUIDANCES = ("additive", "spatial", "plm", "ccrm")
NO_SKIPS = "no-skips"
BACKBONES = ("unet", NO_SKIPS, "fpn", SAM)
SCHEDULES = ("joint", "noisy", "staged")

VARIED = ("architecture", "guidance", "guidance_options", "schedule", "ratio_dropout", "ratio_noise")
"""Settings of which conditions have values of their own."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "additive": {},
    "spatial": {"gamma": 0.7, "delta": 0.3},
    "plm": {"width": 256, "coordinates": True, "gamma": 0.5, "delta": 0.5},
    "ccrm": {"delta": 0.5},
}
"""As published, where that is known: some strength from the start."""

_TOLD: dict[str, dict[str, Any]] = {
    "joint": {},
    "noisy": {"ratio_dropout": 0.5, "ratio_noise": 0.5, "validation_ratio": "none"},
    "staged": {"schedule": "guidance"},
}
_SAID = {
    "joint": "joint, exact ratios",
    "noisy": "joint, half of the ratios left out, noise up to 0.5",
    "staged": "guidance alone on the frozen unguided network",
}


@dataclass(frozen=True)
class Guided(Condition):
    """A condition with its parts by name; no schedule where nothing is guided."""

    guidance: str = NONE
    backbone: str = "unet"
    schedule: str = ""


def name_of(backbone: str, guidance: str = NONE, schedule: str = "joint") -> str:
    """Name of a condition."""
    return f"{backbone}-{guidance}{'' if schedule == 'joint' else f'-{schedule}'}"


def names_of(
    backbones: tuple[str, ...] = BACKBONES, schedules: tuple[str, ...] = SCHEDULES, *, unguided: bool = True
) -> tuple[str, ...]:
    """Names of the conditions of some backbones and schedules, with every guidance."""
    return tuple(
        name
        for b in backbones
        for name in (
            *([name_of(b)] if unguided else []),
            *(name_of(b, guidance, schedule) for guidance in GUIDANCES for schedule in schedules),
        )
    )


@contextmanager
def asked_conditions(given: Given, names: Collection[str]) -> Iterator[dict[str, Guided]]:
    """Those of some conditions that are asked for; as long as this lasts, weights of Segment Anything are found.

    `PhaseguideError` for a setting that would undo what a condition is.
    """
    wanted = [n for n in names if given.conditions is None or n in given.conditions]
    if "decoder" in given.settings and (own := [n for n in wanted if n.startswith(f"{NO_SKIPS}-")]):
        raise PhaseguideError(
            f"--set decoder: {own[0]} has a decoder of its own, without skip connections. Leave the setting out, or "
            "such conditions (--conditions)."
        )
    with base_for(given, [name for name in wanted if name.startswith(f"{SAM}-")]) as base:
        yield {name: c for name, c in conditions_of(given.size, base).items() if name in wanted}


def conditions_of(size: Size, base: SamBase) -> dict[str, Guided]:
    """Return all conditions by name, in the order in which they are trained: an unguided one before its guided ones."""
    found: dict[str, Guided] = {}
    for backbone in BACKBONES:
        note = base.note if backbone == SAM else ""
        changes = _backbone(size, backbone, base)
        architecture = SAM if backbone == SAM else "unet"
        unguided = name_of(backbone)
        found[unguided] = Guided(
            f"unguided {backbone}{note}",
            {**recipe(size, architecture), **changes},
            steps=steps(size),
            backbone=backbone,
        )
        for guidance in GUIDANCES:
            for schedule in SCHEDULES:
                found[name_of(backbone, guidance, schedule)] = Guided(
                    f"{guidance} in {backbone}, {_SAID[schedule]}{note}",
                    {
                        **recipe(size, architecture, "plm"),
                        **changes,
                        "guidance": guidance,
                        "guidance_options": _OPTIONS[guidance],
                        **_TOLD[schedule],
                    },
                    unguided,
                    unguided if schedule == "staged" else "",
                    steps=steps(size),
                    guidance=guidance,
                    backbone=backbone,
                    schedule=schedule,
                )
    return found


def _backbone(size: Size, backbone: str, base: SamBase) -> dict[str, Any]:
    """What differs from the recipe of the U-Net, or of Segment Anything."""
    usual = recipe(size)
    if backbone == NO_SKIPS:
        return {"decoder": {**usual["decoder"], "skips": False}}
    if backbone == "fpn":
        shipped = {"architecture": FPN, "encoder": TRAINING["encoder"], "encoder_weights": IMAGENET}
        return {**shipped, "decoder": DECODERS[FPN]}
    if backbone == SAM:
        return base.settings(RANKS[size])
    return {}
