"""``phaseguide benchmark speed``: time and memory of segmenting, against a stated peer."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli.shared.limits import REPEATS, read_sides
from phaseguide.cli.shared.output import JsonOption, RuntimeOption
from phaseguide.cli.shared.progress import draw
from phaseguide.studies.commands.options import SizesOption, ThreadsOption


def speed(
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="M", help="Name or file of a model.")
    ] = "uhcs",
    sizes: SizesOption = "512,1024,4096",
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="cpu, cuda or mps; may be repeated. Default: the CPU, and CUDA where there is one."
        ),
    ] = None,
    threads: ThreadsOption = 0,
    repeats: Annotated[
        int, typer.Option(**REPEATS, help="Of each measurement on small images; the median counts.")
    ] = 3,
    runtime: RuntimeOption = "torch",
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
    from phaseguide.studies.report import publish
    from phaseguide.studies.speed.speed import benchmark_speed, to_lines

    sides = read_sides(sizes)
    events = benchmark_speed(
        find_model(model),
        sizes=sides,
        devices=device or None,
        threads=threads,
        repeats=repeats,
        runtime=runtime,
    )
    report = draw(events)
    publish(to_lines(report), report.to_dict(), json_target)
