"""Runs that were interrupted: all that it takes to go on with one lies in a folder, whatever happens to napari."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError, TrainingError
from phaseguide.files.atomic import replacing, write_text
from phaseguide.files.foreign import UnsafePathError, path_inside
from phaseguide.files.json_files import read_json
from phaseguide.finetuning.config import FinetuneConfig, config_of_then
from phaseguide.finetuning.sources import Source
from phaseguide.folders import user_model_folder
from phaseguide.jobs.finetune_start import FinetuneJob, SourceSpec, Start
from phaseguide.models.zoo import check_name

MANY_EPOCHS = 10_000
"""Epochs of a run that ends by the clock."""

JOB, CHECKPOINT, RUNNING = "job.json", "checkpoint.safetensors", "running.lock"


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
            "group": source.group,
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
        config = config_of_then(about["config"])
        name = str(about["name"])
        check_name(name)  # the new model's file will have it
        return FinetuneJob(Start.from_dict(about["start"]), specs, config, name, project, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PhaseguideError) as error:
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
                from phaseguide.jobs.warm_up import import_torch

                import_torch()
                position = read_interrupted(folder / CHECKPOINT)
                # Damaged: what was learnt is lost, what it learnt from is not; the run says so when it goes on.
                epoch = 0 if position is None else position.epoch
            found.append(Unfinished(folder, str(about["name"]), str(about["begun"]), epoch, epochs))
    return found


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Hold a run, so that no other program takes it up; let go of however this one ends.

    Raises
    ------
    TrainingError
        Somebody else holds it.
    OSError, NotImplementedError
        The folder takes no file, or its disk knows no locks.
    """
    path = folder / RUNNING
    folder.mkdir(parents=True, exist_ok=True)
    if _is_odd(path):
        raise OSError(f"{path}: is a link or no plain file")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError("Another napari is at work on this run. Close it, or start a new run.") from error
    try:
        yield
    finally:
        lock.release()


def is_running(folder: Path) -> bool:
    """Whether a living program works on a run."""
    path = folder / RUNNING
    if not path.exists() or _is_odd(path):
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def _is_odd(path: Path) -> bool:
    """Whether something else lies in the place of a lock file; opening that could do harm."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def discard_run(folder: Path) -> None:
    """Delete the folder of a run that is kept as a model or no longer wanted."""
    if (folder / JOB).is_file() or (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder, ignore_errors=True)


def with_validation(config: FinetuneConfig, names: Sequence[str]) -> FinetuneConfig:
    """Return the configuration with sources that are held out as a whole."""
    return config.changed(validation_fields=tuple(names)) if names else config


def _write_array(path: Path, values: Any) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(values), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _read_array(folder: Path, name: str) -> NDArray[Any]:
    # Mapped, a heading that speaks of more values than the file holds is refused before memory is taken for them.
    try:
        return np.array(np.load(path_inside(folder, name), mmap_mode="r", allow_pickle=False))
    except (TokenError, OverflowError) as error:  # what numpy says of a torn heading, or of an endless one
        raise ValueError(f"{name} is damaged") from error


def _share(told: Any) -> float | None:
    return None if told is None else float(told)


def _reader(folder: Path, number: int, row: dict[str, Any]) -> Any:
    ratio = None if row["ratio"] is None else tuple(map(_share, row["ratio"]))
    name, kind, tolerance = str(row["name"]), row["kind"], float(row["tolerance"])
    group = str(row.get("group", ""))

    def read() -> list[Source]:
        try:
            image = _read_array(folder, f"{number}_image.npy")
            labels = _read_array(folder, f"{number}_labels.npy") if row["labels"] else None
        except (OSError, ValueError, UnsafePathError) as error:
            raise TrainingError(
                f"{folder}: what the interrupted run learnt from cannot be read ({error}). Discard it and start again."
            ) from error
        return [Source(name, image, labels, kind, ratio, tolerance, group)]

    return read
