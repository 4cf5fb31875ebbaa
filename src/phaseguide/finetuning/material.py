"""From sources to material: checks, the split into teaching and judging, crops, tiles of fields with a ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from phaseguide.errors import TrainingError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.crops import Crop, field_crops, label_crops, only_places, without_places
from phaseguide.finetuning.learner import Material
from phaseguide.finetuning.sources import Source, SourceRow, describe_sources
from phaseguide.finetuning.validation_blocks import Split, block_history, split_labels
from phaseguide.training.adapters import has_adapters

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel

SMALLEST_CROP = 64

JUDGED = 512
"""Side of the windows that judge, in px, or as large as the image. Decoders normalise over a window, so that small ones
would judge what a model says of a crop, and not what it says of the image."""

FEWEST_STEPS = 8
"""Steps of an epoch, however few crops there are."""


@dataclass(frozen=True)
class Fold:
    """What one fit of a cross-fitting learns from and is judged by; windows and their order are those of the run."""

    material: Material
    judged: list[Crop]


@dataclass(frozen=True)
class Prepared:
    """What a run learns from and is judged by; small images make the crop side (px) smaller than asked.

    ``judged`` are all crops with labels that judge; where these are cross-fitted, ``folds`` tells who judges by which.
    """

    rows: list[SourceRow]
    split: Split
    material: Material
    judged: list[Crop]
    crop: int
    folds: tuple[Fold, ...] = ()


def steps_an_epoch(material: Material, config: FinetuneConfig) -> int:
    """Steps in which every crop around a label can be seen once, besides rehearsal."""
    new = config.batch - round(config.batch * config.rehearsal) if material.rehearsed else config.batch
    return max(FEWEST_STEPS, -(-material.taught // max(1, new)))


def check_sources(
    model: LoadedModel, sources: Sequence[Source], config: FinetuneConfig
) -> tuple[list[SourceRow], Split]:
    """Check everything that can be checked before pixels are cut; `TrainingError` for what cannot be learnt from."""
    if config.parts == "adapters" and not has_adapters(model.segmenter):
        raise TrainingError(
            f"Model {model.card.name!r} ({model.card.backbone.architecture}) has no adapters that could learn. Choose "
            "the preset fast or thorough for it, or a Segment Anything model with adapters."
        )
    scheme = model.card.scheme
    rows = describe_sources(sources, scheme)
    problems = [f"{row.name}: {row.problem}" for row in rows if row.problem]
    if problems:
        raise TrainingError(" ".join(problems))
    if not sources:
        raise TrainingError(
            "There is nothing to learn from. Paint some phases on an edits layer, or choose labels."
        )
    channels = model.segmenter.in_channels
    for source in sources:
        found = 1 if source.image.ndim == 2 else source.image.shape[2]
        if found != channels:
            raise TrainingError(
                f"{source.name}: has {found} channels, but model {model.card.name!r} was made for {channels}. "
                "Choose another model, or images of one kind."
            )
    missing = sorted(set(config.validation_fields) - {s.name for s in sources})
    if missing:
        raise TrainingError(
            f"There is no source {', '.join(missing)} to validate on. Sources: {', '.join(s.name for s in sources)}."
        )
    split = split_labels(
        sources,
        len(scheme),
        share=config.validation_share,
        fields=config.validation_fields,
        history=block_history(model.card),
        crossfit=config.crossfit,
        seed=config.seed,
    )
    taught = any(labels is not None and labels.any() for labels in split.teach)
    if not taught and all(s.ratio is None or s.name in config.validation_fields for s in sources):
        raise TrainingError(
            "Every labelled source validates, so there is nothing to learn from. Leave one out of the validation."
        )
    return rows, split


def prepare(
    model: LoadedModel,
    sources: Sequence[Source],
    rehearsal: Sequence[Source],
    config: FinetuneConfig,
    crop: int,
) -> Prepared:
    """Cut crops; errors as `check_sources`."""
    rows, split = check_sources(model, sources, config)
    zooms = sorted({view.zoom for view in model.card.inference.views})
    largest = max(max(s.image.shape[:2]) for s in sources) * max(zooms)
    crop = min(crop, 32 * max(2, -(-int(largest) // 32)))
    crops = label_crops(sources, split.teach, crop, zooms, split.places if split.folds else None)
    taught = len(crops)
    if config.rehearsal:
        crops += label_crops(rehearsal, [s.labels for s in rehearsal], crop, (1.0,))
    rehearsed = len(crops) - taught
    fields: dict[str, tuple[list[int], torch.Tensor, float]] = {}
    if config.ratio_weight:
        told = [replace(s, ratio=None) if s.name in config.validation_fields else s for s in sources]
        for tile in field_crops(told, crop):
            ratio = told[tile.ratio_of].ratio
            assert ratio is not None
            values = torch.tensor([float("nan") if share is None else share for share in ratio])
            name = told[tile.ratio_of].group or f"field {tile.ratio_of}"
            fields.setdefault(name, ([], values, told[tile.ratio_of].tolerance))[0].append(len(crops))
            crops.append(tile)
    whole = 32 * max(2, -(-max(max(s.image.shape[:2]) for s in sources) // 32))
    # A window that is told its ratio is of the side that the ratio was learnt at.
    side = crop if config.validation_ratio == "true" else max(crop, min(JUDGED, whole))
    judged = label_crops(sources, split.judge, side, (1.0,), split.places)
    material = Material(crops, taught, rehearsed, fields)
    folds = tuple(_fold(material, judged, split, number) for number in range(split.n_folds))
    return Prepared(rows, split, material, judged, crop, folds)


def _fold(material: Material, judged: Sequence[Crop], split: Split, number: int) -> Fold:
    """What the others teach, and what this fold judges."""
    mine = torch.tensor(split.folds) == number
    taught, rest = material.crops[: material.taught], material.crops[material.taught :]
    return Fold(replace(material, crops=[*without_places(taught, mine), *rest]), only_places(judged, mine))
