"""One network on its test images: without a ratio and, where a ratio acts, with the true one and with an expert's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phaseguide.datasets.folder import Dataset
from phaseguide.evaluation.evaluate import StudyResult, evaluate
from phaseguide.evaluation.tables import mean_known, plain
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.files.json_files import json_bytes
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.segmentation.request import Mode
from phaseguide.segmentation.session import Session
from phaseguide.studies.networks.kept import Judged, identity, kept
from phaseguide.studies.networks.training import Cell, Matrix
from phaseguide.training.dropout import own_threads

KIND = "scores"
"""Of the files of judgements, beside the networks."""

EXPERTS = 3
"""Experts that are drawn for an image."""

SCORES = ("dice_mean", "miou", "micro_iou", "accuracy")
MODES: tuple[Mode, ...] = ("conditioned", "matched", "both")


@dataclass(frozen=True)
class Ask:
    """Where the ratio comes from, as `parse_source` reads it, the uncertainty stated with it, and where it acts."""

    source: str = "none"
    uncertainty: float = 0.0
    mode: Mode | None = None

    def __str__(self) -> str:
        return self.source if self.mode is None else f"{self.source} {self.mode}"


WITHOUT = Ask()
ASKS: tuple[Ask, ...] = (
    WITHOUT,
    *(Ask("oracle", 0.0, mode) for mode in MODES),
    *(Ask("expert:0.1", 0.1, mode) for mode in MODES),
)
"""An expert's ratio is the true one with a log-normal error of 10 %, and the expert says so."""

QUESTIONS = {"asks": [f"{ask} {ask.uncertainty:g}" for ask in ASKS], "experts": EXPERTS}


def judged(matrix: Matrix, cell: Cell, dataset: Dataset) -> Iterator[Progress | Notice | Finished[Judged]]:
    """Judge the trained network of a cell on the images that its split tests, unless that is done; kept beside it.

    One pass without views. Without a ratio an unguided network is asked alone, and matched.
    """
    if (before := (yield from kept(matrix, cell, KIND, QUESTIONS))) is not None:
        yield Finished(before)
        return
    model = load_model(cell.model(matrix.out))
    config, tested = matrix.config(cell), dataset.only(matrix.splits[cell.split].test)
    scores: dict[str, Any] = {}
    sessions: dict[str, Session] = {}
    with own_threads(config.threads):
        for ask in asks_of(model):
            events = evaluate(
                tested,
                model,
                ask.source,
                uncertainty=ask.uncertainty,
                mode=ask.mode,
                repeats=EXPERTS,
                device=config.device,
                flips=False,
                sessions=sessions,
            )
            for event in events:
                if isinstance(event, Finished):
                    scores[str(ask)] = scores_of(event.result)
                elif isinstance(event, Progress):
                    yield Progress(f"{cell}: judging, {ask}", event.done, event.total)
    found = {**identity(matrix, cell, QUESTIONS), **describe(model), "scores": scores}
    write_bytes(cell.judgement(matrix.out, KIND), json_bytes(found, indent=None))
    yield Finished(found)


def asks_of(model: LoadedModel) -> list[Ask]:
    """Return the questions to a model: where it takes no ratio, one can act by matching alone."""
    takes = model.card.guidance.takes_ratio
    return [ask for ask in ASKS if takes or ask.mode in (None, "matched")]


def describe(model: LoadedModel) -> Judged:
    """Say which guidance a model has, how large it is, and how its training went."""
    record = model.card.training
    return {
        "guidance": model.card.guidance.kind,
        "phases": list(model.card.scheme.names),
        "parameters": sum(p.numel() for p in model.segmenter.parameters()),
        "of_guidance": sum(p.numel() for p in model.segmenter.guidance.parameters()),
        "seconds": record.get("seconds"),
        "epochs": record.get("epochs"),
        "gauges": record.get("gauges") or [],
    }


def scores_of(result: StudyResult) -> dict[str, Any]:
    """Return what is kept of an evaluation: scores pooled over the pixels of the images, and image by image."""
    return {
        "pooled": {
            **{name: result.pooled[name] for name in SCORES},
            "boundary_f1": result.pooled["boundary_f1_mean"],
            "fraction_mae_pp": result.fraction_mae_pp,
            "iou": result.pooled["iou"],
        },
        "images": {row["stem"]: _image(row) for row in result.per_image},
    }


def _image(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        **{name: row[name] for name in SCORES},
        "boundary_f1": plain(mean_known([*row["boundary_f1"].values()])),
        "fraction_mae_pp": row["fraction_mae_pp"],
    }
