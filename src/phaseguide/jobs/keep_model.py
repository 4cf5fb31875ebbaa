"""Keeping a fine-tuned model or going back, with and without a project; each can be taken back by the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phaseguide.errors import PhaseguideError
from phaseguide.files.new_file import write_new
from phaseguide.folders import user_model_folder
from phaseguide.jobs.finetune_start import FinetuneJob, Start
from phaseguide.jobs.interrupted import discard_run
from phaseguide.models.model_file import model_bytes
from phaseguide.models.zoo import SUFFIX, check_name, free_name

if TYPE_CHECKING:
    from phaseguide.finetuning.events import FinetuneResult
    from phaseguide.models.card import Card
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import VersionEntry


@dataclass
class Outcome:
    """A result, where it came from, and what was decided.

    Attributes
    ----------
    kept : Path or None
        File of the new model, once it was kept; keeping again writes no second one.
    used : {"", "new", "old"}
        What the user decided to go on with.
    before : str or None
        The project's model before the new one was kept, empty if none was in use; None until then.
    segmented_with : Path or None
        File of the model that the user segmented with when the new one was kept, which need not be the one that was
        learnt from; None if there was none.
    """

    result: FinetuneResult
    job: FinetuneJob
    start: LoadedModel
    kept: Path | None = None
    used: str = ""
    before: str | None = None
    version: str = ""
    segmented_with: Path | None = None


def keep_model(outcome: Outcome) -> Path:
    """Save the new model as a version and use it; to be called in a worker.

    Returns
    -------
    Path
        Its file.

    Raises
    ------
    PhaseguideError
        It cannot be written. The result is still there.
    """
    project, result = outcome.job.project, outcome.result
    if outcome.kept is None or not outcome.kept.exists():
        if project is None:
            outcome.kept, _ = keep(result.model, user_model_folder(), outcome.job.name)
        else:
            outcome.version = add_version(project, result, _parent(project, outcome.job.start)).id
            outcome.kept = project.version_path(outcome.version)
    if project is not None:
        outcome.before = str(project.current) if outcome.before is None else outcome.before
        project.use(outcome.version)
    outcome.used = "new"
    discard_run(outcome.job.folder)
    return outcome.kept


def go_back(outcome: Outcome) -> Path | None:
    """Use the model from before; to be called in a worker.

    Returns
    -------
    Path or None
        Its file: that of the version that the project used, else of the model that the user segmented with, else of
        the one that was learnt from. None if there was none of them.
    """
    project, path = outcome.job.project, outcome.segmented_with or outcome.job.start.path
    if project is not None and outcome.used == "new" and outcome.before is not None:
        project.use(outcome.before)
        if outcome.before:
            path = project.model_path()
    outcome.used = "old"
    discard_run(outcome.job.folder)
    return path


def keep(model: LoadedModel, folder: Path, name: str) -> tuple[Path, Card]:
    """Save a model that was made just now as a new file.

    Parameters
    ----------
    model : LoadedModel
        Its card tells parent, data and settings.
    folder : Path
        Usually `phaseguide.models.zoo.user_model_folder`.
    name : str
        A number is added where it is taken.

    Returns
    -------
    tuple of Path and Card
        The file, and the card as stored.

    Raises
    ------
    PhaseguideError
        No model can have that name, or the file cannot be written; nothing is lost, the model can be kept
        elsewhere.
    """
    check_name(name)
    name = free_name(name)
    while (path := folder / f"{name}{SUFFIX}").exists():  # the folder may be another than the user's
        name = f"{name}-2"
    data, card = model_bytes(model.segmenter, model.card.model_copy(update={"name": name}))
    write_new(path, data)
    return path, card


def add_version(project: Project, result: FinetuneResult, parent: str) -> VersionEntry:
    """Save a fine-tuned model as a new version of a project; nothing is put to use.

    Parameters
    ----------
    project : Project
    result : FinetuneResult
    parent : str
        What the project calls the model that was learnt from.
    """
    return project.add_version(
        result.model.segmenter,
        result.model.card,
        parent=parent,
        parent_sha256=result.record["parent_sha256"],
        data_sha256=result.data_sha256,
        settings=result.record,
        before=None if result.before is None else result.before.to_dict(),
        after=None if result.after is None else result.after.to_dict(),
    )


def _parent(project: Project, start: Start) -> str:
    """What the project calls the model that was learnt from, whichever is in use by now."""
    path = start.path
    if path is None:
        return f"sam:{start.sam}" if start.sam else "imagenet"
    try:
        return str(project.name_of(path))
    except PhaseguideError:  # its file was deleted meanwhile
        return str(path)
