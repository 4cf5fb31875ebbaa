"""``phaseguide train --project``: a model learns from what was painted in a project, and becomes a version of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phaseguide.cli.shared.output import make_table, page, percent, write_json
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.epochs import print_epoch

if TYPE_CHECKING:
    from phaseguide.finetuning.events import FinetuneResult, ValidationScores
    from phaseguide.jobs.finetune import ProjectVersion
    from phaseguide.jobs.finetune_start import ProjectJob
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import VersionEntry


def train_project(job: ProjectJob, json_target: str | None) -> None:
    """Fine-tune on a project, keep the model as a new version, and report."""
    from phaseguide.jobs.finetune import run_project

    done: ProjectVersion = draw(run_project(job), print_epoch)
    _report(done.result, job.project, done.version, json_target, in_use=job.use)


def _report(
    result: FinetuneResult, project: Project, version: VersionEntry, json_target: str | None, *, in_use: bool
) -> None:
    from phaseguide.finetuning.judging.verdict import verdict

    console = page(json_target)
    console.print(scores_table(result.before, result.after))
    if result.after is not None:
        console.print(verdict(result)[0])
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


def scores_table(before: ValidationScores | None, after: ValidationScores | None) -> Any:
    """Dice per phase before and after, with its range and the number of pixels behind it."""
    from phaseguide.finetuning.judging.verdict import NOT_TRAINED, range_text

    columns = ("phase", "pixels", "Dice before %", "Dice after %", "range %")
    table = make_table("On the validation pixels", columns, left=1)
    if after is None:
        table.add_row("nothing could judge", "", "", "", "")
        return table
    old = {} if before is None else {s.phase: s for s in before.phases}
    for now in after.phases:
        was = old.get(now.phase)
        new = was is None or not was.trained
        told = NOT_TRAINED if new and now.pixels else _text(was.dice if was else None)
        table.add_row(
            now.phase, f"{now.pixels:,}", told, _text(now.dice), range_text(now.low, now.high) or "-"
        )
    table.add_section()
    mean = None if before is None else before.dice_mean
    around = range_text(after.low, after.high) or "-"
    table.add_row("mean over phases", f"{after.pixels:,}", _text(mean), _text(after.dice_mean), around)
    return table


def _text(share: float | None) -> str:
    return "-" if share is None else percent(share)
