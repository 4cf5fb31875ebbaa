"""Judging a model on labelled crops, without a ratio or with the true one: the same before, during, after learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.errors import is_out_of_memory
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.finetuning.crops import Crop
from phaseguide.finetuning.events import PhaseScore, ValidationScores
from phaseguide.finetuning.feature_cache import FeatureCache, whole
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.matching.match import argmax_labels

AT_ONCE = 4


def validate(
    segmenter: GuidedSegmenter,
    crops: Sequence[Crop],
    cache: FeatureCache | None,
    device: torch.device,
    source: str,
    ratio: Literal["none", "true"] = "none",
) -> ValidationScores | None:
    """Score a model on the labelled pixels of crops, and leave it in evaluation mode; None where there are none.

    Pixels that two crops share count twice. Without a cache of their features they are encoded anew. With
    ``ratio="true"`` the network is told the area shares of each crop that has some.
    """
    if not crops:
        return None
    segmenter.eval()
    try:
        total = _confusion(segmenter, crops, cache, device, ratio, AT_ONCE)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        total = _confusion(segmenter, crops, cache, device, ratio, 1)
    return from_confusion(total, segmenter.scheme.names, source)


def _confusion(
    segmenter: GuidedSegmenter,
    crops: Sequence[Crop],
    cache: FeatureCache | None,
    device: torch.device,
    ratio: Literal["none", "true"],
    at_once: int,
) -> NDArray[np.int64]:
    k = len(segmenter.scheme)
    total = np.zeros((k, k + 1), dtype=np.int64)
    with torch.no_grad():
        for start in range(0, len(crops), at_once):
            part = range(start, min(start + at_once, len(crops)))
            if cache is None:
                image = torch.stack([crops[i].pixels for i in part]).to(device)
                features = whole(segmenter, image.contiguous(memory_format=torch.channels_last))
            else:
                features = cache.completed(segmenter, cache.features(crops, [(i, 0) for i in part]))
            told = torch.stack([crops[i].ratio(k) for i in part]).to(device) if ratio == "true" else None
            scores = segmenter.decode(features, told).float().cpu().numpy()
            for one, i in zip(scores, part, strict=True):
                total += confusion_matrix(crops[i].labels.numpy(), argmax_labels(one), k)
    return total


def from_confusion(total: NDArray[np.int64], names: Sequence[str], source: str) -> ValidationScores:
    """Read a judgement off a confusion matrix, shape (K, K + 1)."""
    scores = scores_from_confusion(total)
    pixels = total.sum(1)
    phases = []
    for k, name in enumerate(names):
        # A phase that the labels do not hold here has no true pixel to find.
        there = pixels[k] > 0
        phases.append(
            PhaseScore(
                name,
                float(scores.dice[k]) if there else None,
                float(scores.iou[k]) if there else None,
                int(pixels[k]),
            )
        )
    known = [s.dice for s in phases if s.dice is not None]
    seen = total[:, : len(names)].sum(0)
    gap = np.abs(seen / max(1, seen.sum()) - pixels / max(1, pixels.sum())).mean()
    return ValidationScores(
        tuple(phases),
        float(np.mean(known)) if known else None,
        float(gap) if pixels.sum() else None,
        int(pixels.sum()),
        source,
    )
