"""Models of folds: each learns from the images of the other folds. A model that is there is known by what made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel, read_card, save_model
from phaseguide.training.checkpoint import DamagedCheckpointError, load_checkpoint, set_aside
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, data_sha256
from phaseguide.training.describing import tell_unjudged
from phaseguide.training.events import EpochDone
from phaseguide.training.trainer import train


@dataclass(frozen=True)
class FoldTrained:
    """The model of one fold is there: its name, its file, and the images it must be tested on."""

    fold: str
    path: Path
    test: tuple[str, ...]


@dataclass(frozen=True)
class FoldTask:
    """What decides the model of a fold, and its file; the images in ``test`` are no part of ``data``.

    ``name`` is that of the model, after its fold where there is none.
    """

    fold: str
    path: Path
    test: tuple[str, ...]
    data: TrainingData
    config: TrainingConfig
    start: LoadedModel | None = None
    name: str = ""

    @property
    def checkpoint(self) -> Path:
        """Where the state of its training is kept meanwhile."""
        return self.path.with_name(f"{self.path.stem}.checkpoint.safetensors")

    @property
    def trained(self) -> FoldTrained:
        """What is told when the model is there."""
        return FoldTrained(self.fold, self.path, self.test)


def misfit(task: FoldTask) -> str:
    """Say in which way the model file of a fold is not what its training would make; empty where it is.

    `ModelError` where the file is no sound model.
    """
    card = read_card(task.path)
    record = card.training
    start = "" if task.start is None else task.start.card.tensors_sha256
    if not task.config.is_recorded_as(record.get("config", {})):
        return "is a model of other settings"
    if record.get("images") != image_names(task.data) or card.scheme.names != task.data.scheme.names:
        return "is a model of other images or phases"
    if record.get("data_sha256") != data_sha256(task.data):
        return "is a model of images or labels that were changed since"
    if record.get("start_sha256", start) != start:
        return "is a model with another start"
    return ""


def train_fold(task: FoldTask) -> Iterator[Progress | Notice | EpochDone]:
    """Train the model of a fold, from its checkpoint where that is there, and save it."""
    start = None if task.start is None else task.start.segmenter
    name = task.name or f"fold {task.fold}"
    for event in train(task.data, task.config, name=name, start=start, checkpoint=task.checkpoint):
        if isinstance(event, Finished):
            card = event.result.card
            if task.start is not None:
                record = {
                    **card.training,
                    "start": task.start.card.training,
                    "start_sha256": task.start.card.tensors_sha256,
                }
                card = card.model_copy(update={"training": record})
            save_model(task.path, event.result.segmenter, card)
            task.checkpoint.unlink(missing_ok=True)
        elif event != Notice(tell_unjudged(task.data, task.config)):  # its own images judge it
            yield event


def train_unless_there(task: FoldTask) -> Iterator[Progress | Notice | EpochDone]:
    """Take the model of a fold if it is what its training would make, else train it; what does not fit is set aside."""
    if task.path.exists():
        try:
            reason = misfit(task)
        except ModelError as error:
            reason = f"is no sound model ({error})"
        if not reason:
            yield Notice(f"Fold {task.fold}: trained before.")
            return
        yield Notice(
            f"{task.path}: {reason}. It is kept as {set_aside(task.path).name}, and the fold is trained anew."
        )
    yield from set_aside_misfit(task.checkpoint, task.data, task.config, task.start)
    yield from train_fold(task)


def set_aside_misfit(
    checkpoint: Path, data: TrainingData, config: TrainingConfig, start: LoadedModel | None
) -> Iterator[Notice]:
    """Rename a checkpoint that a run of these settings could not go on from, and say so, where a run would refuse it.

    One that is damaged, or of images that were changed, is left to the run, which does the same with it.
    """
    if not checkpoint.exists():
        return
    try:
        _, state = load_checkpoint(checkpoint)
    except DamagedCheckpointError:
        return
    same_run = config.is_recorded_as(state.get("config", {})) and state.get("images") == image_names(data)
    begun = "" if start is None else tensors_sha256(start.segmenter.state_dict())
    if not same_run or state.get("start_sha256") != begun:
        yield Notice(
            f"{checkpoint}: this checkpoint belongs to a run with other settings or images, or another start. It is "
            f"kept as {set_aside(checkpoint).name}; the run begins anew."
        )


def image_names(data: TrainingData) -> dict[str, list[str]]:
    """Images of a training by side, as its record names them."""
    return {"train": [i.stem for i in data.train], "validation": [i.stem for i in data.validation]}
