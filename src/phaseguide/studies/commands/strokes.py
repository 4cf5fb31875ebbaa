"""``phaseguide benchmark strokes``: what area shares from strokes are worth on labelled micrographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.shared.limits import REPEATS
from phaseguide.cli.shared.output import JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.studies.commands.options import FoldsOption, LabelledArgument, PhasesOption, SchemeOption


def strokes(
    dataset: LabelledArgument,
    folds_file: FoldsOption,
    models: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder with the models, one a fold, as benchmark folds makes them."
        ),
    ],
    phases: PhasesOption = None,
    scheme: SchemeOption = None,
    seeds: Annotated[int, typer.Option(**REPEATS, help="Simulated users of each kind on an image.")] = 1,
    json_target: JsonOption = None,
) -> None:
    """Measure how far shares from strokes are off, by where the strokes are.

    Simulated users paint 0.1, 0.5 and 2 % of each image: spread out, where it is
    easy, in one spot, on the model's mistakes. Each image is seen by the model
    that has not learnt from it. Some seconds an image and user.

    \b
    [bold]Example[/bold]
      phaseguide benchmark strokes data/steel --folds folds.json --models runs/steel --json strokes.json
    """  # noqa: D301
    from phaseguide.cli.train.dataset import choose_scheme
    from phaseguide.datasets.folder import open_dataset
    from phaseguide.studies.intervals.strokes import strokes_study, to_lines
    from phaseguide.studies.report import publish
    from phaseguide.training.crossfit.folds import read_folds

    data = open_dataset(dataset)
    chosen = choose_scheme(data, phases, scheme, None)
    results = draw(strokes_study(data, read_folds(folds_file, data), models, chosen, seeds=seeds))
    numbers = {"dataset": data.folder.name, "seeds": seeds, "ways": [one.to_dict() for one in results]}
    publish(to_lines(results), numbers, json_target)
