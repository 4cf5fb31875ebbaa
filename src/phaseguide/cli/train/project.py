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
    console = page(json_target)
    console.print(scores_table(result.before, result.after))
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


def scores_table(before: ValidationScores | None, after: ValidationScores | None) -> Any:
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
