"""``phaseguide project``: everything about a project that needs no viewer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.project.fields import edits, ratio, reject, relink, reopen, review
from phaseguide.cli.project.phases import phases_app
from phaseguide.cli.project.shared import Folder, open_with
from phaseguide.cli.shared.errors import EXIT_SOME_FAILED, leave_with, say_notice
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.named_phases import named_phases
from phaseguide.cli.shared.output import (
    DeviceOption,
    FlipsOption,
    JsonOption,
    RuntimeOption,
    make_table,
    page,
    percent,
    say,
    write_json,
)
from phaseguide.errors import PhaseguideError, ProjectBusyError, ProjectError, as_user_error

if TYPE_CHECKING:
    from rich.console import Console

    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

RESULT_COLUMNS = ("model", "phase", "achieved", "own")

project_app = command_group("Keep fields, edits, results and model versions together in a folder.")
project_app.add_typer(phases_app, name="phases")


@project_app.command()
def create(
    folder: Folder,
    phases: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|FILE", help='"ferrite,bainite", or a scheme.json. Default: the model\'s.'
        ),
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", metavar="M", help="Model to begin with.")] = "",
    name: Annotated[str, typer.Option(help="What to call it. Default: as the folder.")] = "",
) -> None:
    """Start a project.

    \b
    [bold]Examples[/bold]
      phaseguide project create heat-4711 --model uhcs
      phaseguide project create bainite --phases "ferrite,bainite,martensite"
    """  # noqa: D301
    from phaseguide.projects.project import Project

    project = Project.create(folder, _scheme(phases, model), name=name, model=model)
    say(f"Project {project.name} in {project.folder}: {project.scheme.describe()}")


@project_app.command()
def add(
    folder: Folder,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.")
    ],
    specimen: Annotated[str, typer.Option(help="Specimen that they show.")] = "",
    detector: Annotated[str, typer.Option(help="Detector, for example SE or BSE.")] = "",
    to: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Another detector's image of this field.")
    ] = None,
) -> None:
    """Add images as fields. They stay where they are.

    An image that cannot be added does not keep the others from being added.

    \b
    [bold]Examples[/bold]
      phaseguide project add heat-4711 scans/ --specimen 4711-A
      phaseguide project add heat-4711 scans/a_bse.tif --to a --detector BSE
    """  # noqa: D301
    from phaseguide.jobs.image_files import find_images

    project = open_with(folder, () if to is None else [to])
    paths, failed = find_images(images, say_notice), list[PhaseguideError]()
    for path in paths:
        try:
            if to is None:
                entry = project.add_field(path, specimen=specimen, detector=detector)
                say(f"Field {entry.id}: {path}")
            else:
                project.add_image(to, path, detector)
                say(f"Field {to}, {detector or 'another image'}: {path}")
        except Exception as error:
            failed.append(as_user_error(error, str(path)))
            if len(paths) == 1 or isinstance(error, ProjectBusyError):
                raise failed[-1] from None
    if failed:
        leave_with(f"{len(failed)} of {len(paths)} images could not be added:", failed)


@project_app.command()
def show(folder: Folder, json_target: JsonOption = None) -> None:
    """List the fields, and the versions of the model.

    [bold]Example[/bold]: phaseguide project show heat-4711
    """
    project = open_with(folder)
    console = page(json_target)
    console.print(f"Model in use: {project.current or 'none yet'}", soft_wrap=True)
    fields = make_table(
        f"{project.name}, area %", ("field", "specimen", "state", "known", *RESULT_COLUMNS), left=6
    )
    for entry in project.fields:
        fields.add_row(*_field_row(project, entry))
    console.print(fields)
    _say_constrained(console, project.fields)
    if project.mixed_versions():
        console.print("Results are of several models. Segment again: phaseguide project rerun")
    if project.versions:
        versions = make_table("Versions", ("version", "parent", "kept", "note"), left=4)
        for version in project.versions:
            told = f"{version.note} (deleted)" if version.deleted else version.note
            versions.add_row(version.id, version.parent, version.created, told)
        console.print(versions)
    stale = [entry.id for entry in project.stale_fields()]
    write_json(json_target, {"folder": str(project.folder), **project.file.model_dump(), "stale": stale})


for command in (edits, ratio, review, reject, reopen, relink):
    project_app.command()(command)


@project_app.command()
def use(
    folder: Folder,
    model: Annotated[str, typer.Argument(metavar="M", help="A version, a model's name, or its file.")],
) -> None:
    """Put a model to use.

    [bold]Example[/bold]: phaseguide project use heat-4711 v002
    """
    project = open_with(folder)
    project.use(model)
    say(f"{project.name} uses {project.current}; {len(project.stale_fields())} results are of another model.")


@project_app.command()
def delete(
    folder: Folder, version: Annotated[str, typer.Argument(help="A version that is not in use.")]
) -> None:
    """Move a version of the model to the project's recycle folder.

    [bold]Example[/bold]: phaseguide project delete heat-4711 v001
    """
    say(f"Version {version} is in {open_with(folder).delete_version(version).file} now.")


@project_app.command()
def restore(folder: Folder, version: Annotated[str, typer.Argument(help="A deleted version.")]) -> None:
    """Bring a deleted version of the model back.

    [bold]Example[/bold]: phaseguide project restore heat-4711 v001
    """
    say(f"Version {version} is in {open_with(folder).restore_version(version).file} again.")


@project_app.command()
def rerun(
    folder: Folder,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD...]", help="Default: unreviewed fields without a result of the model in use."
        ),
    ] = None,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    flips: FlipsOption = None,
    exclude_info_bar: Annotated[
        bool,
        typer.Option("--exclude-info-bar/--keep-info-bar", help="Leave detected bars and empty rims out."),
    ] = True,
    json_target: JsonOption = None,
) -> None:
    """Segment fields with the model in use, each with its ratio and edits.

    \b
    [bold]Examples[/bold]
      phaseguide project rerun heat-4711
      phaseguide project rerun heat-4711 a --device cpu
    """  # noqa: D301
    from phaseguide.cli.shared.progress import draw
    from phaseguide.jobs.project.rerun_project import Rerun
    from phaseguide.jobs.project.rerun_project import rerun as run

    project = open_with(folder, fields or ())
    options: dict[str, Any] = {
        "device": device,
        "runtime": runtime,
        "flips": flips,
        "exclude_info_bar": exclude_info_bar,
    }
    outcome: Rerun = draw(run(project, fields or None, **options))
    table = make_table("Area %", ("field", *RESULT_COLUMNS), left=3)
    for entry in outcome.done:
        table.add_row(entry.id, *_result_cells(project, entry))
    if outcome.done:
        console = page(json_target)
        console.print(table)
        _say_constrained(console, outcome.done)
    else:
        say("Nothing was segmented." if outcome.failed else "Nothing to do: every field has its result.")
    write_json(
        json_target,
        {
            "done": [entry.model_dump() for entry in outcome.done],
            "failed": {field: str(error) for field, error in outcome.failed.items()},
        },
    )
    if outcome.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


@project_app.command()
def log(
    folder: Folder,
    last: Annotated[int, typer.Option(min=1, max=10**9, metavar="N", help="Only the last N lines.")] = 20,
    json_target: JsonOption = None,
) -> None:
    """Show what happened in a project.

    [bold]Example[/bold]: phaseguide project log heat-4711 --last 50
    """
    lines = open_with(folder).read_log()[-last:]
    console = page(json_target)
    for line in lines:
        details = ", ".join(f"{key} {value}" for key, value in line.items() if key not in ("time", "event"))
        console.print(f"{line.get('time')}  {line.get('event')}: {details}", soft_wrap=True)
    write_json(json_target, lines)


def _scheme(phases: str | None, model: str) -> PhaseScheme:
    from phaseguide.models.model_file import read_card
    from phaseguide.models.zoo import find_model

    if phases is None:
        if not model:
            raise ProjectError(
                'A project needs phases: --phases "ferrite,bainite", or a --model that has them.'
            )
        return read_card(find_model(model)).scheme
    return named_phases(phases)


def _field_row(project: Project, entry: FieldEntry) -> tuple[str, ...]:
    state = f"{entry.state}: {entry.reason}" if entry.reason else entry.state
    known = ", ".join(what for what in ("edits", "truth", "ratio") if getattr(entry, what) is not None)
    return entry.id, entry.specimen, state, known, *_result_cells(project, entry)


def _result_cells(project: Project, entry: FieldEntry) -> tuple[str, ...]:
    """Cells of `RESULT_COLUMNS`, one line a phase."""
    result = entry.result
    if result is None:
        return ("",) * len(RESULT_COLUMNS)
    model = Path(result.version).name
    told = f"{model}\n(not in use)" if entry.is_stale(project.current) else model
    columns = (project.scheme.names, map(percent, result.achieved), map(percent, result.own))
    return (told, *("\n".join(column) for column in columns))


def _say_constrained(console: Console, entries: Iterable[FieldEntry]) -> None:
    from phaseguide.segmentation.saving import CONSTRAINED

    fields = [entry.id for entry in entries if entry.result is not None and entry.result.constrained]
    if fields:
        text = f"achieved of {', '.join(fields)}: {CONSTRAINED}; own: without the ratio"
        console.print(text, soft_wrap=True)
