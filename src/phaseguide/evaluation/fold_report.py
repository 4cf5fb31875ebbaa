"""The report over folds: what a ratio is worth, by conditioning, by matching and by both, with its spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset
from phaseguide.evaluation.calibration import own_error
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.response import measure_response
from phaseguide.evaluation.study import Predicted, evaluate
from phaseguide.events import Finished, Progress
from phaseguide.models.card import CalibrationCard, InferenceCard
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Mode

ROWS: tuple[tuple[str, Mode | None, float], ...] = (
    ("none", None, 0.0),
    ("auto", None, 0.0),
    ("train-mean", "matched", 0.0),
    ("expert:0.1", "conditioned", 0.1),
    ("expert:0.1", "matched", 0.1),
    ("expert:0.1", "both", 0.1),
    ("oracle", "conditioned", 0.0),
    ("oracle", "matched", 0.0),
    ("oracle", "both", 0.0),
)
"""Ratio sources, where they act, and the uncertainty stated with them (0: exact).

The first row is what the others are compared with.
"""


@dataclass(frozen=True)
class FoldModel:
    """A model and the images it must be tested on, none of which it has seen."""

    fold: str
    path: Path
    test: tuple[str, ...]


@dataclass
class _Row:
    """Confusion matrices by fold, and mean Dice by image, of one source and mode."""

    source: str
    mode: Mode | None
    uncertainty: float
    net: str = "guided"
    folds: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)
    fraction_pp: dict[str, float] = field(default_factory=dict)


def report_folds(
    dataset: Dataset,
    models: Sequence[FoldModel],
    *,
    repeats: int = 5,
    seed: int = 0,
    device: str = "auto",
    inference: InferenceCard | None = None,
    unguided: Sequence[FoldModel] = (),
) -> Iterator[Progress | Finished[dict[str, Any]]]:
    """Evaluate every fold's model on its own test images, for all `ROWS`.

    How far a model's own composition is believed is calibrated on the other folds.

    Parameters
    ----------
    dataset : Dataset
    models : sequence of FoldModel
    repeats : int
        Draws of the simulated expert.
    seed : int
    device : str
    inference : InferenceCard, optional
        Run the models in this way (views to average) instead of as their own cards say.
    unguided : sequence of FoldModel
        The nets that guidance was added to; reported without a ratio, as a row of their own, to see
        what guidance costs when there is none.

    Yields
    ------
    Progress
    Finished of dict
        ``rows``: per source and mode, pooled over all images and per fold; ``response``; ``own_error``
        per phase, see `own_error`, for the card of a shipped model.
    """
    rows = [_Row(*row) for row in ROWS]
    shares: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for fold in models:
        model = _load(fold, inference)
        result = yield from _run_row(rows[0], fold, dataset.only(fold.test), model, repeats, seed, device)
        names = model.card.scheme.names
        own, true = (
            np.array([[i[kind][n] for n in names] for i in result.per_image]) for kind in ("own", "true")
        )
        shares[fold.fold] = (own, true)
    responses = []
    for fold in models:
        model = _calibrated(_load(fold, inference), [v for name, v in shares.items() if name != fold.fold])
        data = dataset.only(fold.test)
        for row in rows[1:]:
            yield from _run_row(row, fold, data, model, repeats, seed, device)
        if model.card.guidance.kind != "none":
            for event in measure_response(data, model, device=device):
                if isinstance(event, Finished):
                    responses.append(event.result.per_image)
                else:
                    yield event
    if unguided:
        rows.insert(1, _Row("none", None, 0.0, "unguided"))
    for fold in unguided:
        model = _load(fold, inference)
        yield from _run_row(rows[1], fold, dataset.only(fold.test), model, repeats, seed, device)
    own, true = (np.concatenate([v[i] for v in shares.values()]) for i in (0, 1))
    yield Finished(_summary(rows, model.card.scheme, own, true, responses, repeats, seed))


def _calibrated(
    model: LoadedModel, others: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> LoadedModel:
    """Give a fold's model the error that the other folds' models made on their test images.

    That is how a shipped model is calibrated, and none of it comes from the images tested here.
    """
    if not others:
        return model
    own, true = (np.concatenate([pair[i] for pair in others]) for i in (0, 1))
    calibration = CalibrationCard(own_error=own_error(own, true).tolist(), source="the other folds")
    return replace(model, card=model.card.model_copy(update={"calibration": calibration}))


def _load(fold: FoldModel, inference: InferenceCard | None) -> LoadedModel:
    model = load_model(fold.path)
    if inference is None:
        return model
    return replace(model, card=model.card.model_copy(update={"inference": inference}))


def _run_row(
    row: _Row, fold: FoldModel, data: Dataset, model: LoadedModel, repeats: int, seed: int, device: str
) -> Any:
    scheme = model.card.scheme
    labels = {i.stem: i for i in data.items}
    total = np.zeros((len(scheme), len(scheme) + 1), dtype=np.int64)
    for event in evaluate(
        data,
        model,
        row.source,
        uncertainty=row.uncertainty,
        mode=row.mode,
        repeats=repeats,
        seed=seed,
        device=device,
    ):
        if isinstance(event, Predicted):
            shape = event.segmentation.labels.shape
            truth = labels[event.stem].read_labels(scheme, (shape[0], shape[1]))
            total += confusion_matrix(truth, event.segmentation.labels, len(scheme))
        elif isinstance(event, Finished):
            result = event.result
        elif isinstance(event, Progress):
            yield Progress(
                f"Fold {fold.fold}, ratio {row.source} {row.mode or ''}".strip(), event.done, event.total
            )
    row.folds[fold.fold] = total
    for image in result.per_image:
        row.dice[image["stem"]] = image["dice_mean"]
        row.fraction_pp[image["stem"]] = image["fraction_mae_pp"]
    return result


def _summary(
    rows: list[_Row],
    scheme: PhaseScheme,
    own: NDArray[np.float64],
    true: NDArray[np.float64],
    responses: list[NDArray[np.float64]],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    per_image = np.concatenate(responses) if responses else np.full((1, len(scheme)), np.nan)
    return {
        "phases": list(scheme.names),
        "repeats": repeats,
        "seed": seed,
        "images": list(rows[0].dice),
        "rows": [_row_numbers(row, rows[0], scheme) for row in rows],
        "response": {
            "mean": _plain(np.nanmean(per_image)) if np.isfinite(per_image).any() else None,
            "per_phase": {
                n: _plain(np.nanmean(c)) if np.isfinite(c).any() else None
                for n, c in zip(scheme.names, per_image.T, strict=True)
            },
        },
        "own_error": own_error(own, true).tolist(),
        "own_mae_pp": float(100 * np.abs(own - true).mean()),
    }


def _row_numbers(row: _Row, base: _Row, scheme: PhaseScheme) -> dict[str, Any]:
    pooled = scores_from_confusion(np.sum(list(row.folds.values()), axis=0))
    by_fold = {name: scores_from_confusion(c) for name, c in row.folds.items()}
    mious = np.array([s.miou for s in by_fold.values()])
    return {
        "source": row.source,
        "mode": row.mode,
        "uncertainty": row.uncertainty,
        "net": row.net,
        "pooled": pooled.to_dict(scheme),
        "per_fold": {
            name: {"dice_mean": s.dice_mean, "miou": s.miou, "accuracy": s.accuracy}
            for name, s in by_fold.items()
        },
        "miou_fold_mean": float(mious.mean()),
        "miou_fold_std": float(mious.std(ddof=1)) if mious.size > 1 else 0.0,
        "fraction_mae_pp": float(np.mean(list(row.fraction_pp.values()))),
        "paired_dice": None if row is base else paired_difference(row.dice, base.dice),
    }


def paired_difference(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, Any]:
    """Mean paired difference over images with a 95 % t interval and Wilcoxon's signed-rank p value.

    Parameters
    ----------
    ours, theirs : dict of str to float
        A score by image; the same images.

    Returns
    -------
    dict
        ``mean``, ``low``, ``high``, ``p`` and ``n``; p is 1 where no image differs.
    """
    from scipy import stats

    gaps = np.array([ours[s] - theirs[s] for s in ours], dtype=np.float64)
    mean, n = float(gaps.mean()), gaps.size
    if n < 2 or not gaps.any():
        return {"mean": mean, "low": mean, "high": mean, "p": 1.0, "n": n}
    half = float(stats.t.ppf(0.975, n - 1) * gaps.std(ddof=1) / np.sqrt(n))
    p = float(stats.wilcoxon(gaps).pvalue)
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": p, "n": n}


def to_markdown(report: dict[str, Any]) -> str:
    """Return the report as a Markdown table, scores in percent."""
    columns = (
        "ratio", "uncertainty", "acts by", "Dice", "mIoU", "accuracy", "mIoU over folds", "area error, pp",
        "Dice to no ratio (95 %; p)",
    )  # fmt: skip
    lines = [_table_line(columns), "|" + "---|" * len(columns)]
    for row in report["rows"]:
        pooled, paired = row["pooled"], row["paired_dice"]
        change = ""
        if paired is not None:
            mean, low, high = (100 * paired[key] for key in ("mean", "low", "high"))
            change = f"{mean:+.2f} ({low:+.2f} to {high:+.2f}; {paired['p']:.3f})"
        cells = (
            _name(row),
            f"{row['uncertainty']:g}" if row["uncertainty"] else "exact" if row["mode"] else "",
            row["mode"] or "",
            *(f"{100 * pooled[key]:.1f}" for key in ("dice_mean", "miou", "accuracy")),
            f"{100 * row['miou_fold_mean']:.1f} ± {100 * row['miou_fold_std']:.1f}",
            f"{row['fraction_mae_pp']:.2f}",
            change,
        )
        lines.append(_table_line(cells))
    return "\n".join(lines) + "\n"


def _table_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _name(row: dict[str, Any]) -> str:
    return str(row["source"]) if row["net"] == "guided" else f"{row['source']}, net without guidance"


def _plain(value: Any) -> float:
    return float(value)
