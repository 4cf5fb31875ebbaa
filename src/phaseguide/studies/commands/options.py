"""Arguments and options that several studies have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from phaseguide.cli.shared.limits import SEED, THREADS
from phaseguide.errors import PhaseguideError

Meant = TypeVar("Meant")

LabelledArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder with images/ and labels/.")]
FoldsOption = Annotated[
    Path, typer.Option("--folds", metavar="FILE", help='JSON: {"A": ["image", ...], "B": [...]}.')
]
PhasesOption = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Names of labels 1, 2, ... where there is no scheme.json."),
]
SchemeOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A scheme.json where the folder has none.")
]
SizesOption = Annotated[str, typer.Option(metavar="N,N,...", help="Sides of the square images in pixels.")]
ThreadsOption = Annotated[int, typer.Option(**THREADS)]
DrawSeedOption = Annotated[int, typer.Option(**SEED, help="Seed of these draws.")]


def parts_of(text: str) -> list[str]:
    """Return what stands between the commas of an option."""
    return [part.strip() for part in text.split(",") if part.strip()]


def choose(option: str, word: str, choices: Mapping[Any, Meant]) -> Meant:
    """Return what a word of an option means.

    Raises
    ------
    PhaseguideError
        Not one of the words.
    """
    if word not in choices:
        raise PhaseguideError(f"{option} {word!r} is not known. Choose {', '.join(choices)}.")
    return choices[word]


def seeds_of(text: str) -> list[int]:
    """Read the seeds of an option."""
    low, high = SEED["min"], SEED["max"]
    try:
        found = [int(part) for part in parts_of(text)]
    except ValueError:
        found = []
    if not found or not all(low <= number <= high for number in found):
        raise PhaseguideError(f"--seeds {text!r}: give whole numbers from {low} to {high}, as in 0,1.")
    return found
