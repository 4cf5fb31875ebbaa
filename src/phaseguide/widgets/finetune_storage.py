"""Runs that were interrupted: all that it takes to go on with one lies in a folder, whatever happens to napari."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.atomic import replacing, write_text
from phaseguide.errors import TrainingError
from phaseguide.files import open_plain
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.sources import Source
from phaseguide.json_files import read_json
from phaseguide.models.zoo import user_model_folder
from phaseguide.widgets.finetune_spec import FinetuneJob, SourceSpec, Start

MANY_EPOCHS = 10_000
"""Epochs of a run that ends by the clock."""

JOB, CHECKPOINT, RUNNING = "job.json", "checkpoint.safetensors", "running.json"


@dataclass(frozen=True)
class Unfinished:
    """A run that can go on.

    Attributes
    ----------
    folder : Path
    name : str
        Of the model it was to become.
    begun : str
        Date and time.
    epoch, epochs : int
        How far its last checkpoint is; 0 where it came to none.
    """

    folder: Path
    name: str
    begun: str
    epoch: int
    epochs: int

    def describe(self) -> str:
        """Say what is offered."""
        of = "" if self.epochs >= MANY_EPOCHS else f" of {self.epochs}"
        far = f"after epoch {self.epoch}{of}" if self.epoch else "before its first checkpoint"
        return f"Interrupted: {self.name!r} of {self.begun}, {far}. Its images and labels are kept with it."


def runs_folder(project: Any) -> Path:
    """Folder of the runs: the project's, or without one the user's (moved by PHASEGUIDE_DATA_DIR)."""
    if project is not None:
        return Path(project.training_folder())
    return user_model_folder().parent / "training"


def new_run_folder(project: Any) -> Path:
    """Return a name for the folder of a new run; nothing is made."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder, number = runs_folder(project) / stamp, 1
    while folder.exists():
        number += 1
        folder = runs_folder(project) / f"{stamp}-{number}"
    return folder


def write_run(job: FinetuneJob, sources: Sequence[Source], config: FinetuneConfig) -> None:
    """Write what a run learns from; the list comes last, so that a folder with a list is complete.

    Raises
    ------
    PhaseguideError
        The folder cannot be written.
    """
    rows: list[dict[str, Any]] = []
    for number, source in enumerate(sources):
        row: dict[str, Any] = {
            "name": source.name,
            "kind": source.kind,
            "ratio": None if source.ratio is None else list(source.ratio),
            "tolerance": source.tolerance,
            "labels": source.labels is not None,
        }
        _write_array(job.folder / f"{number}_image.npy", source.image)
        if source.labels is not None:
            _write_array(job.folder / f"{number}_labels.npy", source.labels)
        rows.append(row)
    about = {
        "name": job.name,
        "begun": datetime.now().astimezone().strftime("%d %B %Y, %H:%M"),
        "start": job.start.to_dict(),
        "config": config.to_dict(),
        "sources": rows,
    }
    write_text(job.folder / JOB, json.dumps(about, indent=1))


def read_run(folder: Path, project: Any) -> FinetuneJob:
    """Return the job of an interrupted run; its images and labels are those that were saved with it.

    Raises
    ------
    TrainingError
        The folder is damaged.
    """
    try:
        about = read_json(folder / JOB)
        specs = tuple(
            SourceSpec((str(folder), number), str(row["name"]), _reader(folder, number, row))
            for number, row in enumerate(about["sources"])
        )
        config = FinetuneConfig.from_dict(about["config"])
        return FinetuneJob(
            Start.from_dict(about["start"]), specs, config, str(about["name"]), project, folder
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder}: the interrupted run cannot be read ({error}). Discard it and start again."
        ) from error


def find_unfinished(project: Any) -> list[Unfinished]:
    """List interrupted runs that nobody works on now, the newest first."""
    found = []
    for folder in sorted(runs_folder(project).glob("*"), reverse=True):
        if not (folder / JOB).is_file() or is_running(folder):
            continue
        with suppress(TrainingError, KeyError, TypeError, ValueError, OSError):
            about = read_json(folder / JOB)
            epochs, epoch = int(about["config"]["epochs"]), 0
            if (folder / CHECKPOINT).is_file():
                from phaseguide.finetuning.resuming import read_interrupted
                from phaseguide.widgets.warm_up import import_torch

                import_torch()
                position = read_interrupted(folder / CHECKPOINT)
                # Damaged: what was learnt is lost, what it learnt from is not; the run says so when it goes on.
                epoch = 0 if position is None else position.epoch
            found.append(Unfinished(folder, about["name"], about["begun"], epoch, epochs))
    return found


def mark_running(folder: Path) -> None:
    """Say that this process works on a run."""
    import psutil

    process = psutil.Process()
    write_text(folder / RUNNING, json.dumps({"pid": process.pid, "started": process.create_time()}))


def unmark_running(folder: Path) -> None:
    """Say that nobody works on a run any more."""
    with suppress(OSError):
        (folder / RUNNING).unlink()


def is_running(folder: Path) -> bool:
    """Whether a living process works on a run."""
    import psutil

    try:
        mark = read_json(folder / RUNNING)
        process = psutil.Process(int(mark["pid"]))
        # The system gives the number of a dead process to a new one.
        return abs(process.create_time() - float(mark["started"])) < 1.0
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return False


def discard_run(folder: Path) -> None:
    """Delete the folder of a run that is kept as a model or no longer wanted."""
    if (folder / JOB).is_file() or (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder, ignore_errors=True)


def with_validation(config: FinetuneConfig, names: Sequence[str]) -> FinetuneConfig:
    """Return the configuration with sources that are held out as a whole."""
    return replace(config, validation_fields=tuple(names)) if names else config


def _write_array(path: Path, values: Any) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(values), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _read_array(path: Path) -> Any:
    with open_plain(path) as file:
        return np.load(file, allow_pickle=False)


def _reader(folder: Path, number: int, row: dict[str, Any]) -> Any:
    ratio = None if row["ratio"] is None else tuple(row["ratio"])

    def read() -> list[Source]:
        try:
            image = _read_array(folder / f"{number}_image.npy")
            labels = _read_array(folder / f"{number}_labels.npy") if row["labels"] else None
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{folder}: what the interrupted run learnt from cannot be read ({error}). Discard it and start again."
            ) from error
        return [Source(row["name"], image, labels, row["kind"], ratio, float(row["tolerance"]))]

    return read
