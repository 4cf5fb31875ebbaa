"""Judging a model on whole validation images, without a ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import Scores, confusion_matrix, scores_from_confusion
from phaseguide.labels import is_labelled
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.ratios import ratio_from_labels
from phaseguide.segmentation.matching.match import argmax_labels
from phaseguide.training.data import TrainingImage
from phaseguide.training.tiled import decode_field, encode_field


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


def validate(segmenter: GuidedSegmenter, images: Sequence[TrainingImage], device: torch.device) -> Validation:
    """Segment whole images without a ratio and compare with their labels."""
    k = len(segmenter.scheme)
    total = np.zeros((k, k + 1), dtype=np.int64)
    own, true = [], []
    segmenter.eval()
    with torch.inference_mode():
        for item in images:
            image = item.image[None].to(device)
            predicted = argmax_labels(decode_field(segmenter, image, encode_field(segmenter, image)))
            labels = item.labels.numpy()
            total += confusion_matrix(labels, predicted, k)
            seen, truth = ratio_from_labels(predicted[is_labelled(labels)], k), ratio_from_labels(labels, k)
            if seen is not None and truth is not None:
                own.append(seen)
                true.append(truth)
    return Validation(scores_from_confusion(total), np.array(own), np.array(true))
