"""Cross-validation: one model a fold, each tested on images that it has never seen. Resumable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit.fold_models import FoldTask, FoldTrained, misfit, train_fold
from phaseguide.training.crossfit.folds import Folds, model_path, training_stems
from phaseguide.training.data import load_images, seen_images, split_images
from phaseguide.training.events import EpochDone


def cross_validate(
    dataset: Dataset,
    scheme: PhaseScheme,
    folds: Folds,
    config: TrainingConfig,
    out: Path,
    *,
    starts: Path | None = None,
) -> Iterator[Progress | Notice | EpochDone | FoldTrained | Finished[list[FoldTrained]]]:
    """Train one model a fold, all of the same settings, into ``fold_<name>.safetensors`` in ``out``.

    Validation images are drawn from the training folds, never from the tested one. A fold whose model
    file is there already, from the same settings and images, is not trained again; one that was stopped goes on from
    its checkpoint. With ``starts``, the folder of an earlier cross-validation on the same folds, each fold starts from
    its model there.
    """
    if config.crossfit:
        raise TrainingError(
            f"crossfit is {config.crossfit}, but here the folds are given, and each has a model of its own already. "
            "Leave crossfit out."
        )
    out.mkdir(parents=True, exist_ok=True)
    images = {}
    wanted = [stem for stems in folds.values() for stem in stems]
    for done, image in enumerate(load_images(dataset.only(wanted), scheme)):
        yield Progress("Reading images", done + 1, len(wanted))
        images[image.stem] = image
    # What is wrong with any fold is known before the first one is trained.
    blank = sorted(stem for stem, image in images.items() if image.ratio(len(scheme)) is None)
    if blank:
        raise TrainingError(
            f"{dataset.folder}: no pixel of {', '.join(blank)} carries a phase. Label some, or take them out of the "
            "folds."
        )
    splits = {
        name: split_images(
            [images[s] for s in training_stems(folds, name)],
            scheme,
            share=config.validation_share,
            seed=config.seed,
        )
        for name in folds
    }
    trained = []
    for name, test in folds.items():
        start = None if starts is None else _load_start(model_path(starts, name), test)
        task = FoldTask(name, model_path(out, name), test, splits[name], config, start)
        if not task.path.exists():
            yield from train_fold(task)
        elif reason := misfit(task):
            raise TrainingError(f"{task.path}: {reason}. Choose another folder, or delete it.")
        else:
            yield Notice(f"Fold {name}: trained before.")
        trained.append(task.trained)
        yield task.trained
    yield Finished(trained)


def _load_start(path: Path, test: tuple[str, ...]) -> LoadedModel:
    """Load the model a fold starts from; it must not have seen the images that the fold is tested on."""
    model = load_model(path)
    seen = seen_images(model.card) & set(test)
    if seen:
        raise TrainingError(
            f"{path}: was trained or validated on {', '.join(sorted(seen))}, which this fold is tested on. "
            "Start from models of the same folds."
        )
    return model
