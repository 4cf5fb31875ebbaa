"""The report over folds: what a ratio is worth, by whatever it acts, with its spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset
from phaseguide.evaluation.ratio_source import ESTIMATORS
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.card import CalibrationCard, InferenceCard
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.segmentation.request import AUTO
from phaseguide.segmentation.session import Session
from phaseguide.studies.folds.fusion import score_images, with_fusion
from phaseguide.studies.folds.response import measure_response
from phaseguide.studies.folds.rows import NONE, ROWS, FoldModel, Row, Study, run_row
from phaseguide.studies.report import fixed, table
from phaseguide.training.crossfit.calibrate import calibrate
from phaseguide.training.crossfit.score_fit import HeadSample, head_sample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Look:
    """What a fold's model shows on its test images without a ratio: compositions, and pixels for the head."""

    own: Floats
    true: Floats
    samples: tuple[HeadSample, ...]


def report_folds(
    dataset: Dataset,
    models: Sequence[FoldModel],
    *,
    study: Study = "belief",
    repeats: int = 20,
    seed: int = 0,
    device: str = "auto",
    inference: InferenceCard | None = None,
    unguided: Sequence[FoldModel] = (),
    scores: Path | None = None,
) -> Iterator[Progress | Notice | Finished[dict[str, Any]]]:
    """Evaluate every fold's model on its own test images, for all rows of a study.

    How far a model's own composition is believed, and how its scores are calibrated, comes from the other folds.
    With ``inference`` the models run in this way (views to average) instead of as their own cards say. ``unguided``
    are the nets that guidance was added to: reported without a ratio, as a row of their own, to see what guidance
    costs when there is none. Study fusion keeps what the models say of images that they have not seen in ``scores``.

    The result has ``rows``: per source and mode, pooled over all images and per fold; ``response`` (study
    conditioning); ``calibration``: that of all folds together, for the card of a shipped model.
    """
    rows = [Row(spec) for spec in ROWS[study]]
    looks: dict[str, _Look] = {}
    for fold in models:
        looks[fold.fold] = yield from _first_look(rows[0], fold, dataset, inference, seed, device)
    unseen = None
    if study == "fusion":
        assert scores is not None
        unseen = yield from score_images(dataset, models, scores, inference=inference, device=device)
    responses = []
    for fold in models:
        data = dataset.only(fold.test)
        others = [look for name, look in looks.items() if name != fold.fold]
        model = _load(fold, inference)
        scheme = model.card.scheme
        calibration = _calibrate(others, len(scheme), "the other folds") if others else model.card.calibration
        calibrated = _with_calibration(model, calibration)
        if unseen is not None:
            calibrated = yield from with_fusion(model, fold, unseen, seed=seed)
        nets = {
            "calibrated": calibrated,
            "plain": _with_calibration(model, calibration.model_copy(update={"head": None})),
        }
        sessions: dict[str, dict[str, Session]] = {name: {} for name in nets}
        for row in rows[1:]:
            kind = row.spec.scores
            yield from run_row(
                row, fold, data, nets[kind], sessions[kind], repeats=repeats, seed=seed, device=device
            )
        if study != "belief" and calibrated.card.guidance.takes_ratio:
            for event in measure_response(data, calibrated, device=device):
                if isinstance(event, Finished):
                    responses.append(event.result)
                else:
                    yield event
    if unguided:
        rows.insert(1, Row(NONE, "unguided"))
    for fold in unguided:
        model = _load(fold, inference)
        data = dataset.only(fold.test)
        yield from run_row(rows[1], fold, data, model, {}, repeats=1, seed=seed, device=device)
    every = tuple(looks.values())
    estimate = next((row for row in rows if ESTIMATORS.get(row.spec.source) == AUTO), None)
    source = f"folds {', '.join(looks)}: {len(rows[0].dice)} images, each by a model that had not seen it"
    yield Finished(
        {
            "study": study,
            "phases": list(scheme.names),
            "repeats": repeats,
            "seed": seed,
            "images": list(rows[0].dice),
            "rows": [row.to_dict(rows[0], scheme) for row in rows],
            "response": _response(responses, scheme.names),
            "calibration": {
                **_calibrate(every, len(scheme), source).model_dump(),
                "auto_error_pp": None if estimate is None else estimate.error_pp,
            },
            "own_mae_pp": float(100 * np.mean([np.abs(one.own - one.true).mean() for one in every])),
        }
    )


def _calibrate(looks: Sequence[_Look], n_phases: int, source: str) -> CalibrationCard:
    """Return the calibration that some folds tell."""
    own, true = (np.concatenate([getattr(one, name) for one in looks]) for name in ("own", "true"))
    return calibrate(own, true, [s for one in looks for s in one.samples], n_phases, source)


def _first_look(
    row: Row, fold: FoldModel, dataset: Dataset, inference: InferenceCard | None, seed: int, device: str
) -> Any:
    model = _load(fold, inference)
    names = model.card.scheme.names
    sessions: dict[str, Session] = {}
    data = dataset.only(fold.test)
    result = yield from run_row(row, fold, data, model, sessions, repeats=1, seed=seed, device=device)
    # Both on the labelled pixels: what lies elsewhere cannot be compared.
    own, true = (
        np.array([[i[kind][n] for n in names] for i in result.per_image]) for kind in ("own_labelled", "true")
    )
    samples = []
    for item in data.items:
        session = sessions[item.stem]
        shape = (session.pixels.shape[0], session.pixels.shape[1])
        samples.append(head_sample(session, item.read_labels(model.card.scheme, shape), seed=seed))
    return _Look(own, true, tuple(samples))


def _load(fold: FoldModel, inference: InferenceCard | None) -> LoadedModel:
    model = load_model(fold.path)
    if inference is None:
        return model
    return replace(model, card=model.card.model_copy(update={"inference": inference}))


def _with_calibration(model: LoadedModel, calibration: CalibrationCard) -> LoadedModel:
    return replace(model, card=model.card.model_copy(update={"calibration": calibration}))


def _response(responses: list[Floats], names: Sequence[str]) -> dict[str, Any]:
    per_image = np.concatenate(responses) if responses else np.full((1, len(names)), np.nan)

    def mean(values: Floats) -> float | None:
        return float(np.nanmean(values)) if np.isfinite(values).any() else None

    return {
        "mean": mean(per_image),
        "per_phase": {n: mean(c) for n, c in zip(names, per_image.T, strict=True)},
    }


def to_lines(report: dict[str, Any]) -> list[str]:
    """Return the report as lines of Markdown, scores in percent."""

    def several(row: dict[str, Any], text: str | None) -> str | None:
        return text if row["draws"] > 1 else None

    return table(
        {
            "ratio": _name,
            "uncertainty": lambda row: (
                f"{row['uncertainty']:g}" if row["uncertainty"] else "exact" if row["mode"] else None
            ),
            "acts by": lambda row: (
                (row["mode"] or "") + (", plain scores" if row["scores"] == "plain" else "")
            ),
            "Dice": lambda row: fixed(row["dice_mean"], 2, 100),
            "worst tenth": lambda row: several(row, fixed(row["dice_p10"], 2, 100)),
            "error removed, %": lambda row: (
                None if row["paired_dice"] is None else f"{100 * row['removed']:+.1f}"
            ),
            "mIoU": lambda row: fixed(row["pooled"]["miou"], 1, 100),
            "mIoU over folds": over_folds,
            "area error, pp": lambda row: fixed(row["fraction_mae_pp"], 2),
            "Dice to no ratio (95 %; p)": lambda row: _difference(row["paired_dice"]),
        },
        report["rows"],
    )


def over_folds(row: dict[str, Any]) -> str:
    """Mean and standard deviation of mIoU over folds, in percent."""
    return f"{100 * row['miou_fold_mean']:.1f} ± {100 * row['miou_fold_std']:.1f}"


def _difference(paired: dict[str, Any] | None) -> str | None:
    if paired is None:
        return None
    mean, low, high = (100 * paired[key] for key in ("mean", "low", "high"))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}; {paired['p']:.3f})"


def _name(row: dict[str, Any]) -> str:
    return str(row["source"]) if row["net"] == "guided" else f"{row['source']}, net without guidance"
