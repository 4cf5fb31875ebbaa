"""Cross-validation: one model a fold, each tested on images that it has never seen. Resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.model_file import load_model, read_card, save_model
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.phases import PhaseScheme
from phaseguide.studies.folds.folds import Folds, model_path, training_stems
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import load_images, seen_images, split_images
from phaseguide.training.events import EpochDone
from phaseguide.training.trainer import train


@dataclass(frozen=True)
class FoldTrained:
    """The model of one fold is there: its name, its file, and the images it must be tested on."""

    fold: str
    path: Path
    test: tuple[str, ...]


def cross_validate(
    dataset: Dataset,
    scheme: PhaseScheme,
    folds: Folds,
    config: TrainingConfig,
    out: Path,
    *,
    starts: Path | None = None,
    share: float = 0.15,
) -> Iterator[Progress | Notice | EpochDone | FoldTrained | Finished[list[FoldTrained]]]:
    """Train one model a fold, into ``fold_<name>.safetensors`` in ``out``.

    Validation images (a ``share``) are drawn from the training folds, never from the tested one. A fold whose model
    file is there already, from the same settings, is not trained again; one that was stopped goes on from its
    checkpoint. With ``starts``, the folder of an earlier cross-validation on the same folds, each fold starts from
    its model there.
    """
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
            [images[s] for s in training_stems(folds, name)], scheme, share=share, seed=config.seed
        )
        for name in folds
    }
    trained = []
    for name, test in folds.items():
        path = model_path(out, name)
        data = splits[name]
        split = {"train": [i.stem for i in data.train], "validation": [i.stem for i in data.validation]}
        if path.exists():
            record = read_card(path).training
            if not config.is_recorded_as(record.get("config", {})) or record.get("images") != split:
                raise TrainingError(
                    f"{path}: is a model of other settings or images. Choose another folder, or delete it."
                )
            yield Notice(f"Fold {name}: trained before.")
        else:
            checkpoint = out / f"fold_{name}.checkpoint.safetensors"
            start = None if starts is None else _load_start(model_path(starts, name), test)
            for event in train(data, config, name=f"fold {name}", start=start, checkpoint=checkpoint):
                if isinstance(event, Finished):
                    save_model(path, event.result.segmenter, event.result.card)
                    checkpoint.unlink(missing_ok=True)
                else:
                    yield event
        trained.append(FoldTrained(name, path, test))
        yield trained[-1]
    yield Finished(trained)


def _load_start(path: Path, test: tuple[str, ...]) -> GuidedSegmenter:
    """Load the model a fold starts from; it must not have seen the images that the fold is tested on."""
    model = load_model(path)
    seen = seen_images(model.card) & set(test)
    if seen:
        raise TrainingError(
            f"{path}: was trained or validated on {', '.join(sorted(seen))}, which this fold is tested on. "
            "Start from models of the same folds."
        )
    return model.segmenter
