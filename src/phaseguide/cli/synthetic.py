"""``phaseguide data synthetic``: a data set of synthetic micrographs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from phaseguide.cli.shared.data_report import show_written
from phaseguide.cli.shared.limits import SEED
from phaseguide.cli.shared.output import JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import DatasetError

NUMBER: dict[str, Any] = {"metavar": "X"}


def synthetic(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to be made: a data set for train and evaluate.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="dual-phase|network|laths|spinodal|coating",
            help="Grains of two phases; films on grain boundaries, and particles; laths in packets, and islands; "
            "spinodal decomposition; layers from top to bottom.",
        ),
    ] = "dual-phase",
    phases: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Names of the phases in the order of their labels 1, 2, ..., darkest first. Default: those of the "
            "recipe.",
        ),
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            metavar="P,P,...",
            help="Area % of each phase, exact to one pixel in every image. Default: those of the recipe.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="Number of images.")] = 20,
    size: Annotated[
        str,
        typer.Option(metavar="HxW", help="Rows and columns of an image, with its information bar, in px."),
    ] = "512x512",
    seed: Annotated[int, typer.Option(**SEED, help="Another seed draws other images.")] = 0,
    length: Annotated[
        float,
        typer.Option(metavar="PX", help="Distance of grains, wavelength, or waviness of layers, in px."),
    ] = 32.0,
    contrast: Annotated[
        float, typer.Option(**NUMBER, help="From the darkest phase to the brightest; black to white is 1.")
    ] = 0.5,
    texture: Annotated[
        float, typer.Option(**NUMBER, help="Standard deviation of grey within a phase; black to white is 1.")
    ] = 0.06,
    gradient: Annotated[
        float,
        typer.Option(**NUMBER, help="Uneven etching: by how much one side is brighter than the other."),
    ] = 0.15,
    noise: Annotated[
        float,
        typer.Option(**NUMBER, help="Standard deviation of the camera's noise; black to white is 1."),
    ] = 0.03,
    blur: Annotated[float, typer.Option(metavar="PX", help="Standard deviation of the blur, in px.")] = 1.0,
    bar_rows: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Rows of the information bar with its scale, 16 to 256, label 255; 0 draws none.",
        ),
    ] = 32,
    pixel_size: Annotated[
        float, typer.Option(metavar="UM", help="Size of a pixel in micrometres, for the scale.")
    ] = 0.1,
    json_target: JsonOption = None,
) -> None:
    """Draw synthetic micrographs of exactly known composition as a data set.

    For lessons and tests, and to train on first. The same call draws the same
    images; origin.json says that they are synthetic, with all settings. OUT
    appears when it is complete, and a stopped call goes on.

    \b
    [bold]Examples[/bold]
      phaseguide data synthetic grains --count 50 --seed 1
      phaseguide data synthetic steel --recipe laths --phases ferrite,bainite,MA --fractions 55,35,10
    """  # noqa: D301
    from phaseguide.datasets.synthetic.settings import SyntheticSettings
    from phaseguide.jobs.data.synthetic import draw_data

    height, width = _size(size)
    told = {
        "recipe": recipe,
        "phases": tuple(name.strip() for name in phases.split(",")) if phases else (),
        "fractions": _shares(fractions) if fractions else (),
        "count": count,
        "height": height,
        "width": width,
        "seed": seed,
        "length_px": length,
        "contrast": contrast,
        "texture": texture,
        "gradient": gradient,
        "noise": noise,
        "blur_px": blur,
        "bar_rows": bar_rows,
        "pixel_size_um": pixel_size,
    }
    show_written(draw(draw_data(out, SyntheticSettings.from_dict(told))), json_target)


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise DatasetError(
            f"--size {text!r} is not understood. Write rows x columns in px, for example 512x768."
        ) from None
    return height, width


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part.strip().removesuffix("%")) / 100 for part in text.split(","))
    except ValueError:
        shares = (math.nan,)
    if not all(map(math.isfinite, shares)):
        raise DatasetError(
            f"--fractions {text!r} is not understood. Write area % of each phase, for example 70,30."
        )
    return shares
