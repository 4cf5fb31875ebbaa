"""``phaseguide benchmark``: its commands are studies, which nothing of the product imports; they are found by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

STUDIES = "phaseguide.studies.commands"


class StudiesGroup(TyperGroup):
    """A group whose commands are imported when the group itself is called or asked for help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all studies, in the order of their registration."""
        names: list[str] = self._loaded().list_commands(ctx)
        return names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one study, or None."""
        return self._loaded().get_command(ctx, cmd_name)

    def _loaded(self) -> Any:
        return typer.main.get_group(import_module(STUDIES).benchmark_app)


benchmark_app = typer.Typer(
    cls=StudiesGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Measure speed, memory and quality, and save the numbers.",
)


@benchmark_app.callback()
def _group() -> None:
    """Measure speed, memory and quality, and save the numbers."""
