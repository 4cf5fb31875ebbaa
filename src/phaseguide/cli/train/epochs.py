"""What ``phaseguide train`` prints of an epoch, on a data set and on a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phaseguide.cli.shared.output import percent
from phaseguide.cli.shared.progress import time_text

if TYPE_CHECKING:
    from rich.console import Console


def print_epoch(done: Any, console: Console) -> None:
    """Print one line for an epoch that is done; other events are passed over."""
    from phaseguide.training.events import EpochDone

    if not isinstance(done, EpochDone):
        return
    text = f"epoch {done.epoch}/{done.epochs} ({done.stage}): loss {done.loss:.4f}"
    if done.miou is not None:
        text += f", validation mIoU {percent(done.miou)} %, Dice {percent(done.dice_mean)} %"
        if done.dice_range is not None:
            low, high = done.dice_range
            text += f" (range {percent(low)} to {percent(high)} on {done.judged:,} px)"
        text += ", best so far" if done.best else ""
    text += "".join(f", {name} {value:.2f}" for name, value in done.gauges.items())
    console.print(f"{text}; {time_text(done.seconds_left)} left", soft_wrap=True)
