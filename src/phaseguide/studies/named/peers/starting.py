"""What the methods start from: a network that knows no phase, one of the other folds, and the weight of a term."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import check_same_scheme
from phaseguide.events import Progress
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import ratio_from_labels
from phaseguide.studies.finetune.data import Field, read_fields
from phaseguide.studies.finetune.random_forest import pixel_features
from phaseguide.studies.named.peers.boosted import BoostedTrees, BoostingOptions
from phaseguide.studies.named.peers.painting import paint
from phaseguide.studies.networks.splits import Split, StudyData
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit.fold_models import FoldTask, train_fold
from phaseguide.training.crossfit.folds import model_path
from phaseguide.training.data import load_images, seen_images, split_images

SHIPPED: dict[str, Any] = {"patience": 0, "threads": 1}
"""The network of the model `uhcs` and its recipe: what a run is without settings."""

WEIGHTS = (0.1, 1.0, 10.0, 100.0)
"""Weights of the volume-fraction term that are tried."""

TRIED_ON = 2
"""Training images that they are tried on, the first of the split."""


def weight_by_training_images(
    data: StudyData, split: Split, options: BoostingOptions, seed: int
) -> Generator[Any, None, float]:
    """Choose the weight of the volume-fraction term by the Dice on training images, with their true ratios.

    Yields progress; returns the weight. So the method is given its best chance, and no test image chooses.
    """
    k = len(data.scheme)
    fields: Sequence[Field] = read_fields(data.dataset, tried_on(split), data.scheme)
    dices: dict[float, list[float]] = {weight: [] for weight in WEIGHTS}
    for number, one in enumerate(fields):
        painted, features = paint(one, k, seed), pixel_features(one.image)
        true = ratio_from_labels(one.truth, k)
        for weight, found in dices.items():
            yield Progress("Choosing the weight of the volume-fraction term", number, len(fields))
            trees = BoostedTrees(k, options, weight=weight, seed=seed)
            trees.fit(features, painted.marks, true)
            table = confusion_matrix(painted.unpainted_truth, trees.predict(features), k)
            found.append(scores_from_confusion(table).dice_mean)
    return max(WEIGHTS, key=lambda weight: float(np.mean(dices[weight])))


def tried_on(split: Split) -> tuple[str, ...]:
    """Training images that weights are tried on."""
    return split.train[:TRIED_ON]


def pretrained(data: StudyData, name: str, out: Path, seed: int) -> Generator[Any, None, LoadedModel]:
    """Load the network of a split, trained on its training images; it is trained unless its file is there.

    Yields what the training tells; returns the model. `PhaseguideError` for one that has seen a test image, or has
    other phases.
    """
    split, path = data.splits[name], model_path(out, name)
    if not path.exists():
        config = TrainingConfig(**SHIPPED, seed=seed)
        stems = [*split.train, *split.validation]
        images = list(load_images(data.dataset.only(stems), data.scheme))
        taught = split_images(
            images, data.scheme, validation=split.validation, share=config.validation_share, seed=seed
        )
        yield from train_fold(FoldTask(name, path, split.test, taught, config))
    model: LoadedModel = load_model(path)
    check_same_scheme(data.scheme, model.card, str(path))
    if seen := sorted(seen_images(model.card) & set(split.test)):
        raise PhaseguideError(
            f"{path}: was trained or validated on {', '.join(seen)}, which it would be tested on. Put a model of "
            "the other images there, or delete it."
        )
    return model


def channels_of(one: Field) -> int:
    """Return the channels of an image."""
    return 1 if one.image.ndim == 2 else int(one.image.shape[2])


def has_ratio(one: Field) -> bool:
    """Whether a phase is labelled anywhere in an image."""
    return bool(((one.truth > 0) & (one.truth != EXCLUDED)).any())
