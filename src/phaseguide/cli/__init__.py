"""The command line. Commands import what they need when they run, so that --help answers at once."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli import demo, embeddings, evaluate, look_inside, segment

from phaseguide.studies.commands import speed

from phaseguide.studies.commands import finetune

from phaseguide.studies.commands import sam

from phaseguide.cli.estimate import painted

from phaseguide.studies.commands import out_of_distribution

from phaseguide.studies.commands import folds

from phaseguide.studies.commands import large

from phaseguide.studies.commands import live

from phaseguide.cli.models import library

from phaseguide.cli.models import weights

from phaseguide.cli.estimate import points

from phaseguide.cli.project import project

from phaseguide.cli import napari

from phaseguide.cli.train import dataset

from phaseguide.studies.commands import zero_shot
from phaseguide.cli.shared.errors import GuardedGroup

__all__ = ["app", "benchmark_finetune", "benchmark_sam", "familiarity", "folds", "large", "live", "zero_shot"]

app = typer.Typer(
    name="phaseguide",
    cls=GuardedGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Segment the phases of alloy micrographs with the help of the phase ratio that you know.",
    epilog="Start here: phaseguide demo",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from phaseguide import __version__

        typer.echo(f"phaseguide {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
    ] = False,
) -> None:
    pass


app.command()(segment.segment)
app.command()(dataset.train)
app.command()(evaluate.evaluate)
app.command(name="look-inside")(look_inside.look_inside)
library.models_app.add_typer(weights.base_app, name="base")
app.add_typer(library.models_app, name="models")
app.add_typer(project.project_app, name="project")
app.add_typer(embeddings.embeddings_app, name="embeddings")
app.add_typer(speed.benchmark_app, name="benchmark")
painted.estimate_app.add_typer(points.points_app, name="points")
app.add_typer(painted.estimate_app, name="estimate")
app.command()(demo.demo)
app.command(name="napari")(napari.start_napari)
