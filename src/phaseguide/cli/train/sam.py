"""What ``phaseguide train`` is told of Segment Anything: ``--from sam:vit_b``, ``--base``, and the preset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phaseguide.errors import ModelError, TrainingError
from phaseguide.option_values import NO_WEIGHTS

if TYPE_CHECKING:
    from phaseguide.training.config import TrainingConfig

SAM = "sam"


def base_checksum(base: str | None) -> str:
    """Checksum of ``--base``: given as such, or that of a file, which is remembered; empty where there is none."""
    from phaseguide.models.sam.weights import add_base, find_base

    if base is None:
        return ""
    checksum = base.strip().lower()
    if re.fullmatch(r"[0-9a-f]{64}", checksum):
        find_base(checksum)
        return checksum
    entry = add_base(base)
    if entry.problem:
        raise ModelError(entry.problem)
    return entry.sha256


def dataset_config(
    preset: str | None,
    given: Mapping[str, Any],
    start: str | None,
    base: str,
    device: str,
    *,
    folds: bool = False,
) -> TrainingConfig:
    """Settings of a run on a data set, checked as far as they can be before images are read.

    ``start`` may be ``sam:vit_b``, which is an encoder and no trained model; ``base`` comes from `base_checksum`.
    ``folds`` says whether the run has fold models, from which guidance on scores can be learnt anew.
    """
    from phaseguide.jobs.finetune_start import sam_size
    from phaseguide.models.architectures import REFINE
    from phaseguide.models.card import GuidanceCard
    from phaseguide.models.model_file import read_card
    from phaseguide.models.zoo import find_model
    from phaseguide.segmentation.network.device import choose_device
    from phaseguide.training.departures import PUBLISHED
    from phaseguide.training.presets import training_config

    size = sam_size(start)
    network: dict[str, Any] = {}
    if size:
        network = {"architecture": SAM, "encoder": size}
    elif start is not None:
        card = read_card(find_model(start))
        known, guidance = card.backbone, card.guidance
        network = {
            "architecture": known.architecture,
            "encoder": known.encoder,
            "decoder": known.decoder,
        }
        same = given.get("guidance", guidance.kind) == guidance.kind
        if same and preset != PUBLISHED and given.get("schedule") != "guidance":
            # What is not asked for stays the start's, if the run can learn it.
            if guidance.kind == REFINE and not (folds and given.get("schedule", "staged") == "staged"):
                guidance = GuidanceCard(kind="none")
            given = {
                "guidance": guidance.kind,
                "guidance_options": guidance.options,
                "guidance_scales": guidance.scales,
                **given,
            }
        if known.architecture == SAM and base:
            raise TrainingError(
                f"--base is for a new model; {start} names its base itself. Leave --base out."
            )
    if start is not None and not size and given.get("encoder_weights", NO_WEIGHTS) != NO_WEIGHTS:
        raise TrainingError(
            f"--encoder-weights is for a new encoder, but {start} brings one that is trained. Leave one of the two out."
        )
    for key, value in network.items():
        if given.get(key, value) != value:
            raise TrainingError(f"--from {start} and {key}={given[key]} differ. Keep one.")
    given = {**given, **network}
    config = training_config(preset, {**given, "device": device}, choose_device(device).kind)
    if config.architecture != SAM:
        if base:
            raise TrainingError(
                f"--base names weights for Segment Anything, but the architecture is {config.architecture}. Add "
                "--preset sam, or leave --base out."
            )
        return config
    if base:
        adapter = {**config.adapter, "base": base}
        config = config.changed(adapter=adapter)
    if start is None or size:  # a trained model names its base itself
        _check_weights(config)
    return config


def _check_weights(config: TrainingConfig) -> None:
    """Make sure that a new model can be saved when it has been trained: its base must be known by a checksum."""
    from phaseguide.models.sam.shapes import OFFICIAL, find_shape
    from phaseguide.models.sam.weights import find_base, find_official

    shape, base = find_shape(config.encoder), config.adapter.get("base")
    if base:
        find_base(base)
    elif shape.name not in OFFICIAL:
        raise TrainingError(
            f"There are no official weights of {shape.name}. Name a file of its weights with --base."
        )
    elif config.encoder_weights == NO_WEIGHTS:
        raise TrainingError(
            "encoder_weights is none, so no weights would be loaded, and adapters on random weights are worth nothing. "
            "Leave it out."
        )
    else:
        find_official(shape.name)
