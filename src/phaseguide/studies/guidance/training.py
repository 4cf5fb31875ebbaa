"""The networks of the study: one a condition, fold and seed, each in its own file, and none trained twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.model_file import load_model, read_card, save_model
from phaseguide.phases import PhaseScheme
from phaseguide.studies.guidance.conditions import Condition
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit.folds import Folds, model_path, training_stems
from phaseguide.training.data import TrainingImage, split_images
from phaseguide.training.events import EpochDone
from phaseguide.training.trainer import train


@dataclass(frozen=True)
class Cell:
    """One network of the matrix: its condition by name, the seed, and the fold that it is tested on."""

    condition: str
    seed: int
    fold: str

    def __str__(self) -> str:
        return f"{self.condition}, seed {self.seed}, fold {self.fold}"

    def folder(self, out: Path) -> Path:
        """Where the networks of its condition and seed lie."""
        return out / self.condition / f"seed{self.seed}"

    def model(self, out: Path) -> Path:
        """File of the network."""
        return model_path(self.folder(out), self.fold)

    def judgement(self, out: Path) -> Path:
        """File of what it was judged to do."""
        return self.folder(out) / f"fold_{self.fold}.json"


@dataclass(frozen=True)
class Matrix:
    """What all networks have in common: images by stem, folds, phases, conditions, settings over all of theirs."""

    images: Mapping[str, TrainingImage]
    folds: Folds
    scheme: PhaseScheme
    conditions: Mapping[str, Condition]
    settings: Mapping[str, Any]
    out: Path

    def config(self, cell: Cell) -> TrainingConfig:
        """Settings of a training."""
        condition = self.conditions[cell.condition]
        return TrainingConfig(**{**condition.settings, **self.settings, "seed": cell.seed})


def trained(matrix: Matrix, cell: Cell) -> Iterator[Progress | Notice | EpochDone | Finished[Path]]:
    """Train the network of a cell unless it is there, going on where it stopped; the result is its file.

    Validation images are drawn from the training folds. `TrainingError` for a file of other settings or images, and
    where the network that it starts from is not there yet.
    """
    config, path = matrix.config(cell), cell.model(matrix.out)
    stems = training_stems(matrix.folds, cell.fold)
    images = [matrix.images[stem] for stem in stems]
    data = split_images(images, matrix.scheme, share=config.validation_share, seed=cell.seed)
    if path.exists():
        record = read_card(path).training
        if not config.is_recorded_as(record.get("config", {})) or record.get("images") != data.stems:
            raise TrainingError(
                f"{path}: is a model of other settings or images. Choose another folder, or delete it."
            )
        yield Finished(path)
        return
    start = None
    if before := matrix.conditions[cell.condition].start:
        earlier = Cell(before, cell.seed, cell.fold).model(matrix.out)
        if not earlier.exists():
            raise TrainingError(
                f"{earlier}: is not there, and condition {cell.condition} starts from it. Train {before} too."
            )
        start = load_model(earlier).segmenter
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = path.with_suffix(".checkpoint.safetensors")
    for event in train(data, config, name=str(cell), start=start, checkpoint=checkpoint):
        if isinstance(event, Finished):
            save_model(path, event.result.segmenter, event.result.card)
            checkpoint.unlink(missing_ok=True)
        elif isinstance(event, Progress):
            yield Progress(f"{cell}: {event.stage}", event.done, event.total)
        else:
            yield event
    yield Finished(path)
