"""``phaseguide benchmark large``: time and memory of images that do not fit."""

from __future__ import annotations

from typing import Annotated

import typer

from phaseguide.cli.shared.limits import read_sides
from phaseguide.cli.shared.output import JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.studies.commands.options import SizesOption, ThreadsOption


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
    sizes: SizesOption = "2048,4096,8192,16384",
    threads: ThreadsOption = 0,
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
    from phaseguide.studies.report import publish
    from phaseguide.studies.speed.large import benchmark_large, to_lines

    sides = read_sides(sizes)
    path = None if model is None else find_model(model)
    report = draw(benchmark_large(path, sizes=sides, threads=threads, memory_mb=memory))
    publish(to_lines(report), report.to_dict(), json_target)
