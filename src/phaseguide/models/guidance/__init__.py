"""Guidance: the network part that conditions features on a phase ratio.

One module a kind; `build_guidance` makes any of them from its options.
"""

from __future__ import annotations

from typing import Any

from phaseguide.models.architectures import check_guidance
from phaseguide.models.guidance.additive import AdditiveGuidance
from phaseguide.models.guidance.base import Guidance, NoGuidance
from phaseguide.models.guidance.ccrm import ClassRatioMapping
from phaseguide.models.guidance.plm import PhaseLearningModule
from phaseguide.models.guidance.spatial import SpatialGuidance

GUIDANCE: dict[str, type[Guidance]] = {
    "none": NoGuidance,
    "additive": AdditiveGuidance,
    "spatial": SpatialGuidance,
    "plm": PhaseLearningModule,
    "ccrm": ClassRatioMapping,
}


def build_guidance(
    kind: str, channels: int, n_phases: int, options: dict[str, Any] | None = None
) -> Guidance:
    """Make a guidance module of a kind for C channels and K phases; options are arguments of the kind's class."""
    options = options or {}
    check_guidance(kind, options)
    return GUIDANCE[kind](channels, n_phases, **options)


__all__ = [
    "GUIDANCE",
    "AdditiveGuidance",
    "ClassRatioMapping",
    "Guidance",
    "NoGuidance",
    "PhaseLearningModule",
    "SpatialGuidance",
    "build_guidance",
]
