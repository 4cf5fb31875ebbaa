"""``phaseguide project phases``: phases renamed, recoloured, added, merged, removed; all label maps follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phaseguide.cli.project.shared import Folder, open_with
from phaseguide.cli.shared.groups import command_group
from phaseguide.cli.shared.output import say
from phaseguide.errors import SchemeError

if TYPE_CHECKING:
    from phaseguide.phases import Phase
    from phaseguide.projects.project import Project

phases_app = command_group(
    "Change the phases. Edits, truth, results and ratios follow; maps as they were are recycled."
)

PhaseArgument = Annotated[str, typer.Argument(metavar="PHASE", help="Name or label number.")]


@phases_app.command()
def rename(
    folder: Folder, phase: PhaseArgument, name: Annotated[str, typer.Argument(help="The new name.")]
) -> None:
    """Give a phase another name.

    [bold]Example[/bold]: phaseguide project phases rename heat-4711 2 "upper bainite"
    """
    _edit(folder, phase, name=name)


@phases_app.command()
def recolour(
    folder: Folder, phase: PhaseArgument, colour: Annotated[str, typer.Argument(metavar="#RRGGBB")]
) -> None:
    """Give a phase another colour.

    [bold]Example[/bold]: phaseguide project phases recolour heat-4711 ferrite "#56b4e9"
    """
    _edit(folder, phase, colour=colour)


@phases_app.command()
def add(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Name of the new phase.")],
    colour: Annotated[str | None, typer.Option(metavar="#RRGGBB", help="Default: one that is free.")] = None,
) -> None:
    """Add a phase as the last one.

    [bold]Example[/bold]: phaseguide project phases add heat-4711 martensite
    """
    from phaseguide.phases import DEFAULT_COLOURS, Phase

    project = open_with(folder)
    used = {phase.colour for phase in project.scheme}
    free = next((shade for shade in DEFAULT_COLOURS if shade not in used), DEFAULT_COLOURS[0])
    new = Phase(len(project.scheme) + 1, name, colour or free)
    _change(project, [*project.scheme, new], {phase.label: phase.label for phase in project.scheme})


@phases_app.command()
def merge(
    folder: Folder,
    phase: PhaseArgument,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The phase that it becomes part of.")],
) -> None:
    """Make a phase part of another.

    [bold]Example[/bold]: phaseguide project phases merge heat-4711 "lower bainite" bainite
    """
    _drop(folder, phase, into)


@phases_app.command()
def remove(folder: Folder, phase: PhaseArgument) -> None:
    """Remove a phase; its pixels become not classified.

    [bold]Example[/bold]: phaseguide project phases remove heat-4711 slag
    """
    _drop(folder, phase, None)


def _edit(folder: Path, text: str, **update: str) -> None:
    project = open_with(folder)
    chosen = project.scheme.find(text)
    edited = replace(chosen, **update)  # type: ignore[arg-type]
    phases = [edited if phase == chosen else phase for phase in project.scheme]
    _change(project, phases, {phase.label: phase.label for phase in phases})


def _drop(folder: Path, text: str, into: str | None) -> None:
    project = open_with(folder)
    chosen = project.scheme.find(text)
    target = None if into is None else project.scheme.find(into)
    if target == chosen:
        raise SchemeError(f"{chosen.name} cannot be merged into itself. Name two phases.")
    relabel = {phase.label: phase.label - (phase.label > chosen.label) for phase in project.scheme}
    relabel[chosen.label] = 0 if target is None else relabel[target.label]
    kept = [replace(phase, label=relabel[phase.label]) for phase in project.scheme if phase != chosen]
    _change(project, kept, relabel)


def _change(project: Project, phases: Sequence[Phase], relabel: Mapping[int, int]) -> None:
    from phaseguide.phases import PhaseScheme

    project.change_scheme(PhaseScheme(tuple(phases)), relabel)
    say(f"Phases: {project.scheme.describe()}")
