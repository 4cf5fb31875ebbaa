"""Other guidance than a model has, where a run asks for it: a fresh module on the same backbone."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch

from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.material import Prepared
from phaseguide.models.architectures import REFINE
from phaseguide.models.card import GuidanceCard
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, with_guidance
from phaseguide.training.building import is_same_guidance, tell_exchanged
from phaseguide.training.config import RECOMMENDED, TrainingConfig

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel


def with_asked_guidance(
    model: LoadedModel, config: FinetuneConfig
) -> tuple[LoadedModel, FinetuneConfig, str]:
    """Return a model with the guidance that is asked for, settings to teach it by, and what is to be told, if anything.

    The model itself where it has that guidance already, or none is asked for. The same seed gives the same fresh
    module. That is told of every window what is known of it: held-out blocks would leave hardly one with a ratio.

    Guidance on scores was learnt where the model erred as it was, and has seen nothing of how it will err; it is left
    out unless other guidance is asked for.
    """
    known = model.segmenter.guidance_options
    outgrown = known.kind == REFINE and not config.guidance
    kind = "none" if outgrown else config.guidance or known.kind
    usual = known.scales if kind == known.kind else TrainingConfig.default("guidance_scales")
    scales = config.guidance_scales or min(usual, len(model.segmenter.backbone.channels))
    asked = GuidanceOptions(kind, dict(config.guidance_options), 1 if kind == "none" else scales)
    if is_same_guidance(known, asked):
        return model, config, ""
    told = tell_exchanged(known, asked)
    fresh = replace(asked, options=dict(config.guidance_options or RECOMMENDED.get(kind, {})))
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        segmenter = with_guidance(model.segmenter, fresh).eval()
    card = model.card.model_copy(update={"guidance": GuidanceCard(**asdict(fresh))})
    if not card.guidance.takes_ratio:
        matched = card.inference.model_copy(update={"mode": "matched"})
        card = card.model_copy(update={"inference": matched})
    changed = replace(model, segmenter=segmenter, card=card)
    return changed, config if outgrown else config.changed(ratio_from="all"), told


def check_ratios(prepared: Prepared, segmenter: GuidedSegmenter) -> None:
    """Make sure that fresh guidance has a ratio to learn from, where it takes one; `TrainingError` where none has."""
    material, n_phases = prepared.material, len(segmenter.scheme)
    labelled = material.crops[: material.taught + material.rehearsed]
    shown = any(not bool(torch.isnan(crop.ratio(n_phases)).any()) for crop in labelled)
    told = any(not bool(torch.isnan(ratio).any()) for _, ratio, _ in material.fields.values())
    if shown or told or not segmenter.takes_ratio:
        return
    raise TrainingError(
        f"Fresh guidance ({segmenter.guidance_options.kind}) learns from ratios, but no window of "
        f"{prepared.crop} px is labelled all over, and no field has a full ratio. Label some areas all "
        "over, mark what has no phase as excluded (255), give a field its ratio, take smaller crops, "
        "or choose another preset, which keeps the model's guidance."
    )
