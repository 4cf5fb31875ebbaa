"""The command group ``phaseguide benchmark``: numbers that can be measured again. The command line loads it by name."""

from __future__ import annotations

import typer

from phaseguide.studies.commands import (
    coverage,
    finetune,
    folds,
    large,
    live,
    out_of_distribution,
    sam,
    speed,
    strokes,
    zero_shot,
)

benchmark_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
for _command in (
    speed.speed,
    finetune.finetune,
    sam.sam,
    out_of_distribution.familiarity,
    folds.folds,
    large.large,
    live.live,
    zero_shot.zero_shot,
    coverage.coverage,
    strokes.strokes,
):
    benchmark_app.command()(_command)
