"""Training with cross-fitting: fold models, what they say on images that they have not seen, then the model of all.

Every part is kept as soon as it is there, so a run that was stopped goes on, and ends with the same model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import TrainingError
from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.architectures import REFINE
from phaseguide.models.card import CalibrationCard, GuidanceCard, InferenceCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.refinement import ScoreRefinement
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, with_guidance
from phaseguide.option_values import SEED
from phaseguide.phases import PhaseScheme
from phaseguide.training.building import network_alone
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit.calibrate import calibrate_on
from phaseguide.training.crossfit.fold_models import (
    FoldTask,
    FoldTrained,
    set_aside_misfit,
    train_unless_there,
)
from phaseguide.training.crossfit.folds import (
    Folds,
    Held,
    check_count,
    check_folds,
    draw_folds,
    training_stems,
)
from phaseguide.training.crossfit.parts import Parts
from phaseguide.training.crossfit.refinement import check_refinement, kept_refinement
from phaseguide.training.crossfit.scores import BYTES_A_PIXEL, CrossfitImage, out_of_fold
from phaseguide.training.data import TrainingData, TrainingImage, seen_images, split_images
from phaseguide.training.dropout import own_threads
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.trainer import TrainingEvent, train

_SPLITS = 20
"""Draws of validation images that are tried at most for one that leaves every phase to be learnt."""


def train_crossfitted(
    dataset: Dataset,
    images: Sequence[TrainingImage],
    data: TrainingData,
    config: TrainingConfig,
    *,
    folds: Folds | None = None,
    parts: Parts | None = None,
    name: str = "model",
    start: LoadedModel | None = None,
    checkpoint: Path | None = None,
    inference: InferenceCard | None = None,
) -> Iterator[TrainingEvent | FoldTrained]:
    """Train as `phaseguide.training.trainer.train` does, and calibrate on out-of-fold images.

    ``images`` are those of the data set, ``data`` is how the last training splits them. Without ``folds`` the images
    are dealt out to ``config.crossfit`` of them by the seed. The parts are kept in ``parts`` (None: nowhere), and the
    state of the last training in ``checkpoint``; those that fit no longer are set aside, and made anew. ``inference``
    is how the model will be run.

    `PhaseguideError` before anything is trained: too few images, a fold whose model would not know a phase, a start
    that has seen the images, guidance that cannot be learnt, a folder that holds something else, too little room on the
    disk.
    """
    with ExitStack() as stack:
        if parts is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="phaseguide-crossfit-"))
            parts = Parts(Path(folder))
        _check_start(images, config, start)
        holds = {image.stem: held for image in images if (held := _held(image, data.scheme))}
        folds = _checked_folds(folds, dataset, holds, data.scheme, config)
        refines = config.guidance == REFINE
        if refines:
            tested = [i for i in images if any(i.stem in test for test in folds.values())]
            check_refinement(tested, config.guidance_options, len(data.scheme))
        tasks = plan_folds(images, data.scheme, config, folds, parts, start)
        parts.begin()
        parts.check_room(sum(i.labels.numel() for i in images) * (2 * len(data.scheme) + BYTES_A_PIXEL))
        if left := [stem for stem in holds if not any(stem in test for test in folds.values())]:
            yield Notice(
                f"{', '.join(left)}: in no fold, so nothing is calibrated on it; only the last model learns from it."
            )
        if start is not None and refines:
            start = replace(start, segmenter=network_alone(start.segmenter))
        first = None if start is None else start.segmenter
        last = config.changed(guidance="none", guidance_options={}) if refines else config
        yield Progress("Trying a step of every stage", 0, 1)
        _try(data, last, first)
        if checkpoint is not None:
            yield from set_aside_misfit(checkpoint, data, last, start)
        trained = yield from _fold_models(tasks)
        refinement = None
        with own_threads(config.threads):
            seen = yield from out_of_fold(dataset, trained, parts, inference=inference, device=config.device)
            calibration = yield from calibrate_on(seen, len(data.scheme), seed=config.seed)
            if refines:
                options = config.guidance_options
                refinement = yield from kept_refinement(
                    seen, calibration, len(data.scheme), options, parts.refinement, seed=config.seed
                )
        for event in train(data, last, name=name, start=first, checkpoint=checkpoint):
            if isinstance(event, Finished):
                result = _crossfitted(event.result, calibration, seen, folds, data.scheme)
                yield Finished(result if refinement is None else _refining(result, refinement, config))
            else:
                yield event


def _try(data: TrainingData, config: TrainingConfig, start: GuidedSegmenter | None) -> None:
    """Begin the last training and drop it, so that what cannot work is told before the models of the folds learn."""
    events = train(data, config, start=start)
    next((event for event in events if isinstance(event, Progress) and event.done), None)
    events.close()  # type: ignore[attr-defined]


def plan_folds(
    images: Sequence[TrainingImage],
    scheme: PhaseScheme,
    config: TrainingConfig,
    folds: Folds,
    parts: Parts,
    start: LoadedModel | None = None,
) -> list[FoldTask]:
    """Derive the training of each fold's model from the run's settings."""
    by_stem = {image.stem: image for image in images}
    tasks = []
    settings = fold_config(config)
    if start is not None and settings.guidance == "none":
        start = replace(start, segmenter=network_alone(start.segmenter))
    for fold, test in folds.items():
        taught = [by_stem[s] for s in training_stems(folds, fold)]
        data = _split(taught, scheme, config.validation_share, settings.seed)
        tasks.append(FoldTask(fold, parts.model(fold), test, data, settings, start))
    return tasks


def fold_config(config: TrainingConfig) -> TrainingConfig:
    """Settings of the models of the folds: the run's own, without a stage that learns guidance alone where that has no
    part in scores without a ratio. So they are those of a cross-validation with these settings.
    """
    return config.changed(
        crossfit=0,
        crossfit_epochs=0,
        epochs=config.crossfit_epochs or config.epochs,
        **(
            {}
            if config.schedule == "joint" or not config.takes_ratio
            else {"guidance": "none", "guidance_options": {}}
        ),
    )


def _check_start(images: Sequence[TrainingImage], config: TrainingConfig, start: LoadedModel | None) -> None:
    """Raise `TrainingError` where no model of a fold could be one that has not seen its images."""
    if config.schedule == "guidance":
        raise TrainingError(
            "schedule is 'guidance', so every fold would have the backbone of the start, and crossfit would learn "
            "nothing about it. Take schedule 'staged', or leave crossfit out."
        )
    seen = set() if start is None else seen_images(start.card) & {i.stem for i in images}
    if start is not None and seen:
        raise TrainingError(
            f"{start.path}: was trained or validated on {', '.join(sorted(seen)[:5])}, so no fold model that starts "
            "from it is new to these images. Start from another model, or leave crossfit out."
        )


def _checked_folds(
    folds: Folds | None, dataset: Dataset, holds: Held, scheme: PhaseScheme, config: TrainingConfig
) -> Folds:
    """Draw folds, or take those that are given, once they are known to make sense."""
    if folds is None:
        check_count(len(holds), config.crossfit, config.validation_share, dataset.folder)
        folds = draw_folds(holds, config.crossfit, config.seed)
    blank = sorted(stem for test in folds.values() for stem in test if stem not in holds)
    if blank:
        raise TrainingError(
            f"{dataset.folder}: no pixel of {', '.join(blank)} carries a phase. Label some, or take them out of the "
            "folds."
        )
    check_folds(folds, holds, scheme, config.validation_share)
    return folds


def _held(image: TrainingImage, scheme: PhaseScheme) -> frozenset[int]:
    present = np.unique(image.labels.numpy())
    return frozenset(int(v) for v in present if 1 <= v <= len(scheme))


def _split(images: Sequence[TrainingImage], scheme: PhaseScheme, share: float, seed: int) -> TrainingData:
    """Draw validation images, again where some phase would be on their side alone."""
    holds: Held = {image.stem: _held(image, scheme) for image in images}
    every = frozenset().union(*holds.values())
    for attempt in range(_SPLITS):
        data = split_images(images, scheme, share=share, seed=(seed + attempt) % (SEED[1] + 1))
        if frozenset().union(*(holds[i.stem] for i in data.train)) == every:
            return data
    return split_images(images, scheme, share=share, seed=seed)


def _fold_models(
    tasks: Sequence[FoldTask],
) -> Generator[Progress | Notice | EpochDone | FoldTrained, None, list[FoldTrained]]:
    trained = []
    for number, task in enumerate(tasks, start=1):
        for event in train_unless_there(task):
            if isinstance(event, Progress):
                yield replace(event, stage=f"Fold {number} of {len(tasks)}: {event.stage}")
            elif isinstance(event, EpochDone):
                yield replace(event, stage=f"fold {task.fold}, {event.stage}")
            else:
                yield event
        trained.append(task.trained)
        yield task.trained
    return trained


def _crossfitted(
    result: TrainingResult,
    calibration: CalibrationCard,
    seen: Sequence[CrossfitImage],
    folds: Folds,
    scheme: PhaseScheme,
) -> TrainingResult:
    """Put what the folds told into the card of the last model."""
    pooled = scores_from_confusion(np.sum([image.confusion for image in seen], axis=0))
    record = {**result.record, "folds": {fold: list(test) for fold, test in folds.items()}}
    card = result.card.model_copy(
        update={
            "calibration": calibration,
            "training": record,
            "scores": {**result.card.scores, "crossfit": pooled.to_dict(scheme)},
        }
    )
    return replace(result, card=card, record=record)


def _refining(result: TrainingResult, refinement: ScoreRefinement, config: TrainingConfig) -> TrainingResult:
    """Put guidance on scores on top of a trained network."""
    options = GuidanceOptions(REFINE, dict(config.guidance_options), 1)
    segmenter = with_guidance(result.segmenter, options)
    assert segmenter.refinement is not None
    segmenter.refinement.load_state_dict(refinement.state_dict())
    record = {**result.record, "config": config.to_dict()}
    card = result.card.model_copy(
        update={"guidance": GuidanceCard(kind=REFINE, options=options.options), "training": record}
    )
    return replace(result, segmenter=segmenter.eval(), card=card, record=record)
