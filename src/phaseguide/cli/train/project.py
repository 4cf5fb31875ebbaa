"""``phaseguide train --project``: a model learns from what was painted in a project, and becomes a version of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.cli.shared.output import make_table, page, percent, write_json
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.sam import sam_size
from phaseguide.errors import TrainingError
from phaseguide.events import Notice, Progress
from phaseguide.finetuning.config import PRESETS, FinetuneConfig, preset_for

if TYPE_CHECKING:
    from phaseguide.finetuning.events import FinetuneResult, Judgement
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import VersionEntry

CHECKPOINT = "command_line.checkpoint.safetensors"
IMAGENET = "imagenet"


def make_config(
    preset: str | None, given: Mapping[str, Any], adapter: Mapping[str, Any] | None = None
) -> FinetuneConfig:
    """Settings of a preset with those that were given on top.

    Parameters
    ----------
    preset : str or None
        None takes the one that suits the model.
    given : mapping
        Settings of `FinetuneConfig`.
    adapter : mapping, optional
        Of the model's card.

    Raises
    ------
    TrainingError
        No such preset or setting, or a value of another type or out of its limits.
    """
    preset = preset or preset_for(adapter or {})
    if preset not in PRESETS:
        raise TrainingError(f"There is no preset {preset!r}. Choose one of {', '.join(PRESETS)}.")
    return PRESETS[preset].changed(**given)


def train_project(
    folder: Path,
    start: str | None,
    preset: str | None,
    given: Mapping[str, Any],
    *,
    base: str,
    name: str | None,
    fresh: bool,
    use: bool,
    json_target: str | None,
) -> None:
    """Fine-tune on a project, keep the model as a new version, and report.

    Parameters
    ----------
    folder : Path
        Of the project.
    start : str or None
        See `load_start`.
    preset, given
        See `make_config`; without a preset, that of the model.
    base : str
        Checksum of base weights for a new Segment Anything model; empty: the official ones.
    name : str or None
        Of the model; None: that of the project.
    fresh : bool
        Do not go on with an interrupted run.
    use : bool
        Put the new version to use.
    json_target : str or None
    """
    from phaseguide.cli.train.dataset import print_epoch
    from phaseguide.projects.project import Project

    make_config(preset, given)  # what is wrong with it is said before anything is loaded
    project = Project.open(folder)
    with project.training_lock():
        checkpoint = project.training_folder() / CHECKPOINT
        if fresh:
            checkpoint.unlink(missing_ok=True)
        result: FinetuneResult = draw(
            _events(project, start, preset, given, base, name, checkpoint), print_epoch
        )
        version = project.add_version(
            result.model.segmenter,
            result.model.card,
            parent=start or project.current,
            parent_sha256=result.record["parent_sha256"],
            data_sha256=result.data_sha256,
            settings=result.record,
            before=None if result.before is None else result.before.to_dict(),
            after=None if result.after is None else result.after.to_dict(),
        )
        checkpoint.unlink(missing_ok=True)
    if use:
        project.use(version.id)
    _report(result, project, version, json_target, in_use=use)


def _events(
    project: Project,
    start: str | None,
    preset: str | None,
    given: Mapping[str, Any],
    base: str,
    name: str | None,
    checkpoint: Path,
) -> Iterator[Any]:
    from phaseguide.finetuning.run import finetune
    from phaseguide.finetuning.sources import Source, sources_from_project

    sources: list[Source] = []
    for source in sources_from_project(project):
        sources.append(source)
        yield Progress("Reading fields", len(sources), len(project.fields))
    if not sources:
        raise TrainingError(
            f"{project.folder}: no field has edits, labels or a ratio. Paint some in napari (phaseguide napari "
            "--project), or read labels in with phaseguide project edits."
        )
    channels = 1 if sources[0].image.ndim == 2 else sources[0].image.shape[2]
    model, notice = load_start(project, start, channels, base)
    if notice:
        yield Notice(notice)
    config = make_config(preset, given, model.card.backbone.adapter)
    yield from finetune(model, sources, config, name=name or project.name, checkpoint=checkpoint)


def load_start(project: Project, start: str | None, channels: int, base: str = "") -> tuple[LoadedModel, str]:
    """Load the model to start from and give it the project's phases; the notice says what was changed.

    Parameters
    ----------
    project : Project
    start : str or None
        Version, zoo name or path; ``imagenet`` or ``sam:vit_b`` for a new model; None for the model in use.
    channels : int
        Of the images.
    base : str
        Checksum of base weights for a new Segment Anything model; empty: the official ones.
    """
    from phaseguide.finetuning.new_model import new_model
    from phaseguide.models.model_file import load_model
    from phaseguide.models.rephase import rephase
    from phaseguide.models.zoo import open_model
    from phaseguide.projects.lineage import origin_for

    scheme = project.scheme
    if start == IMAGENET or (start is None and not project.current):
        return new_model(scheme, channels=channels, name=project.name), ""
    if size := sam_size(start):
        adapter = {"base": base} if base else {}
        return new_model(scheme, channels=channels, name=project.name, sam=size, adapter=adapter), ""
    if start is None:
        model = load_model(project.model_path())
    elif any(v.id == start for v in project.versions):
        model = load_model(project.version_path(start))
    else:
        model = open_model(start)
    known = model.card.scheme
    if known.names == scheme.names:
        return model, ""
    origin = origin_for(scheme, project.read_log(), known)
    new = [p.name for p in scheme if p.label not in origin]
    told = f"{model.card.name} knows {known.describe()}; the project has {scheme.describe()}."
    grown = f" New to it: {', '.join(new)}." if new else ""
    return replace(rephase(model, scheme, origin), path=model.path), told + grown


def _report(
    result: FinetuneResult, project: Project, version: VersionEntry, json_target: str | None, *, in_use: bool
) -> None:
    console = page(json_target)
    console.print(judgement_table(result.before, result.after))
    if result.better is not None:
        console.print(f"The new model is {'better' if result.better else 'not better'} on what was held out.")
    if result.after is not None and result.after.unjudged:
        unknown = ", ".join(result.after.unjudged)
        console.print(f"Nothing was held out of {unknown}: what became of that is not known.")
    console.print(f"Validated on {result.record['validation']}.")
    told = (
        "in use"
        if in_use
        else f"kept; put it to use with: phaseguide project use {project.folder} {version.id}"
    )
    console.print(f"Version {version.id} of {project.name}: {told}.", soft_wrap=True)
    write_json(
        json_target,
        {
            "project": str(project.folder),
            "version": version.id,
            "file": version.file,
            "in_use": in_use,
            "ended": result.ended,
            "better": result.better,
            "before": version.before or None,
            "after": version.after or None,
            "record": result.record,
        },
    )


def judgement_table(before: Judgement | None, after: Judgement | None) -> Any:
    """Dice per phase before and after, with the number of pixels behind it."""
    table = make_table(
        "On the validation pixels", ("phase", "pixels", "Dice before %", "Dice after %"), left=1
    )
    if before is None or after is None:
        table.add_row("nothing was held out", "", "", "")
        return table
    for was, now in zip(before.phases, after.phases, strict=True):
        table.add_row(now.phase, f"{now.pixels:,}", _text(was.dice), _text(now.dice))
    table.add_section()
    table.add_row("mean over phases", f"{after.pixels:,}", _text(before.dice_mean), _text(after.dice_mean))
    return table


def _text(share: float | None) -> str:
    return "-" if share is None else percent(share)
