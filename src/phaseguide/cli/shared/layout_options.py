"""What the options of a command say about a folder of images and annotations, read into one object."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from phaseguide.datasets.reading.options import LayoutOptions

SplitOption = Annotated[
    list[str] | None,
    typer.Option("--split", metavar="NAME", help="Only images of this split or fold; may be repeated."),
]
PhasesOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Names of the phases in the order of their labels 1, 2, ...; of a published set, other names for its own.",
    ),
]
ColoursOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Which colour of a mask is which phase: CSV with columns colour and phase, or a scheme.json.",
    ),
]
UnknownColoursOption = Annotated[
    str,
    typer.Option(
        metavar="refuse|nearest|unclassified",
        help="Colours that the table does not have, as on smoothed edges: named and refused, the phase of the nearest "
        "colour (told, with its pixels), or label 0.",
    ),
]
BackgroundOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|none",
        help="The phase of what no polygon covers, label 1; none leaves it unclassified.",
    ),
]
UnnamedOption = Annotated[
    str, typer.Option(metavar="NAME", help="The phase of outlines that carry no name of one.")
]
UnlabelledOption = Annotated[
    str,
    typer.Option(
        metavar="refuse|negative|drop",
        help="Images without any label: named and refused, all background (polygons only), or left out.",
    ),
]
BadPolygonsOption = Annotated[
    str,
    typer.Option(
        metavar="refuse|repair|drop",
        help="Polygons that leave the image, cross themselves or have fewer than three corners: named and refused, cut "
        "and filled by the even-odd rule, or left out. What was done is told.",
    ),
]
BarOption = Annotated[
    str,
    typer.Option(
        metavar="exclude|crop", help="Information bars: kept in the image with label 255, or cut off."
    ),
]


def takes_layout_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options below in the place of a command's keyword ``options``, and call it with what they say."""
    told = {one.name: one for one in _parameters(_options)}
    every: list[inspect.Parameter] = []
    for parameter in _parameters(command):
        every += told.values() if parameter.name == "options" else [parameter]

    @wraps(command)
    def run(**given: Any) -> None:
        options = _options(**{name: given.pop(name) for name in told})
        command(**given, options=options)

    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in every}
    return run


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Parameters with what their annotations stand for; `LayoutOptions` itself is loaded when a command runs."""
    hints = get_type_hints(function, localns={"LayoutOptions": object}, include_extras=True)
    return [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
    ]


def _options(
    *,
    split: SplitOption = None,
    phases: PhasesOption = None,
    colours: ColoursOption = None,
    unknown_colours: UnknownColoursOption = "refuse",
    background: BackgroundOption = "background",
    unnamed: UnnamedOption = "",
    unlabelled: UnlabelledOption = "refuse",
    bad_polygons: BadPolygonsOption = "refuse",
    bar: BarOption = "exclude",
) -> LayoutOptions:
    from phaseguide.datasets.reading.options import LayoutOptions

    told = {
        "splits": tuple(split or ()),
        "phases": tuple(name.strip() for name in phases.split(",")) if phases else (),
        "colours": str(colours) if colours else "",
        "unknown_colours": unknown_colours,
        "background": background,
        "unnamed": unnamed,
        "unlabelled": unlabelled,
        "bad_polygons": bad_polygons,
        "bar": bar,
    }
    return LayoutOptions.from_dict(told)
