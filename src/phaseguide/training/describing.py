"""The card of a trained model: what it is, what it learnt from, how well it does on what it did not learn from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from phaseguide.evaluation.calibration import own_error
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.ratios import FLOOR
from phaseguide.training.data import TrainingData, training_domain_card
from phaseguide.training.validation import Validation

PRIOR_IMAGES = 2
"""Imagined images in the calibration of a new model: a handful of validation images tell little."""


def describe_model(
    name: str, segmenter: GuidedSegmenter, data: TrainingData, judged: Validation, record: dict[str, Any]
) -> Card:
    """Return the card of a model that has just been trained, judged on the validation images; ``record`` tells how."""
    ratios = np.array([r for i in data.train if (r := i.ratio(len(data.scheme))) is not None])
    return Card(
        name=name,
        phases=data.scheme.to_dict()["phases"],
        backbone=BackboneCard(**segmenter.backbone.options.to_dict()),
        guidance=GuidanceCard(**dataclasses.asdict(segmenter.guidance_options)),
        training_ratio_mean=ratios.mean(0).tolist(),
        training_ratio_spread=np.log(np.maximum(ratios, FLOOR)).std(0).tolist(),
        calibration=CalibrationCard(
            own_error=own_error(judged.own, judged.true, prior_images=PRIOR_IMAGES).tolist(),
            source=f"{len(judged.own)} validation images",
        ),
        familiarity=training_domain_card(data.train),
        training=record,
        scores={"validation": judged.scores.to_dict(data.scheme)},
    )
