"""One press of Fine-tune as a generator, and the look at its sources before. Qt-free; runs in a worker thread."""

from __future__ import annotations

import copy
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.control import Control
from phaseguide.errors import PhaseguideError, TrainingError, is_out_of_memory
from phaseguide.events import Finished, Notice, Progress
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.sources import Source, describe_sources
from phaseguide.jobs.finetune_start import FinetuneJob, ProjectJob, SourceSpec, Start, load_start, make_config
from phaseguide.jobs.interrupted import (
    CHECKPOINT,
    JOB,
    at_work,
    discard_run,
    with_validation,
    write_run,
)
from phaseguide.jobs.keep_model import add_version
from phaseguide.phases import PhaseScheme

if TYPE_CHECKING:
    from phaseguide.finetuning.cost_estimate import Plan
    from phaseguide.finetuning.events import FinetuneResult, PreviewField
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import VersionEntry

COMMAND_CHECKPOINT = "command_line.checkpoint.safetensors"
LEARNING_NICENESS = 10

PROGRESS_S = 0.2
"""Least time between two reports of the same stage."""

TOO_LITTLE_MEMORY = (
    "This needs more memory than there is. Take fewer crops a step or smaller crops, learn the fast way, "
    "which leaves the encoder as it is, or choose another device."
)

_learning = threading.Lock()


@dataclass(frozen=True)
class SourceSummary:
    """What is known of a row of the table.

    Attributes
    ----------
    shares : tuple of float
        Labelled share per phase, over all images of the row, in [0, 1].
    labelled : int
        Labelled pixels.
    images : int
    problem : str
        Why nothing can be learnt from it, or empty.
    """

    shares: tuple[float, ...]
    labelled: int
    images: int
    problem: str


@dataclass(frozen=True)
class SourceReport:
    """The table's rows, and what a run would take; ``problem`` says why it cannot start."""

    rows: dict[Hashable, SourceSummary]
    plan: Plan | None
    problem: str


@dataclass(frozen=True)
class Started:
    """The run has its model: the one that it starts from."""

    model: LoadedModel


@dataclass(frozen=True)
class ProjectVersion:
    """What was learnt from a project, and the version that it became."""

    result: FinetuneResult
    version: VersionEntry


class StartCache:
    """The model that was loaded last; a second look at the same start costs nothing."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[Any, ...], LoadedModel] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, start: Start, channels: int, name: str) -> LoadedModel:
        """Load a start, or return what was loaded before."""
        stamp = 0 if start.path is None or not start.path.exists() else start.path.stat().st_mtime_ns
        key = (
            repr(start.to_dict()),
            stamp,
            channels if start.path is None else 0,
            name if start.fresh else "",
        )
        with self._lock:
            if key not in self._models:
                self._models.clear()
                self._models[key] = start.load(channels, name)
            return self._models[key]


def inspect_sources(
    start: Start | None, specs: Sequence[SourceSpec], config: FinetuneConfig, name: str, models: StartCache
) -> Iterator[SourceReport]:
    """Describe the rows, then estimate the run: two events, since the second takes a while."""
    scheme = None if start is None else start.scheme
    sources, rows = _described(specs, scheme)
    found = SourceReport(rows, None, "")
    yield found
    if start is None or not sources or any(row.problem for row in rows.values()):
        return
    from phaseguide.finetuning.cost_estimate import plan
    from phaseguide.jobs.warm_up import import_torch

    import_torch()
    try:
        model = models.load(start, _channels(sources), name)
        plain = [_fitted(s, model) for one in sources.values() for s in one]
        held = [s.name for spec in specs if spec.validates for s in sources[spec.key]]
        yield replace(found, plan=plan(model, plain, with_validation(config, held)))
    except PhaseguideError as error:
        yield replace(found, problem=str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        yield replace(found, problem=TOO_LITTLE_MEMORY)


def step_back() -> None:
    """Let the window go first where it and this thread want the same core; only Linux ranks threads."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEARNING_NICENESS)


def run_finetune(
    job: FinetuneJob,
    models: StartCache,
    control: Control,
    preview: Callable[[], PreviewField | None] | None,
) -> Iterator[Any]:
    """Learn from the sources of a job.

    Yields
    ------
    Started, Progress, Notice, EpochDone, Preview, Finished of FinetuneResult

    Raises
    ------
    PhaseguideError
        What cannot work; its message is for the user.
    """
    from phaseguide.finetuning.run import finetune
    from phaseguide.jobs.warm_up import import_torch

    if not _learning.acquire(blocking=False):
        raise TrainingError("A model is learning already in this napari. Wait for it, or stop it first.")
    step_back()
    with ExitStack() as held:
        held.callback(_learning.release)
        yield Progress("Loading the model", 0, 0)
        import_torch()
        if job.project is not None:
            held.enter_context(job.project.training_lock())
        sources, config = read_sources(job)
        model = models.load(job.start, _channels({0: sources}), job.name)
        # An estimate that is still being made has the other copy.
        model = replace(model, segmenter=copy.deepcopy(model.segmenter))
        sources = [_fitted(s, model) for s in sources]
        yield Started(model)
        checkpoint: Path | None = job.folder / CHECKPOINT
        with suppress(OSError, NotImplementedError):  # what cannot be written is told below
            held.enter_context(at_work(job.folder))
        try:
            if not (job.folder / JOB).exists():
                write_run(job, sources, config)
        except PhaseguideError as error:
            discard_run(job.folder)
            checkpoint = None
            yield Notice(f"Learning goes on, but could not be resumed after a crash: {error}")
        events = finetune(
            model, sources, config, name=job.name, checkpoint=checkpoint, control=control, preview=preview
        )
        try:
            yield from _calm(events)
        except PhaseguideError:
            if checkpoint is not None and not checkpoint.exists():
                discard_run(job.folder)  # it came to nothing, and would come to nothing again
            raise


def run_project(job: ProjectJob) -> Iterator[Any]:
    """Learn from the fields of a project, and keep the model as a new version.

    An interrupted run of the command line goes on where it stopped.

    Yields
    ------
    Progress, Notice, EpochDone, Finished of ProjectVersion

    Raises
    ------
    PhaseguideError
        What cannot work; its message is for the user.
    """
    from phaseguide.finetuning.run import finetune

    project = job.project
    with project.training_lock():
        checkpoint = project.training_folder() / COMMAND_CHECKPOINT
        if job.fresh:
            checkpoint.unlink(missing_ok=True)
        sources = yield from _project_sources(project)
        model, notice = load_start(project, job.start, _channels({0: sources}), job.base)
        if notice:
            yield Notice(notice)
        config = make_config(job.preset, job.given, model.card.backbone.adapter)
        sources = [_fitted(source, model) for source in sources]
        for event in finetune(model, sources, config, name=job.name, checkpoint=checkpoint):
            if not isinstance(event, Finished):
                yield event
                continue
            version = add_version(project, event.result, job.start or project.current)
            checkpoint.unlink(missing_ok=True)
            if job.use:
                project.use(version.id)
            yield Finished(ProjectVersion(event.result, version))


def _project_sources(project: Project) -> Generator[Progress, None, list[Source]]:
    from phaseguide.finetuning.sources import sources_from_project

    sources: list[Source] = []
    for source in sources_from_project(project):
        sources.append(source)
        yield Progress("Reading fields", len(sources), len(project.fields))
    if not sources:
        raise TrainingError(
            f"{project.folder}: no field has edits, labels or a ratio. Paint some in napari (phaseguide napari "
            "--project), or read labels in with phaseguide project edits."
        )
    return sources


def read_sources(job: FinetuneJob) -> tuple[list[Source], FinetuneConfig]:
    """Read all sources of a job, and note in its configuration which of them validate."""
    sources: list[Source] = []
    held: list[str] = []
    for spec in job.specs:
        found = list(spec.read())
        sources += found
        held += [s.name for s in found if spec.validates]
    return sources, with_validation(job.config, held)


def predict(model: LoadedModel, field: PreviewField) -> NDArray[np.uint8]:
    """Predict a field without a ratio, on the CPU.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        1..K.
    """
    import torch

    from phaseguide.finetuning.preview import Previewer

    shown = Previewer(None, 0.0, torch.device("cpu"))
    return shown.predict(model.segmenter.eval(), field, 0, frozen=False).labels


def _calm(events: Iterator[Any]) -> Iterator[Any]:
    """Leave out most reports of progress: hundreds of them in a second would keep the window busy."""
    told, stage = 0.0, ""
    for event in events:
        if isinstance(event, Progress):
            now = time.monotonic()
            if event.stage == stage and now - told < PROGRESS_S:
                continue
            told, stage = now, event.stage
        yield event


def _described(
    specs: Sequence[SourceSpec], scheme: PhaseScheme | None
) -> tuple[dict[Hashable, list[Source]], dict[Hashable, SourceSummary]]:
    sources: dict[Hashable, list[Source]] = {}
    rows: dict[Hashable, SourceSummary] = {}
    for spec in specs:
        try:
            sources[spec.key] = list(spec.read())
        except PhaseguideError as error:
            rows[spec.key] = SourceSummary((), 0, 0, str(error))
            continue
        if not sources[spec.key]:
            rows[spec.key] = SourceSummary((), 0, 0, "holds no image with labels or a ratio.")
    if scheme is None:
        return sources, rows
    flat = [(spec.key, s) for spec in specs for s in sources.get(spec.key, [])]
    described = describe_sources([s for _, s in flat], scheme)
    for key, own in sources.items():
        mine = [(r, s) for (k, s), r in zip(flat, described, strict=True) if k == key]
        if not mine:
            continue
        area = sum(s.image.shape[0] * s.image.shape[1] for _, s in mine)
        shares = [
            sum(r.shares[k] * s.image.shape[0] * s.image.shape[1] for r, s in mine) / max(1, area)
            for k in range(len(scheme))
        ]
        problem = next((_named(r.problem, r.name, len(own)) for r, _ in mine if r.problem), "")
        rows[key] = SourceSummary(tuple(shares), sum(r.labelled for r, _ in mine), len(own), problem)
    return sources, rows


def _named(problem: str, name: str, images: int) -> str:
    return problem if images == 1 else f"{name} {problem}"


def _channels(sources: dict[Any, list[Source]]) -> int:
    """Channels for a model without a past: three where an image has colour."""
    colour = any(s.image.ndim == 3 and s.image.shape[2] >= 3 for one in sources.values() for s in one)
    return 3 if colour else 1


def _fitted(source: Source, model: LoadedModel) -> Source:
    from phaseguide.segmentation.network.channels import fit_channels

    if source.image.ndim not in (2, 3):
        return source  # the check of sources says what is wrong with it
    return replace(source, image=fit_channels(source.image, model.segmenter.in_channels, source.name))
