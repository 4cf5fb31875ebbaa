"""The networks of a study, each trained, judged and kept, and none of it done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.files.json_files import json_bytes
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.segmentation.network.device import choose_device
from phaseguide.studies.networks.kept import Judged, identity, kept
from phaseguide.studies.networks.run import cells_of as matrix_cells
from phaseguide.studies.networks.run import matrix_of, passed
from phaseguide.studies.networks.training import Cell, Condition, Matrix, trained
from phaseguide.studies.study import Given
from phaseguide.training.data import TrainingImage
from phaseguide.training.dropout import own_threads

Cells = Mapping[tuple[int, str], Judged]
"""Networks of one condition by seed and split."""


@dataclass(frozen=True)
class Trial:
    """A network and what it is judged on.

    Attributes
    ----------
    model : LoadedModel
        In evaluation mode, on the device.
    images : list of TrainingImage
        Those that it has never seen.
    pool : list of TrainingImage
        All that were read of the data set, these among them.
    device : torch.device
    """

    model: LoadedModel
    images: list[TrainingImage]
    pool: list[TrainingImage]
    device: torch.device


@dataclass(frozen=True)
class Judging:
    """What is found out of every network.

    Attributes
    ----------
    name : str
        Part of the names of its files.
    about : dict
        What decides it besides the network, as JSON has it; a judgement of others is not mixed with it.
    judge : callable
        From a `Trial` to `Progress` and, last, `Finished` with plain numbers.
    """

    name: str
    about: Mapping[str, Any]
    judge: Callable[[Trial], Iterator[Progress | Finished[dict[str, Any]]]]


def judge_networks(given: Given, conditions: Mapping[str, Condition], judging: Judging) -> Iterator[Any]:
    """Train and judge the networks of the conditions on every data set, for each split and seed that is asked for.

    With ``given.train`` false nothing is made, and the result, a list of `Judged`, is of what is there.
    Errors are those of `trained` and `kept`; `PhaseguideError` where there is nothing to report.
    """
    results: list[Judged] = []
    for data in given.data:
        matrix: Matrix = yield from passed(matrix_of(given, data, conditions))
        for cell in matrix_cells(given, data, conditions):
            if given.train:
                yield from passed(trained(matrix, cell))
            found = yield from kept(matrix, cell, judging.name, judging.about)
            if found is None and given.train:
                found = yield from _judged(matrix, cell, judging)
            if found is not None:
                results.append({"data": data.name, **found})
    if not results:
        raise PhaseguideError(
            f"{given.out}: no network of these conditions, splits and seeds has been judged yet. Leave --report out."
        )
    yield Finished(results)


def _judged(matrix: Matrix, cell: Cell, judging: Judging) -> Any:
    model = load_model(cell.model(matrix.out))
    config = matrix.config(cell)
    device = choose_device(config.device).torch_device
    model.segmenter.to(device).eval()
    test = set(matrix.splits[cell.split].test)
    images = list(matrix.images.values())
    trial = Trial(model, [i for i in images if i.stem in test], images, device)
    with own_threads(config.threads):
        for event in judging.judge(trial):
            if isinstance(event, Finished):
                result = event.result
            else:
                yield Progress(f"{cell}: {event.stage}", event.done, event.total)
    found: Judged = {
        **identity(matrix, cell, judging.about),
        "scheme": matrix.scheme.to_dict(),
        "parameters": sum(p.numel() for p in model.segmenter.parameters()),
        "of_guidance": sum(p.numel() for p in model.segmenter.guidance.parameters()),
        "seconds": model.card.training.get("seconds"),
        "gauges": (model.card.training.get("gauges") or [{}])[-1],
        **result,
    }
    write_bytes(cell.judgement(matrix.out, judging.name), json_bytes(found, indent=None))
    return found


def cells_of(results: Iterable[Judged], data: str) -> dict[str, dict[tuple[int, str], Judged]]:
    """The networks of a data set by condition."""
    found: dict[str, dict[tuple[int, str], Judged]] = {}
    for one in results:
        if one["data"] == data:
            found.setdefault(one["condition"], {})[(one["seed"], one["split"])] = one
    return found
