"""Whether what was learnt on one material helps on another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from phaseguide.errors import DatasetError
from phaseguide.events import Finished, Notice
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.models.model_file import load_model
from phaseguide.models.rephase import origin_by_name, rephase
from phaseguide.studies.networks.comparison import (
    Comparison,
    check_varied,
    compare,
    comparison_figure,
    comparison_lines,
)
from phaseguide.studies.networks.recipes import recipe, steps
from phaseguide.studies.networks.run import matrix_of, passed
from phaseguide.studies.networks.splits import ALL, Split, StudyData
from phaseguide.studies.networks.training import Cell, Condition, Matrix, trained
from phaseguide.studies.study import Given, Numbers, Size, Study

SIZES = (1, 4, 0)
"""Images of the second material that teach; 0 for all."""

GUIDANCES = ("none", "plm")
SCRATCH, TUNED = "scratch", "tuned"


def _name(start: str, guidance: str, images: int) -> str:
    return f"{start}-{guidance}-{images or ALL}"


CONDITIONS = tuple(_name(s, g, n) for n in SIZES for g in GUIDANCES for s in (SCRATCH, TUNED))


def conditions_of(size: Size, first: str) -> dict[str, Condition]:
    """Return the conditions on the second data set; the last epoch is kept."""
    found = {}
    for n in SIZES:
        for guidance in GUIDANCES:
            for start in (SCRATCH, TUNED):
                begun = "from scratch" if start == SCRATCH else f"from the network of {first}"
                told = "unguided" if guidance == "none" else guidance
                images = f"{n} image{'' if n == 1 else 's'}" if n else "all images"
                settings = {**recipe(size, "unet", guidance), "validation_share": 0.0}
                found[_name(start, guidance, n)] = Condition(
                    f"{begun}, {images}, {told}", settings, images=n, steps=steps(size)
                )
    return found


def _first_matrix(given: Given, data: StudyData) -> Iterator[Any]:
    """The networks of the first data set, which learn from all of its images."""
    whole = Split(tuple(item.stem for item in data.dataset.items), (), ())
    conditions = {
        f"source-{guidance}": Condition(
            f"all images, {guidance}",
            {**recipe(given.size, "unet", guidance), "validation_share": 0.0},
            steps=steps(given.size),
        )
        for guidance in GUIDANCES
    }
    return matrix_of(given, replace(data, splits={ALL: whole}), conditions)


def run(given: Given) -> Iterator[Any]:
    """Train on the first data set, then from that network and from scratch on the second."""
    if len(given.data) != 2:
        raise DatasetError(
            f"Study transfer needs two data sets, not {len(given.data)}: one to learn before, one to be judged on."
        )
    check_varied(given, "transfer", ("guidance",))
    first, second = given.data
    source: list[Matrix] = []

    def starts(matrix: Matrix, cell: Cell) -> Iterator[Any]:
        start, guidance, _ = cell.condition.split("-")
        if start == SCRATCH:
            yield Finished(None)
            return
        if not source:
            source.append((yield from passed(_first_matrix(given, first))))
            _check_images(source[0], matrix, first, second)
        path: Path = yield from passed(trained(source[0], Cell(f"source-{guidance}", cell.seed, ALL)))
        model = load_model(path)
        origin = origin_by_name(first.scheme, second.scheme)
        kept = [p.name for p in second.scheme if p.label in origin]
        yield Notice(f"{cell}: phases that go on from {first.name}: {', '.join(kept) or 'none'}.")
        yield Finished(rephase(model, second.scheme, origin, seed=cell.seed))

    conditions = conditions_of(given.size, first.name)
    fewest = min((len(split.train) for split in given.splits(second).values()), default=0)
    cannot = {n: f"there are {fewest} images to train on" for n, c in conditions.items() if c.images > fewest}
    bases = {n: n.replace(TUNED, SCRATCH) for n in conditions if n.startswith(TUNED)}
    comparison = Comparison(conditions, cannot, bases, starts)
    for event in compare(replace(given, data=[second]), lambda data: comparison):
        yield Finished({**event.result, "first": first.name}) if isinstance(event, Finished) else event


def _check_images(ours: Matrix, theirs: Matrix, first: StudyData, second: StudyData) -> None:
    """Raise `DatasetError` where the first data set cannot teach the second: other images, or those that it tests."""
    seen = {sha256_of_array(one.image.numpy()): stem for stem, one in ours.images.items()}
    for split in theirs.splits.values():
        for stem in split.test:
            if same := seen.get(sha256_of_array(theirs.images[stem].image.numpy())):
                raise DatasetError(
                    f"{second.name}: image {stem} is tested, but is {same} of {first.name} too, all of which teaches. "
                    "Take it out of one of them."
                )
    channels = [next(iter(matrix.images.values())).image.shape[0] for matrix in (ours, theirs)]
    if channels[0] != channels[1]:
        raise DatasetError(
            f"{first.name} has images of {channels[0]} channels, {second.name} of {channels[1]}. Choose data sets of "
            "one kind of images."
        )


def lines(numbers: Numbers) -> list[str]:
    """Return the tables."""
    return [
        f"Networks are trained on all labelled images of {numbers['first']}, then, with the same recipe, on the second "
        "data set, against networks from scratch. Phases of the same name keep their weights, others begin anew. "
        "The last epoch is kept; the base is the network from scratch of the same images.",
        "",
        *comparison_lines(numbers),
    ]


STUDY = Study(
    name="transfer",
    question="Does a network that learnt the first DATASET learn the second one better than a network from scratch?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=comparison_figure("From another material, and from scratch"),
)
