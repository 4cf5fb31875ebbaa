"""The command line. Commands import what they need when they run, so that --help answers at once."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli import benchmark, data, demo, embeddings, evaluate, look_inside, napari, segment
from phaseguide.cli.estimate import painted, points
from phaseguide.cli.models import library, strokes, weights
from phaseguide.cli.project import project
from phaseguide.cli.shared.errors import GuardedGroup
from phaseguide.cli.train import dataset

__all__ = ["app"]

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
library.models_app.command(name="from-strokes")(strokes.from_strokes)
library.models_app.add_typer(weights.base_app, name="base")
app.add_typer(library.models_app, name="models")
app.add_typer(project.project_app, name="project")
app.add_typer(data.data_app, name="data")
app.add_typer(embeddings.embeddings_app, name="embeddings")
app.add_typer(benchmark.benchmark_app, name="benchmark")
app.add_typer(benchmark.study_app, name="study")
painted.estimate_app.add_typer(points.points_app, name="points")
app.add_typer(painted.estimate_app, name="estimate")
app.command()(demo.demo)
app.command(name="napari")(napari.start_napari)
