"""How long a network must learn, with guidance and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phaseguide.studies.named.series import series_figure, series_table
from phaseguide.studies.networks.comparison import Comparison, check_varied, compare, comparison_lines
from phaseguide.studies.networks.recipes import recipe
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.study import Given, Numbers, Size, Study

EPOCHS = (5, 10, 20, 40, 80, 160, 250)
GUIDANCES = ("none", "plm")
CONDITIONS = tuple(f"{guidance}-{epochs}" for epochs in EPOCHS for guidance in GUIDANCES)

SMALL_IMAGES = 3
"""Images that teach in small, in windows that do not overlap: 250 epochs of fields of 484 x 645 px are 2250 batches."""


def conditions_of(size: Size) -> dict[str, Condition]:
    """Return the conditions; the last epoch is kept, so that a training that is too long shows."""
    small = {"window_overlap": 0.0} if size == "small" else {}
    return {
        f"{guidance}-{epochs}": Condition(
            f"{epochs} epochs, {'unguided' if guidance == 'none' else guidance}",
            {**recipe(size, "unet", guidance), **small, "validation_share": 0.0, "epochs": epochs},
            "" if guidance == "none" else f"none-{epochs}",
            images=SMALL_IMAGES if size == "small" else 0,
        )
        for epochs in EPOCHS
        for guidance in GUIDANCES
    }


def run(given: Given) -> Iterator[Any]:
    """Train and judge a network for each number of epochs on every data set."""
    check_varied(given, "epochs", ("epochs", "guidance"))
    comparison = Comparison(conditions_of(given.size))
    yield from compare(given, lambda data: comparison)


def lines(numbers: Numbers) -> list[str]:
    """Return the tables, the one of Dice by epochs first."""
    small = f" In small {SMALL_IMAGES} images teach, in windows that do not overlap."
    found = [
        "Each number of epochs is a training of its own, at a constant rate; no image validates, and the last epoch is "
        "kept." + (small if numbers["size"] == "small" else ""),
        "",
    ]
    return found + series_table(numbers, "epochs", EPOCHS, GUIDANCES) + ["", *comparison_lines(numbers)]


STUDY = Study(
    name="epochs",
    question="How many epochs does a network need, and when does it learn too long?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=series_figure("Dice by epochs", "epochs", GUIDANCES),
)
