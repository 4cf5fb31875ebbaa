"""``phaseguide benchmark zero-shot``: what Segment Anything does on a data set before it learns anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.shared.limits import REPEATS
from phaseguide.cli.shared.output import DeviceOption, JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.studies.commands.options import (
    DrawSeedOption,
    LabelledArgument,
    PhasesOption,
    SchemeOption,
    parts_of,
)


def zero_shot(
    dataset: LabelledArgument,
    size: Annotated[
        str, typer.Option(metavar="S", help="Size of the model: vit_b, vit_l or vit_h.")
    ] = "vit_b",
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File of its weights. Default: the official one, wherever it lies."
        ),
    ] = None,
    points: Annotated[int, typer.Option(**REPEATS, help="Clicks a phase and image.")] = 5,
    prompts: Annotated[
        str,
        typer.Option(
            metavar="points,boxes", help="Prompt with the clicks, or with boxes around what they hit."
        ),
    ] = "points,boxes",
    folds_file: Annotated[
        Path | None,
        typer.Option(
            "--folds", metavar="FILE", help='JSON: {"A": ["image", ...], "B": [...]}, for the spread.'
        ),
    ] = None,
    phases: PhasesOption = None,
    scheme: SchemeOption = None,
    repeats: Annotated[int, typer.Option(**REPEATS, help="Draws of the clicks.")] = 3,
    seed: DrawSeedOption = 0,
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Prompt the official Segment Anything with a simulated user's clicks, and judge it as the folds report does.

    The clicks come from the labels: a user who knows the phases and never clicks wrong. Nothing is trained.

    \b
    [bold]Examples[/bold]
      phaseguide benchmark zero-shot data/steel --size vit_b --points 5 --json zero-shot.json
      phaseguide benchmark zero-shot data/steel --folds folds.json --base sam_vit_b_01ec64.pth
    """  # noqa: D301
    from phaseguide.cli.train.dataset import choose_scheme
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.studies.report import publish
    from phaseguide.studies.sam.zero_shot import to_lines, zero_shot_study
    from phaseguide.training.crossfit.folds import read_folds

    data = open_dataset(dataset)
    resolved = choose_scheme(data, phases, scheme, None)
    events = zero_shot_study(
        data,
        resolved,
        size=size,
        base=base,
        points=points,
        prompts=parts_of(prompts),
        folds=None if folds_file is None else read_folds(folds_file, data),
        repeats=repeats,
        seed=seed,
        device=device,
    )
    report = draw(events)
    publish(to_lines(report), report, json_target)
