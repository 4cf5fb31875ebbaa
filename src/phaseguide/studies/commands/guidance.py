"""``phaseguide benchmark guidance``: what a ratio is worth to networks that were told it in training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.shared.output import DeviceOption, JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.cli.train.dataset import choose_scheme
from phaseguide.cli.train.epochs import print_epoch
from phaseguide.cli.train.settings import parse_settings
from phaseguide.errors import PhaseguideError
from phaseguide.studies.commands.options import (
    DrawSeedOption,
    FoldsOption,
    LabelledArgument,
    PhasesOption,
    SchemeOption,
    parts_of,
    seeds_of,
)
from phaseguide.training.config import TrainingConfig


def guidance(
    dataset: LabelledArgument,
    folds_file: FoldsOption,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for models and what they were judged to do.")
    ],
    conditions: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these conditions; without it, all of them.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Test on these folds only; without it, on all.")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N,...", help="Seeds of the trainings.")] = "0",
    window: Annotated[
        int,
        typer.Option(min=32, max=4096, metavar="PX", help="Side of the windows, each with its own ratio."),
    ] = 128,
    experts: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Experts drawn for a place.")
    ] = 3,
    train: Annotated[
        bool,
        typer.Option(
            "--train/--report", help="Train and judge what is missing, or only report what is there."
        ),
    ] = True,
    phases: PhasesOption = None,
    scheme: SchemeOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of every training; may be repeated."),
    ] = None,
    seed: DrawSeedOption = 0,
    device: DeviceOption = "auto",
    json_target: JsonOption = None,
) -> None:
    """Train one network for each condition, fold and seed, and judge it on images that it has not seen.

    Whole fields and windows, without a ratio and with ratios of every quality, by conditioning, by matching, and by
    both. A network takes about four minutes of one CPU thread. Stop with Ctrl-C at any time; the same command goes
    on where it stopped.

    [bold]Example[/bold]

    \b
      phaseguide benchmark guidance data/steel --folds folds.json --out runs/guidance --conditions none,joint
    """  # noqa: D301
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.studies.guidance.conditions import CONDITIONS
    from phaseguide.studies.guidance.report import to_lines
    from phaseguide.studies.guidance.study import Plan, guidance_study, read_judged
    from phaseguide.studies.guidance.summary import summarise
    from phaseguide.studies.report import publish
    from phaseguide.training.crossfit.folds import read_folds

    data = open_dataset(dataset)
    resolved = choose_scheme(data, phases, scheme, None)
    folds = read_folds(folds_file, data)
    plan = Plan(
        conditions=list(CONDITIONS) if conditions is None else parts_of(conditions),
        folds=list(folds) if only is None else parts_of(only),
        seeds=seeds_of(seeds),
        side=window,
        experts=experts,
        seed=seed,
    )
    if train:
        given = {"device": device, **parse_settings(settings or [], TrainingConfig)}
        events = guidance_study(data, resolved, folds, CONDITIONS, plan, out, given)
        judged = draw(events, print_epoch)
    else:
        judged = read_judged(plan, out)
    if not judged:
        raise PhaseguideError(f"{out}: no network of these conditions, folds and seeds has been judged yet.")
    numbers = {
        "judging": judged[0]["judging"],
        "phases": judged[0]["phases"],
        **summarise(judged, CONDITIONS),
    }
    publish(to_lines(numbers), numbers, json_target)
