"""``phaseguide benchmark sam``: Segment Anything here against the official package."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phaseguide.cli.shared.limits import REPEATS
from phaseguide.cli.shared.output import JsonOption
from phaseguide.cli.shared.progress import draw
from phaseguide.studies.commands.options import ThreadsOption, parts_of

if TYPE_CHECKING:
    from rich.console import Console


def sam(
    size: Annotated[
        str, typer.Option(metavar="S", help="Size of the encoder: vit_b, vit_l, vit_h or vit_tiny.")
    ] = "vit_b",
    rank: Annotated[int, typer.Option(min=1, max=4096, help="Rank of the adapters.")] = 512,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="encoder,ratio,step,run",
            help="Only these parts: encoder, changed ratio, training step, pieces of a training run.",
        ),
    ] = "encoder,ratio,step,run",
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu or cuda; may be repeated. Default: the CPU, and CUDA where there is one."),
    ] = None,
    threads: ThreadsOption = 0,
    repeats: Annotated[int, typer.Option(**REPEATS, help="Rounds of the encoder; the median counts.")] = 3,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A tiny encoder and rank on small images, whatever --size and --rank say: to see that it runs.",
        ),
    ] = False,
    json_target: JsonOption = None,
) -> None:
    """Measure encoder, changed ratio, training step and memory against the package segment-anything.

    Random weights do for speed, so no weights are needed. On two cores it takes about twenty minutes.

    \b
    [bold]Examples[/bold]
      phaseguide benchmark sam --threads 2 --json sam.json
      phaseguide benchmark sam --only encoder --device cuda
      phaseguide benchmark sam --quick
    """  # noqa: D301
    from phaseguide.models.sam.shapes import find_shape
    from phaseguide.studies.report import publish
    from phaseguide.studies.sam.benchmark import benchmark_sam
    from phaseguide.studies.sam.report import to_dict, to_lines
    from phaseguide.studies.sam.rows import QUICK, SamPlan

    last = max(1, find_shape(size).depth // 3)
    plan = replace(SamPlan(), encoder=size, rank=rank, repeats=repeats, last_blocks=last)
    plan = QUICK if quick else plan
    devices = tuple(device) if device else None
    report = draw(
        benchmark_sam(plan, parts=tuple(parts_of(only)), devices=devices, threads=threads), _print_row
    )
    publish(to_lines(report), to_dict(report), json_target)


def _print_row(row: Any, console: Console) -> None:
    """Print a result as it comes, since the next may take minutes."""
    from statistics import median

    name = getattr(row, "name", None) or getattr(row, "head", None) or getattr(row, "who", None)
    if name is None:
        return
    seconds = row.change_s if hasattr(row, "change_s") else row.wall_s
    console.print(
        f"{row.encoder}, {row.side} px, {row.device}, {name}: {median(seconds):.3g} s",
        soft_wrap=True,
    )
