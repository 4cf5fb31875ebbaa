"""The card of a trained model: what it is, what it learnt from, how well it does on what it did not learn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch

from phaseguide.datasets.label_gaps import describe_training_gaps
from phaseguide.evaluation.calibration import own_error
from phaseguide.models.card import (
    DEFAULT_OWN_ERROR,
    BackboneCard,
    CalibrationCard,
    Card,
    GuidanceCard,
    InferenceCard,
)
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.ratios import FLOOR
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, data_sha256, training_domain_card
from phaseguide.training.presets import find_departures
from phaseguide.training.validation import Validation

PRIOR_IMAGES = 2
"""Imagined images in the calibration of a new model: a handful of validation images tell little."""


def tell_data(data: TrainingData, config: TrainingConfig) -> list[str]:
    """Say what is missing in the labels of a run, and that nothing judges it where that is so."""
    learnt, judged = ({i.stem: i.labels.numpy() for i in side} for side in (data.train, data.validation))
    told = describe_training_gaps(learnt, judged, data.scheme)
    return [*told, *filter(None, [tell_unjudged(data, config)])]


def tell_unjudged(data: TrainingData, config: TrainingConfig) -> str:
    """Say that no image validates, and what judges the model instead; empty where one does."""
    if data.judging:
        return ""
    told = "No image validates, so the last epoch is kept, and patience has no effect"
    if data.tested:
        return f"{told}; the test images say how good the model is."
    if config.crossfit:
        return f"{told}; the models of the folds say how good such a model is."
    return (
        f"{told}; nothing says how good the model is. With folds (--set crossfit=5) the card tells what models score "
        "on images that they have not seen."
    )


def describe_model(
    name: str,
    segmenter: GuidedSegmenter,
    data: TrainingData,
    found: Mapping[str, Validation],
    record: dict[str, Any],
    *,
    mode: Literal["matched", "conditioned"],
) -> Card:
    """Return the card of a model that has just been trained, with what `measure` found; ``record`` tells how."""
    judged, k = found.get("validation"), len(data.scheme)
    ratios = np.array([r for i in data.train if (r := i.ratio(len(data.scheme))) is not None])
    return Card(
        name=name,
        phases=data.scheme.to_dict()["phases"],
        backbone=BackboneCard(**segmenter.backbone.options.to_dict()),
        guidance=GuidanceCard(**dataclasses.asdict(segmenter.guidance_options)),
        training_ratio_mean=ratios.mean(0).tolist(),
        training_ratio_spread=np.log(np.maximum(ratios, FLOOR)).std(0).tolist(),
        calibration=CalibrationCard(own_error=[DEFAULT_OWN_ERROR] * k)
        if judged is None
        else CalibrationCard(
            own_error=own_error(judged.own, judged.true, prior_images=PRIOR_IMAGES).tolist(),
            source=f"{len(judged.own)} validation images",
        ),
        familiarity=training_domain_card(data.train),
        training=record,
        scores={words: one.scores.to_dict(data.scheme) for words, one in found.items()},
        inference=InferenceCard(mode=mode),
    )


def describe_run(config: TrainingConfig, data: TrainingData, device: torch.device) -> dict[str, Any]:
    """What a training record tells of a run beside how it went."""
    departures = find_departures(config)
    return {
        "config": config.to_dict(),
        "images": data.stems,
        "data_sha256": data_sha256(data),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "torch": torch.__version__,
        **({"departures": departures} if departures else {}),
    }
