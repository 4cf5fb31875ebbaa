"""``phaseguide benchmark live``: how quickly the mask follows the hand."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli.napari import HOW_TO_INSTALL, has_display, napari_is_installed
from phaseguide.cli.shared.limits import REPEATS, read_sides
from phaseguide.cli.shared.output import JsonOption, ModelOption
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import PhaseguideError
from phaseguide.studies.commands.options import SizesOption, ThreadsOption


def live(
    model: ModelOption = "uhcs",
    sizes: SizesOption = "1024,4096",
    changes: Annotated[int, typer.Option(**REPEATS, help="How many changes of a value to measure.")] = 60,
    threads: ThreadsOption = 0,
    json_target: JsonOption = None,
) -> None:
    """Measure live mode in a real viewer: from a changed value to the mask on the screen.

    Opens napari, so it needs a display. Where there is none, a virtual one will do (package xvfb):

    \b
      xvfb-run -a -s "-screen 0 1920x1200x24" phaseguide benchmark live

    \b
    [bold]Examples[/bold]
      phaseguide benchmark live --json live.json
      phaseguide benchmark live --sizes 1024 --changes 200
    """  # noqa: D301
    from phaseguide.models.zoo import find_model
    from phaseguide.studies.report import publish
    from phaseguide.studies.speed.live import benchmark_live, to_lines

    sides = read_sides(sizes)
    path = find_model(model)
    if not napari_is_installed():
        raise PhaseguideError(f"napari is not installed. {HOW_TO_INSTALL}")
    if not has_display():
        raise PhaseguideError(
            "Live mode is measured in a window, and there is no display here. Make a virtual one (package xvfb): "
            'xvfb-run -a -s "-screen 0 1920x1200x24" phaseguide benchmark live'
        )
    report = draw(benchmark_live(path, sizes=sides, changes=changes, threads=threads))
    publish(to_lines(report), report.to_dict(), json_target)
