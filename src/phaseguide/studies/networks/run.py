"""All networks of a study on one data set: trained and judged, or what is there of them read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from phaseguide.errors import DatasetError
from phaseguide.events import Finished, Progress
from phaseguide.models.model_file import LoadedModel
from phaseguide.studies.networks.judging import KIND, QUESTIONS, judged
from phaseguide.studies.networks.kept import Judged, kept
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.networks.training import Cell, Condition, Matrix, trained
from phaseguide.studies.study import Given
from phaseguide.training.data import TrainingImage, load_images

Starts = Callable[[Matrix, Cell], Iterator[Any]]
"""Makes the network that one of a cell begins as; its events end with Finished, of None for random weights."""

FOLDER = "networks"


def matrix_of(
    given: Given, data: StudyData, conditions: Mapping[str, Condition]
) -> Iterator[Progress | Finished[Matrix]]:
    """Read the images of a data set that its splits name; the networks lie in ``OUT/networks/DATASET``.

    `DatasetError` for a split that tests no labelled pixel.
    """
    wanted = {s for split in data.splits.values() for s in (*split.train, *split.validation, *split.test)}
    images: dict[str, TrainingImage] = {}
    for image in load_images(data.dataset.only(wanted), data.scheme):
        images[image.stem] = image
        yield Progress(f"{data.name}: reading images", len(images), len(wanted))
    for name, split in data.splits.items():
        if split.test and all(images[stem].ratio(len(data.scheme)) is None for stem in split.test):
            raise DatasetError(
                f"{data.dataset.folder}: no pixel of what {name} tests ({', '.join(split.test)}) carries a phase. "
                "Label some of these images, or take them out of the test."
            )
    out = given.out / FOLDER / data.name
    yield Finished(Matrix(images, data.splits, data.scheme, conditions, given.settings, out))


def cells_of(given: Given, data: StudyData, conditions: Mapping[str, Condition]) -> list[Cell]:
    """Return the networks that are asked for: a seed after the other, and for each the conditions in their order."""
    names = [c for c in conditions if given.conditions is None or c in given.conditions]
    return [Cell(c, seed, split) for seed in given.seeds for c in names for split in given.splits(data)]


def judged_networks(
    given: Given, data: StudyData, conditions: Mapping[str, Condition], starts: Starts | None = None
) -> Iterator[Any]:
    """Train and judge every network that is asked for, none of it twice; the result is what they were judged to do.

    Without ``given.train`` what is there is read, and nothing is made. Errors are those of `trained` and `kept`.
    """
    matrix: Matrix = yield from passed(matrix_of(given, data, conditions))
    results: list[Judged] = []
    for cell in cells_of(given, data, conditions):
        if not given.train:
            found = yield from kept(matrix, cell, KIND, QUESTIONS)
            results += [] if found is None else [found]
            continue
        start: LoadedModel | None = None if starts is None else (yield from passed(starts(matrix, cell)))
        yield from passed(trained(matrix, cell, start))
        results.append((yield from passed(judged(matrix, cell, data.dataset))))
    yield Finished(results)


def passed(events: Iterator[Any]) -> Any:
    """Pass events on, and return the result at their end."""
    for event in events:
        if isinstance(event, Finished):
            return event.result
        yield event
    raise AssertionError("a job ends with Finished")
