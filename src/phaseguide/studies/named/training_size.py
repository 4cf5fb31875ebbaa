"""How many images a network needs, with guidance and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phaseguide.studies.named.series import series_figure, series_table
from phaseguide.studies.networks.comparison import Comparison, check_varied, compare, comparison_lines
from phaseguide.studies.networks.recipes import SMALL_STEPS, recipe
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.study import Given, Numbers, Size, Study

SIZES = (1, 2, 4, 8, 16)
GUIDANCES = ("none", "plm")
CONDITIONS = tuple(f"{guidance}-{size}" for size in SIZES for guidance in GUIDANCES)
STEPS = {"small": SMALL_STEPS, "full": 1200}
"""Batches, the same for every number of images; in full about 40 epochs of sixteen fields of 484 x 645 px."""


def conditions_of(size: Size) -> dict[str, Condition]:
    """Return the conditions; the last epoch is kept, since one image cannot both teach and validate."""
    return {
        f"{guidance}-{n}": Condition(
            f"{n} image{'' if n == 1 else 's'}, {'unguided' if guidance == 'none' else guidance}",
            {**recipe(size, "unet", guidance), "validation_share": 0.0},
            "" if guidance == "none" else f"none-{n}",
            images=n,
            steps=STEPS[size],
        )
        for n in SIZES
        for guidance in GUIDANCES
    }


def run(given: Given) -> Iterator[Any]:
    """Train and judge a network for each number of images on every data set."""
    check_varied(given, "training-size", ("guidance",))
    conditions = conditions_of(given.size)

    def comparison(data: StudyData) -> Comparison:
        fewest = min((len(split.train) for split in given.splits(data).values()), default=0)
        why = f"there are {fewest} images to train on"
        return Comparison(conditions, {n: why for n, c in conditions.items() if c.images > fewest})

    yield from compare(given, comparison)


def lines(numbers: Numbers) -> list[str]:
    """Return the tables, the one of Dice by number of images first."""
    found = [
        "Images are drawn by the seed from the training images, so that fewer are among more. Every network is shown "
        "about as many batches; no image validates, and the last epoch is kept.",
        "",
    ]
    return (
        found + series_table(numbers, "training images", SIZES, GUIDANCES) + ["", *comparison_lines(numbers)]
    )


STUDY = Study(
    name="training-size",
    question="How many labelled images does a network need, and does guidance make up for some?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=series_figure("Dice by number of training images", "training images", GUIDANCES),
)
