"""``phaseguide benchmark speed``: time and memory of segmenting, against a stated peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import REPEATS, THREADS, read_sides
from phaseguide.cli.shared.output import JsonOption, make_table, page, write_json
from phaseguide.cli.shared.progress import draw

if TYPE_CHECKING:
    from phaseguide.studies.speed.speed import SpeedReport


def speed(
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="M", help="Name or file of a model.")
    ] = "uhcs",
    sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Sides of the square images in pixels.")
    ] = "512,1024,4096",
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="cpu, cuda or mps; may be repeated. Default: the CPU, and CUDA where there is one."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(**THREADS)] = 0,
    repeats: Annotated[
        int, typer.Option(**REPEATS, help="Of each measurement on small images; the median counts.")
    ] = 3,
    json_target: JsonOption = None,
) -> None:
    """Measure start-up, first segmentation, changed ratio and memory against the plain network.

    Each size is measured in a process of its own. The JSON names processor, cores and versions.

    \b
    [bold]Examples[/bold]
      phaseguide benchmark speed --json speed.json
      phaseguide benchmark speed --sizes 512,1024 --device cpu --threads 2
    """  # noqa: D301
    from phaseguide.models.zoo import find_model
    from phaseguide.studies.speed.speed import benchmark_speed

    sides = read_sides(sizes)
    events = benchmark_speed(
        find_model(model), sizes=sides, devices=device or None, threads=threads, repeats=repeats
    )
    report = draw(events)
    _show(report, json_target)
    write_json(json_target, report.to_dict())


def _show(report: SpeedReport, json_target: str | None) -> None:
    console = page(json_target)
    machine: dict[str, Any] = report.machine
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}"
        + (f", {machine['gpu']}" if machine["gpu"] else ""),
    )
    starts = make_table("Start-up", ("import", "s"))
    for name, seconds in report.import_s.items():
        starts.add_row(f"{name} alone" if name == "python" else name, f"{seconds:.3f}")
    console.print(starts)
    columns = ("device", "size", "first s", "matching s", "decode s", "plain net s", "peak MB", "GPU MB")
    table = make_table(f"Segmentation with {report.model}", columns)
    for row in report.rows:
        table.add_row(
            row.device,
            str(row.size),
            f"{row.first_s:.3f}",
            f"{row.matching_s:.3f}",
            "" if row.decode_s is None else f"{row.decode_s:.3f}",
            f"{row.forward_s:.3f}",
            "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
            "" if row.gpu_peak_mb is None else f"{row.gpu_peak_mb:.0f}",
        )
    console.print(table)
    if any(row.views > 1 for row in report.rows):
        console.print("first and decode average several views of the image; the plain net sees one.")
