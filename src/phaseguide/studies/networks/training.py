"""The networks of a study: one a condition, seed and split of a data set, each in its own file, none trained twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.studies.networks.splits import ALL, PUBLISHED, Split
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit.fold_models import FoldTask, misfit, train_fold
from phaseguide.training.crossfit.folds import model_path
from phaseguide.training.data import TrainingData, TrainingImage, split_images
from phaseguide.training.events import EpochDone
from phaseguide.training.planning import plan_for
from phaseguide.training.windows import feed_for


@dataclass(frozen=True)
class Condition:
    """How a network is trained.

    Attributes
    ----------
    what : str
        In words, for the table.
    settings : dict
        Those of a `TrainingConfig` that are not as usual.
    unguided : str
        Name of the condition without guidance that is otherwise trained alike; empty for such a one itself.
    start : str
        Name of the condition whose network of the same split and seed the training starts from; empty for none.
    images : int
        How many of the training images teach, drawn by the seed so that fewer are among more; 0 for all.
    steps : int
        About how many batches are shown, whatever the size of the data set: epochs follow from it, unless they are
        given over the settings of all conditions; 0 for as many epochs as the settings have.
    """

    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    unguided: str = ""
    start: str = ""
    images: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Cell:
    """One network of the matrix: its condition by name, the seed, and the split (or fold) that it is tested on."""

    condition: str
    seed: int
    split: str

    def __str__(self) -> str:
        tested = "" if self.split in (PUBLISHED, ALL) else f", fold {self.split}"
        return f"{self.condition}, seed {self.seed}{tested}"

    def folder(self, out: Path) -> Path:
        """Where the networks of its condition and seed lie."""
        return out / self.condition / f"seed{self.seed}"

    def model(self, out: Path) -> Path:
        """File of the network."""
        if self.split in (PUBLISHED, ALL):
            return self.folder(out) / f"{self.split}.safetensors"
        return model_path(self.folder(out), self.split)

    def judgement(self, out: Path, kind: str = "") -> Path:
        """File of what it was judged to do; judgements of several kinds lie beside each other."""
        return self.model(out).with_suffix(f".{kind}.json" if kind else ".json")


@dataclass(frozen=True)
class Matrix:
    """What all networks of a data set have in common.

    Images by stem, splits, phases, conditions, settings over all of theirs, and the folder of the networks.
    """

    images: Mapping[str, TrainingImage]
    splits: Mapping[str, Split]
    scheme: PhaseScheme
    conditions: Mapping[str, Condition]
    settings: Mapping[str, Any]
    out: Path

    @cached_property
    def images_sha256(self) -> str:
        """Checksum over the pixels and labels of all images."""
        parts = [
            f"{stem}|{sha256_of_array(one.image.numpy())}|{sha256_of_array(one.labels.numpy())}"
            for stem, one in self.images.items()
        ]
        return sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()

    def config(self, cell: Cell) -> TrainingConfig:
        """Settings of a training."""
        config, steps = self._given(cell), self.conditions[cell.condition].steps
        if not steps or "epochs" in self.settings:
            return config
        return config.changed(epochs=max(1, round(steps / feed_for(self.data(cell), config).steps)))

    def _given(self, cell: Cell) -> TrainingConfig:
        condition = self.conditions[cell.condition]
        return TrainingConfig(**{**condition.settings, **self.settings, "seed": cell.seed})

    def data(self, cell: Cell) -> TrainingData:
        """Images of a training; those that validate are the split's own, else drawn from the training images.

        None validates where the settings want none (``validation_share`` 0).
        """
        split, share = self.splits[cell.split], self._given(cell).validation_share
        taught = chosen_images(split.train, self.conditions[cell.condition].images, cell.seed)
        validation = split.validation if share else ()
        return split_images(
            [self.images[stem] for stem in (*taught, *validation)],
            self.scheme,
            validation=validation,
            share=share,
            seed=cell.seed,
        )


def chosen_images(stems: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """Return so many of the images, in their order; those of a smaller count are among those of a larger one.

    All for a count of 0. `TrainingError` where there are fewer.
    """
    if not count:
        return tuple(stems)
    if count > len(stems):
        raise TrainingError(
            f"{count} images are to teach, but there are {len(stems)} to train on. Leave this size out (--conditions)."
        )
    drawn = {stems[i] for i in np.random.default_rng(seed).permutation(len(stems))[:count]}
    return tuple(stem for stem in stems if stem in drawn)


def trained(
    matrix: Matrix, cell: Cell, start: LoadedModel | None = None
) -> Iterator[Progress | Notice | EpochDone | Finished[Path]]:
    """Train the network of a cell unless it is there, going on where it stopped; the result is its file.

    ``start`` is a network from elsewhere that it begins as. `TrainingError` for a file of other settings, images,
    labels or of another start, and where the network of another condition that it starts from is not there yet.
    """
    path, data = cell.model(matrix.out), matrix.data(cell)
    if before := matrix.conditions[cell.condition].start:
        earlier = Cell(before, cell.seed, cell.split).model(matrix.out)
        if not earlier.exists():
            raise TrainingError(
                f"{earlier}: is not there, and condition {cell.condition} starts from it. Train {before} too."
            )
        start = load_model(earlier)
    config, test = plan_for(data, matrix.config(cell)), matrix.splits[cell.split].test
    task = FoldTask(cell.split, path, test, data, config, start, name=str(cell))
    if path.exists():
        if reason := misfit(task):
            raise TrainingError(f"{path}: {reason}. Choose another folder, or delete it.")
        task.checkpoint.unlink(missing_ok=True)  # of a program that was killed between the two
        yield Finished(path)
        return
    for event in train_fold(task):
        if isinstance(event, Progress):
            yield Progress(f"{cell}: {event.stage}", event.done, event.total)
        elif isinstance(event, Notice):
            yield Notice(f"{cell}: {event.message}")
        else:
            yield replace(event, stage=f"{cell}: {event.stage}")
    yield Finished(path)
