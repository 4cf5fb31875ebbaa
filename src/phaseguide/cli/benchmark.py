"""``phaseguide benchmark`` and ``phaseguide study``: research, which nothing of the product imports; found by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


class LaterGroup(TyperGroup):
    """A group whose commands are imported when the group itself is called or asked for help."""

    where = ""  # module and name of the group with the commands

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of their registration."""
        names: list[str] = self._loaded().list_commands(ctx)
        return names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one command, or None."""
        return self._loaded().get_command(ctx, cmd_name)

    def _loaded(self) -> Any:
        module, _, name = self.where.partition(":")
        return typer.main.get_group(getattr(import_module(module), name))


class BenchmarkGroup(LaterGroup):
    """What is measured of this program."""

    where = "phaseguide.studies.commands:benchmark_app"


class StudyGroup(LaterGroup):
    """The named studies."""

    where = "phaseguide.studies.commands.study:study_app"


benchmark_app = typer.Typer(
    cls=BenchmarkGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Measure speed, memory and quality, and save the numbers.",
)
study_app = typer.Typer(
    cls=StudyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Compare published systems, guidance and trainings on data sets; tables, JSON and a figure.",
)


@benchmark_app.callback()
def _benchmark() -> None:
    """Measure speed, memory and quality, and save the numbers."""


@study_app.callback()
def _study() -> None:
    """Compare published systems, guidance and trainings on data sets; tables, JSON and a figure."""
