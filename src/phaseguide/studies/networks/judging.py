"""One network on its test images: without a ratio and, where a ratio acts, with the true one and with an expert's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.evaluate import StudyResult, evaluate
from phaseguide.evaluation.tables import mean_known, plain
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.files.json_files import json_bytes, read_json
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.segmentation.request import Mode
from phaseguide.segmentation.session import Session
from phaseguide.studies.networks.training import Cell, Matrix
from phaseguide.training.dropout import own_threads

Judged = dict[str, Any]

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


def judged(
    matrix: Matrix, cell: Cell, path: Path, dataset: Dataset
) -> Iterator[Progress | Notice | Finished[Judged]]:
    """Judge the network of a cell on the images that its split tests, unless that is done; kept beside the network.

    One pass without views. A judgement of other weights, or of other questions, is made anew. Without a ratio an
    unguided network is asked alone, and matched.
    """
    model, kept = load_model(path), cell.judgement(matrix.out, KIND)
    weights = tensors_sha256(model.segmenter.state_dict())
    if kept.exists():
        before = read_judgement(kept)
        if before["weights"] == weights and before["judging"] == _judging():
            yield Finished(before)
            return
        yield Notice(f"{kept}: is of another network or other questions; this one is judged anew.")
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
    found = {**describe(model, cell), "judging": _judging(), "weights": weights, "scores": scores}
    write_bytes(kept, json_bytes(found, indent=None))
    yield Finished(found)


def asks_of(model: LoadedModel) -> list[Ask]:
    """Return the questions to a model: where it takes no ratio, one can act by matching alone."""
    takes = model.card.guidance.takes_ratio
    return [ask for ask in ASKS if takes or ask.mode in (None, "matched")]


def describe(model: LoadedModel, cell: Cell) -> Judged:
    """Say which network of a study a model is, how large it is, and how its training went."""
    record = model.card.training
    return {
        "condition": cell.condition,
        "seed": cell.seed,
        "split": cell.split,
        "guidance": model.card.guidance.kind,
        "phases": list(model.card.scheme.names),
        "parameters": sum(p.numel() for p in model.segmenter.parameters()),
        "of_guidance": sum(p.numel() for p in model.segmenter.guidance.parameters()),
        "seconds": record.get("seconds"),
        "epochs": record.get("epochs"),
        "gauges": record.get("gauges") or [],
        "taught": record.get("images", {}).get("train", []),
        "training": record.get("config", {}),
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


def read_judgement(path: Path) -> Judged:
    """Read a judgement; `PhaseguideError` for a file that is none."""
    try:
        found: Judged = read_json(path)
        if not {"condition", "judging", "weights", "scores"} <= found.keys():
            raise ValueError("it has not the keys of one")
    except (OSError, ValueError, AttributeError) as error:
        raise PhaseguideError(f"{path}: holds no judgement of this study ({error}). Delete it.") from error
    return found


def _judging() -> dict[str, Any]:
    return {"asks": [f"{ask} {ask.uncertainty:g}" for ask in ASKS], "experts": EXPERTS}
