"""``phaseguide benchmark familiarity``: how often the warning about strange images comes, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phaseguide.cli.shared.images import read_image
from phaseguide.cli.shared.output import JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import PhaseguideError
from phaseguide.studies.commands.options import FoldsOption


def familiarity(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder with images/.")],
    folds_file: FoldsOption,
    others: Annotated[
        list[str] | None,
        typer.Option("--other", metavar="NAME=DIR", help="Images of another material; may be repeated."),
    ] = None,
    json_target: JsonOption = None,
) -> None:
    """Count warnings on images of left-out folds, degraded ones, and other materials.

    [bold]Example[/bold]

    \b
      phaseguide benchmark familiarity data/steel --folds folds.json --other coating=data/coating
    """  # noqa: D301
    from dataclasses import asdict

    from phaseguide.datasets.folder import open_dataset
    from phaseguide.jobs.image_files import find_images
    from phaseguide.studies.folds.out_of_distribution import out_of_distribution_study, to_lines
    from phaseguide.studies.report import publish
    from phaseguide.training.crossfit.folds import read_folds

    data = open_dataset(dataset)
    folds = read_folds(folds_file, data)
    wanted = [stem for stems in folds.values() for stem in stems]
    images = {item.stem: item.read_image().data for item in data.only(wanted).items}
    foreign = {}
    for other in others or []:
        name, _, folder = other.partition("=")
        if not folder:
            raise PhaseguideError(f"--other {other!r} is not understood. Write NAME=FOLDER.")
        foreign[name] = [read_image(path).data for path in find_images([Path(folder)])]
    rates = draw(out_of_distribution_study(images, folds, foreign))
    publish(to_lines(rates), {"rates": [asdict(rate) for rate in rates]}, json_target)
