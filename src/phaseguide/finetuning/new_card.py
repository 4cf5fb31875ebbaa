"""The end of a run: the best model with a card that tells what it has learnt from."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import phaseguide
from phaseguide.finetuning.config import FinetuneConfig, find_departures
from phaseguide.finetuning.events import ValidationScores
from phaseguide.finetuning.rehearsal import root_checksum
from phaseguide.finetuning.sources import Source, SourceRow, data_sha256
from phaseguide.finetuning.validation_blocks import Split
from phaseguide.models.card import CalibrationCard, Card
from phaseguide.models.metal import find_metal
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import FLOOR
from phaseguide.segmentation.review.out_of_distribution import TrainingDomain, describe_image

BLOCKS, STROKES = "validation blocks", "validation strokes"
"""What a card calls scores on what was held out, and those of fits that each learnt without a part of the strokes."""

if TYPE_CHECKING:
    from phaseguide.models.segmenter import GuidedSegmenter


def finished_model(
    segmenter: GuidedSegmenter,
    name: str,
    parent: Card,
    sources: Sequence[Source],
    record: dict[str, Any],
    after: ValidationScores | None,
) -> LoadedModel:
    """Put a fine-tuned segmenter and its card together, on the CPU and in evaluation mode; nothing is saved."""
    segmenter = segmenter.to("cpu").to(memory_format=torch.contiguous_format)
    segmenter.requires_grad_(True)
    segmenter.eval()
    card = parent.model_copy(
        update={
            "name": name,
            "description": f"Fine-tuned from {parent.name} on {len(sources)} images.",
            "training": {**record, "root_sha256": root_checksum(parent), "start": parent.training},
            "scores": {} if after is None else {STROKES if record["crossfit"] else BLOCKS: after.to_dict()},
            "calibration": _calibration(parent, anchored=bool(record["config"]["anchor_weight"])),
            "familiarity": parent.familiarity if _same_domain(parent, sources) else None,
            "tensors_sha256": "",
            **_ratios(parent, sources),
        }
    )
    return LoadedModel(segmenter, card, Path())


def begun_record(
    config: FinetuneConfig,
    sources: Sequence[Source],
    rows: Sequence[SourceRow],
    split: Split,
    rehearsed: int,
    parent: Card,
) -> dict[str, Any]:
    """What a record tells of a run before it has learnt, as JSON values."""
    departures = find_departures(config)
    return {
        "config": config.to_dict(),
        "data_sha256": data_sha256(sources),
        "sources": [
            {"name": r.name, "kind": r.kind, "labelled": r.labelled, "shares": list(r.shares)} for r in rows
        ],
        "rehearsal": rehearsed,
        "validation": split.sentence,
        "crossfit": split.n_folds,
        "blocks": split.blocks_by_image,
        "parent": parent.name,
        "parent_sha256": parent.tensors_sha256,
        **({"departures": departures} if departures else {}),
    }


def environment(device: torch.device) -> dict[str, Any]:
    """What a record tells of where a run computed."""
    return {
        "threads": torch.get_num_threads(),
        "device": str(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "phaseguide": phaseguide.__version__,
    }


def _calibration(parent: Card, *, anchored: bool) -> CalibrationCard:
    """What was measured on the parent.

    Its score head fits scores that were held to what they were, and goes on making places comparable where a ratio
    is given (`docs/benchmarks/finetune.md`); those of a model that was free to leave them are others.
    """
    known = parent.calibration
    return CalibrationCard(
        own_error=known.own_error,
        head=known.head if anchored else None,
        source=f"{known.source.removesuffix(', before fine-tuning')}, before fine-tuning",
    )


def _same_domain(parent: Card, sources: Sequence[Source]) -> bool:
    """Whether the images learnt from are like those the parent knows.

    If they are not, the model now knows more kinds of image than its parent's card describes, and a
    warning by that card would be wrong.
    """
    if parent.familiarity is None:
        return False
    usual = TrainingDomain.from_dict(parent.familiarity.model_dump())
    seen = [find_metal(source.image, source.labels) for source in sources]
    described = [describe_image(metal.seen, excluded=metal.excluded) for metal in seen]
    return all(usual.distance(properties) <= usual.threshold for properties in described)


def _ratios(parent: Card, sources: Sequence[Source]) -> dict[str, list[float]]:
    """Mean and spread of the ratios: the parent's, or, for a model that had none, those of the labels."""
    if parent.training:
        return {}
    k = len(parent.phases)
    rows = []
    for source in sources:
        if source.labels is None:
            continue
        counts = np.bincount(source.labels.reshape(-1), minlength=256)[1 : k + 1]
        if counts.sum():
            rows.append(counts / counts.sum())
    if not rows:
        return {}
    table = np.maximum(np.array(rows), FLOOR)
    mean = table.mean(0) / table.mean(0).sum()
    return {
        "training_ratio_mean": mean.tolist(),
        "training_ratio_spread": np.maximum(np.log(table).std(0), 0.3).tolist(),
    }
