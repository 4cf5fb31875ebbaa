"""Judging a model on labelled images or windows of them, without a ratio or with the true one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.errors import TrainingError
from phaseguide.evaluation.confusion import Scores, confusion_matrix, scores_from_confusion
from phaseguide.labels import is_labelled
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.ratios import ratio_from_labels
from phaseguide.segmentation.matching.match import argmax_labels
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, TrainingImage
from phaseguide.training.losses import crop_ratios
from phaseguide.training.tiled import decode_field, encode_field
from phaseguide.training.windows import plan_windows


@dataclass(frozen=True)
class Validation:
    """Pooled scores, and the own and true composition of each image, shape (n, K)."""

    scores: Scores
    own: NDArray[np.float64]
    true: NDArray[np.float64]

    @property
    def fraction_mae(self) -> float:
        """Mean absolute composition error over images and phases, in [0, 1]."""
        return float(np.abs(self.own - self.true).mean())


def validate(
    segmenter: GuidedSegmenter,
    images: Sequence[TrainingImage],
    device: torch.device,
    ratio: Literal["none", "true"] = "none",
) -> Validation:
    """Segment whole images, and compare with their labels.

    With ``ratio="true"`` the network is told the area shares of each; one that is not labelled all over has none.
    """
    k = len(segmenter.scheme)
    total = np.zeros((k, k + 1), dtype=np.int64)
    own, true = [], []
    segmenter.eval()
    with torch.inference_mode():
        for item in images:
            image = item.image[None].to(device)
            told = crop_ratios(item.labels[None], k)[0] if ratio == "true" else None
            scores = decode_field(segmenter, image, encode_field(segmenter, image), told)
            predicted = argmax_labels(scores)
            labels = item.labels.numpy()
            total += confusion_matrix(labels, predicted, k)
            seen, truth = ratio_from_labels(predicted[is_labelled(labels)], k), ratio_from_labels(labels, k)
            if seen is not None and truth is not None:
                own.append(seen)
                true.append(truth)
    return Validation(scores_from_confusion(total), np.array(own), np.array(true))


def judged_by(
    images: Sequence[TrainingImage], config: TrainingConfig, n_phases: int
) -> tuple[TrainingImage, ...]:
    """What a run is judged by: fields, or windows of them, that have a label, and a ratio where they are shown it.

    `TrainingError` where none has a ratio.
    """
    found = tuple(images)
    if config.windows == "sliding":
        found = tuple(window.cut() for window in plan_windows(images, config.crop, 0.0))
    if config.validation_ratio == "none" or not found:
        return found
    known = tuple(i for i in found if not bool(torch.isnan(crop_ratios(i.labels[None], n_phases)).any()))
    if not known:
        raise TrainingError(
            f"Nothing of the images {', '.join(i.stem for i in images)} is labelled all over, so they cannot judge a "
            "model with their true ratio. Mark what has no phase as excluded (255), choose other images with "
            "--validation, or judge without a ratio (--set validation_ratio=none)."
        )
    return known


def measure(
    segmenter: GuidedSegmenter,
    data: TrainingData,
    config: TrainingConfig,
    device: torch.device,
    known: Validation | None,
) -> dict[str, Validation]:
    """Judge a finished model on images that it has not learnt from, by what they are and what is told of them.

    Always on the validation images as a whole and without a ratio; where the run was judged on windows, or with the
    true ratio, on these too; and once in the same ways on test images. ``known`` is what the run has chosen it by.
    """
    ways = {"": config.changed(windows="random", validation_ratio="none")}
    if config.windows == "sliding":
        ways[" windows"] = config.changed(validation_ratio="none")
    if config.validation_ratio == "true":
        ways[", true ratio"] = config.changed(windows="random")
        if config.windows == "sliding":
            ways[" windows, true ratio"] = config
    found: dict[str, Validation] = {}
    for side, images in (("validation", data.judging), ("test", data.tested)):
        for words, way in ways.items():
            if side == "validation" and way == config and known is not None:
                found[side + words] = known
                continue
            with suppress(TrainingError):  # no whole image may have a ratio where windows do
                judged = judged_by(images, way, len(data.scheme)) if images else ()
                if judged:
                    found[side + words] = validate(segmenter, judged, device, way.validation_ratio)
    return found
