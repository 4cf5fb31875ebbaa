"""``phaseguide benchmark large``: time and memory of images that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from phaseguide.cli.shared.limits import THREADS, read_sides
from phaseguide.cli.shared.output import JsonOption, make_table, page, write_json
from phaseguide.cli.shared.progress import draw

if TYPE_CHECKING:
    from phaseguide.studies.speed.large import LargeReport


def large(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="M",
            help="Name or file of a model. Default: a narrow net with random weights, so that what is "
            "measured is everything around the network.",
        ),
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Sides of the square images in pixels.")
    ] = "2048,4096,8192,16384",
    threads: Annotated[int, typer.Option(**THREADS)] = 0,
    memory: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10**8,
            metavar="MB",
            help="Memory budget of a session in MB. Default: as in the widget.",
        ),
    ] = None,
    json_target: JsonOption = None,
) -> None:
    """Measure seconds per megapixel and peak memory on the CPU as images grow.

    Each size is measured in a process of its own. The largest needs about 10 GB of free disk.

    \b
    [bold]Examples[/bold]
      phaseguide benchmark large --json large.json
      phaseguide benchmark large --sizes 2048,4096 --model uhcs
    """  # noqa: D301
    from phaseguide.models.zoo import find_model
    from phaseguide.studies.speed.large import benchmark_large

    sides = read_sides(sizes)
    path = None if model is None else find_model(model)
    report = draw(benchmark_large(path, sizes=sides, threads=threads, memory_mb=memory))
    _show(report, json_target)
    write_json(json_target, report.to_dict())


def _show(report: LargeReport, json_target: str | None) -> None:
    console = page(json_target)
    machine = report.machine
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {machine['torch']}",
    )
    stages = {
        "first": "first result",
        "matching": "changed ratio, matching",
        "decode": "changed ratio, decode",
    }
    columns = ("size", "", "s/Mpx", "CPU s/Mpx", "peak GB")
    table = make_table(f"Large images with {report.model}", columns)
    for row in report.rows:
        table.add_row(str(row.size), "model and image loaded", "", "", _text(row.loaded_gb))
        for stage, name in stages.items():
            cells = (getattr(row, f"{stage}_{unit}") for unit in ("s", "cpu_s", "gb"))
            if getattr(row, f"{stage}_s") is not None:
                table.add_row("", name, *map(_text, cells))
    console.print(table)
    console.print("peak GB is the most memory held up to then, the program included.")
    worst = max(row.error_px for row in report.rows)
    console.print(f"Largest difference between imposed and achieved composition: {worst:.1f} px.")


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"
