"""The command group ``phaseguide benchmark``: numbers that can be measured again. The command line loads it by name."""

from __future__ import annotations

import typer

from phaseguide.studies.commands.coverage import coverage
from phaseguide.studies.commands.finetune import finetune
from phaseguide.studies.commands.folds import folds
from phaseguide.studies.commands.large import large
from phaseguide.studies.commands.live import live
from phaseguide.studies.commands.out_of_distribution import familiarity
from phaseguide.studies.commands.sam import sam
from phaseguide.studies.commands.speed import speed
from phaseguide.studies.commands.zero_shot import zero_shot

benchmark_app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
for _command in (speed, finetune, sam, familiarity, folds, large, live):
    benchmark_app.command()(_command)
benchmark_app.command(name="zero-shot")(zero_shot)
benchmark_app.command()(coverage)
