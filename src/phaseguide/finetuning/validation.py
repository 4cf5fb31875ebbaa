"""Counting how a model does on labelled crops, place by place: the same before, during, after learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from phaseguide.errors import is_out_of_memory
from phaseguide.finetuning.crops import Crop, has_labels
from phaseguide.finetuning.feature_cache import FeatureCache, whole
from phaseguide.finetuning.judging.evidence import Counts, add_counts, count_places
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.matching.match import argmax_labels

AT_ONCE = 4


def count_crops(
    segmenter: GuidedSegmenter,
    crops: Sequence[Crop],
    cache: FeatureCache | None,
    device: torch.device,
    ratio: Literal["none", "true"] = "none",
) -> Counts:
    """Count what a model says of the labelled pixels of crops, and leave it in evaluation mode.

    Pixels that two crops share count twice. Without a cache of their features they are encoded anew. With
    ``ratio="true"`` the network is told the area shares of each crop that has some.
    """
    segmenter.eval()
    try:
        return _counted(segmenter, crops, cache, device, ratio, AT_ONCE)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _counted(segmenter, crops, cache, device, ratio, 1)


def _counted(
    segmenter: GuidedSegmenter,
    crops: Sequence[Crop],
    cache: FeatureCache | None,
    device: torch.device,
    ratio: Literal["none", "true"],
    at_once: int,
) -> Counts:
    k = len(segmenter.scheme)
    found = []
    labelled = [i for i, crop in enumerate(crops) if has_labels(crop)]
    with torch.no_grad():
        for start in range(0, len(labelled), at_once):
            part = labelled[start : start + at_once]
            if cache is None:
                image = torch.stack([crops[i].pixels for i in part]).to(device)
                features = whole(segmenter, image.contiguous(memory_format=torch.channels_last))
            else:
                features = cache.completed(segmenter, cache.features(crops, [(i, 0) for i in part]))
            told = torch.stack([crops[i].ratio(k) for i in part]).to(device) if ratio == "true" else None
            scores = segmenter.decode(features, told).float().cpu().numpy()
            for one, i in zip(scores, part, strict=True):
                places = crops[i].places
                assert places is not None
                labels = crops[i].labels.numpy().astype(np.uint8)
                found.append(count_places(labels, argmax_labels(one), places.numpy(), k))
    return add_counts(found)
