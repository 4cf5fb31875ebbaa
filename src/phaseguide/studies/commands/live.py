"""``phaseguide benchmark live``: how quickly the mask follows the hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from phaseguide.cli.napari import HOW_TO_INSTALL, has_display, napari_is_installed
from phaseguide.cli.shared.limits import REPEATS, THREADS, read_sides
from phaseguide.cli.shared.output import JsonOption, ModelOption, make_table, page, write_json
from phaseguide.cli.shared.progress import draw
from phaseguide.errors import PhaseguideError

if TYPE_CHECKING:
    from phaseguide.studies.speed.live import LiveReport


def live(
    model: ModelOption = "uhcs",
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Sides of the square images in pixels.")
    ] = "1024,4096",
    changes: Annotated[int, typer.Option(**REPEATS, help="How many changes of a value to measure.")] = 60,
    threads: Annotated[int, typer.Option(**THREADS)] = 0,
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
    from phaseguide.studies.speed.live import benchmark_live

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
    _show(report, json_target)
    write_json(json_target, report.to_dict())


def _show(report: LiveReport, json_target: str | None) -> None:
    console = page(json_target)
    machine = report.machine
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"napari {machine['napari']}, {machine['opengl']}",
    )
    columns = ("measured, ms", "size", "n", "p50", "p95", "p99", "max")
    table = make_table(f"Live mode with {report.model}", columns)
    for row in report.rows:
        times = (f"{number:.0f}" for number in (row.p50, row.p95, row.p99, row.max))
        table.add_row(row.what, str(row.size), str(row.count), *times)
    console.print(table)
