"""``study first-model``: what a few strokes on one image of a new material teach, there and on another image."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.events import Finished, Progress, run_to_end
from phaseguide.files.atomic import write_bytes
from phaseguide.files.json_files import json_bytes, read_json
from phaseguide.finetuning.sources import Source
from phaseguide.finetuning.strokes.classifier import StrokeClassifier
from phaseguide.finetuning.strokes.fit import judge_strokes
from phaseguide.finetuning.strokes.model import blank_model
from phaseguide.models.zoo import USUAL, open_model
from phaseguide.phases import NOT_CLASSIFIED
from phaseguide.settings import Settings, setting
from phaseguide.studies.finetune.data import Field, read_fields, seeded
from phaseguide.studies.finetune.random_forest import Features, PixelForest, pixel_features
from phaseguide.studies.finetune.simulated_user import BRUSH, first_strokes
from phaseguide.studies.networks.splits import PUBLISHED, StudyData
from phaseguide.studies.report import fixed, set_lines, table
from phaseguide.studies.study import Given, Numbers, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from phaseguide.models.model_file import LoadedModel

Labels = NDArray[np.uint8]

FOREST, PIXELS = "forest", "pixels"
SHARES = (0.001, 0.005)
"""Painted parts of the image."""
ROUNDS = 3
"""In so many rounds each phase gets a stroke, more where strokes found no room."""
MOST_ROUNDS = 12
GRID = 128
"""Places of a window that are looked at, px."""


class FirstModelConfig(Settings):
    """What the study can be told beside its data."""

    start: str = setting(
        USUAL, "Encoder of", "Model whose encoder is used for data sets with published splits."
    )
    fold_models: str = setting(
        "",
        "Encoders of folds",
        "Folder of fold models (fold_A.safetensors, ...), used for data sets with folds.",
    )
    side: int = setting(
        512, "Window, px", "Larger images are cut to a window of this side.", low=128, high=4096
    )
    images: int = setting(3, "Images", "Images of each split that are painted.", low=2, high=1000)
    device: str = setting("cpu")


def run(given: Given) -> Iterator[Any]:
    """Paint, learn and judge what is missing; the result is the numbers of the report."""
    config = FirstModelConfig(**given.settings)
    cells: list[dict[str, Any]] = []
    for data in given.data:
        for split in given.splits(data):
            cells += yield from _of_split(given, config, data, split)
    yield Finished({**given.told, **_summarised(cells), "cells": cells})


def _of_split(
    given: Given, config: FirstModelConfig, data: StudyData, split: str
) -> Generator[Any, None, list[dict[str, Any]]]:
    """The cells of one split, in each condition."""
    stems = data.splits[split].test[: config.images]
    if len(stems) < 2:
        raise PhaseguideError(
            f"{data.name}: split {split} has one image, and another one is to be judged on. Choose others with --only."
        )
    fields = [
        _window(one, config.side, len(data.scheme)) for one in read_fields(data.dataset, stems, data.scheme)
    ]
    found: list[dict[str, Any]] = []
    total = len(fields) * len(given.seeds) * len(SHARES)
    for condition in given.conditions or (FOREST, PIXELS):
        start = _start(config, data, split, stems) if condition == PIXELS else ""
        makers: dict[str, Any] = {}
        for number, one in enumerate(fields):
            other = fields[(number + 1) % len(fields)]
            for seed in given.seeds:
                for share in SHARES:
                    name = f"{one.stem} {share:g} seed{seed}.json"
                    path = given.out / "first-model" / data.name / condition / name
                    settings = {"side": config.side, "start": start, "other": other.stem}
                    kept = _read(path, settings)
                    if kept is None and given.train:
                        yield Progress(f"{data.name}, {condition}, {one.stem}", len(found) % total, total)
                        marks = paint_share(one, len(data.scheme), share, seed)
                        if not makers:
                            makers[condition] = _method(condition, start, data, config)
                        judged = makers[condition].judge(one, other, marks, seed)
                        kept = {
                            "data": data.name, "split": split, "image": one.stem, "condition": condition,
                            "seed": seed, "share": share, "pixels": int(one.truth.size),
                            "painted_px": int(np.count_nonzero(marks)), "settings": settings, **judged,
                        }  # fmt: skip
                        write_bytes(path, json_bytes(kept, indent=None))
                    if kept is not None:
                        found.append(kept)
    return found


def paint_share(one: Field, n_phases: int, share: float, seed: int) -> Labels:
    """Let the simulated user paint a part of an image: in turns a stroke of each phase, each phase the same part."""
    most = round(share * one.truth.size)
    marks = np.zeros_like(one.truth)
    for turn in range(MOST_ROUNDS):
        rest = most - int(np.count_nonzero(marks))
        if rest < n_phases:
            break
        free = np.where(marks == NOT_CLASSIFIED, one.truth, NOT_CLASSIFIED).astype(np.uint8)
        budget = min(rest, max(n_phases, most // ROUNDS))
        new = first_strokes(free, n_phases, budget, seeded(seed, "first-model", one.stem, turn), BRUSH)
        marks = np.where(new > 0, new, marks)
    return marks


def _window(one: Field, side: int, n_phases: int) -> Field:
    """The window of an image, on a grid, that shows the most of its rarest phase; small images as they are."""
    height, width = one.truth.shape
    if height <= side and width <= side:
        return one
    present = [k for k in range(1, n_phases + 1) if bool((one.truth == k).any())]
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in range(0, max(1, height - side + 1), GRID)
        for left in range(0, max(1, width - side + 1), GRID)
    ]
    best = max(places, key=lambda at: min(int(np.count_nonzero(one.truth[at] == k)) for k in present))
    return Field(one.stem, np.ascontiguousarray(one.image[best]), np.ascontiguousarray(one.truth[best]))


def _start(config: FirstModelConfig, data: StudyData, split: str, stems: Sequence[str]) -> str:
    """The model whose encoder is used; refused where it has learnt from an image that is judged."""
    start = config.start
    if config.fold_models and PUBLISHED not in data.splits:
        start = str(Path(config.fold_models) / f"fold_{split}.safetensors")
    card = open_model(start).card
    seen = set(card.training.get("images", {}).get("train", ())) & set(stems)
    if seen:
        raise PhaseguideError(
            f"Model {start} has learnt from {sorted(seen)[0]}, which is judged here. Choose another one with "
            "--set start=MODEL, or models of the folds with --set fold_models=DIR."
        )
    return start


class _Forest:
    """The random forest on features of scikit-image; those of an image are made once."""

    def __init__(self, n_phases: int) -> None:
        self._n = n_phases
        self._features: dict[str, Features] = {}

    def judge(self, one: Field, other: Field, marks: Labels, seed: int) -> dict[str, Any]:
        began = time.perf_counter()
        mine, others = self._of(one), self._of(other)
        encoded = time.perf_counter()
        forest = PixelForest(self._n, seed=seed)
        forest.fit({one.stem: mine}, {one.stem: marks})
        rest = forest.predict(mine)
        spent = time.perf_counter() - encoded
        return {
            **_confusions(one, other, marks, rest, forest.predict(others), self._n),
            "encode_s": encoded - began,
            "stroke_s": spent,
        }

    def _of(self, one: Field) -> Features:
        if one.stem not in self._features:
            self._features[one.stem] = pixel_features(one.image)
        return self._features[one.stem]


class _Pixels:
    """The classifier on frozen features; an image is encoded once."""

    def __init__(self, start: LoadedModel, data: StudyData, device: str) -> None:
        self._n = len(data.scheme)
        self._classifier = StrokeClassifier(blank_model(start, data.scheme, data.name), device=device)

    def judge(self, one: Field, other: Field, marks: Labels, seed: int) -> dict[str, Any]:
        began = time.perf_counter()
        classifier = self._classifier
        mine, another = (Source(f.stem, f.image, m, "edits") for f, m in ((one, marks), (other, None)))
        run_to_end(classifier.gather([mine]))
        encoded = time.perf_counter()
        painted = run_to_end(classifier.gather([mine]))
        fitted = classifier.fit(painted, [mine])
        rest = run_to_end(classifier.segment(fitted, mine)).labels
        spent = time.perf_counter() - encoded
        labels = run_to_end(classifier.segment(fitted, another)).labels
        return {
            **_confusions(one, other, marks, rest, labels, self._n),
            "encode_s": encoded - began,
            "stroke_s": spent,
            "held_out": judge_strokes(painted),
        }


def _method(condition: str, start: str, data: StudyData, config: FirstModelConfig) -> Any:
    if condition == FOREST:
        return _Forest(len(data.scheme))
    return _Pixels(open_model(start), data, config.device)


def _confusions(
    one: Field, other: Field, marks: Labels, rest: Labels, another: Labels, n_phases: int
) -> dict[str, Any]:
    unpainted = np.where(marks == NOT_CLASSIFIED, one.truth, NOT_CLASSIFIED).astype(np.uint8)
    return {
        "rest": confusion_matrix(unpainted, rest, n_phases).tolist(),
        "another": confusion_matrix(other.truth, another, n_phases).tolist(),
    }


def _read(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found: dict[str, Any] = read_json(path)
    if found.get("settings") != settings:
        raise PhaseguideError(f"{path}: was made with other settings. Choose another folder, or delete it.")
    return found


def _dice(cell: dict[str, Any], part: str) -> float:
    return 100 * float(scores_from_confusion(np.array(cell[part])).dice_mean)


def _summarised(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean Dice by data set, painted part and condition, the gain over the forest, and the seconds of a stroke."""
    rows: list[dict[str, Any]] = []
    for data, share in dict.fromkeys((c["data"], c["share"]) for c in cells):
        row: dict[str, Any] = {"data": data, "share": share}
        for condition in (FOREST, PIXELS):
            here = [c for c in cells if (c["data"], c["share"], c["condition"]) == (data, share, condition)]
            if here:
                row[condition] = _of_condition(here)
        if FOREST in row and PIXELS in row:
            row["gain"] = {part: row[PIXELS][part] - row[FOREST][part] for part in ("rest", "another")}
        rows.append(row)
    gains = [row["gain"] for row in rows if "gain" in row]
    mean = {p: float(np.mean([g[p] for g in gains])) for p in ("rest", "another")} if gains else None
    return {"rows": rows, "mean_gain": mean}


def _of_condition(here: Sequence[dict[str, Any]]) -> dict[str, Any]:
    spent = [c["stroke_s"] for c in here]
    judged = [c["held_out"] for c in here if c.get("held_out")]
    return {
        "cells": len(here),
        "images": sorted({c["image"] for c in here}),
        "painted_px": float(np.mean([c["painted_px"] for c in here])),
        "pixels": max(c["pixels"] for c in here),
        **{part: float(np.mean([_dice(c, part) for c in here])) for part in ("rest", "another")},
        "lowest": {part: min(_dice(c, part) for c in here) for part in ("rest", "another")},
        "stroke_s": {"median": float(np.median(spent)), "p95": float(np.percentile(spent, 95))},
        "held_out": float(np.mean([right / of for right, of in judged])) if judged else None,
    }


def lines(numbers: Numbers) -> list[str]:
    """Return the table."""
    found = [
        "Dice (%), mean over images and seeds, of the phases that an image or its map has. Forest: 100 trees on "
        "multiscale_basic_features of scikit-image. Pixels: logistic regression on frozen features. Strokes are those "
        "of the simulated user, the same for both; seconds are from the end of a stroke to the map, images known.",
        *set_lines(numbers),
        "",
        *table(
            {
                "data": lambda row: row["data"],
                "painted": lambda row: f"{100 * row['share']:g} %",
                "forest: rest / another image": lambda row: _pair(row.get(FOREST)),
                "pixels: rest / another image": lambda row: _pair(row.get(PIXELS)),
                "gain": lambda row: _pair(row.get("gain"), "+.1f"),
                "held-out strokes told right, %": lambda row: _held(row.get(PIXELS)),
                "forest s, median": lambda row: _median(row.get(FOREST)),
                "pixels s, median / p95": lambda row: _seconds(row.get(PIXELS)),
            },
            numbers["rows"],
        ),
    ]
    if numbers["mean_gain"] is not None:
        found += ["", f"Mean gain: {_pair(numbers['mean_gain'], '+.1f')}."]
    return found


def _pair(found: Any, form: str = ".1f") -> str:
    return "not run" if found is None else f"{found['rest']:{form}} / {found['another']:{form}}"


def _held(found: Any) -> str | None:
    return None if found is None else fixed(found["held_out"], 1, 100)


def _median(found: Any) -> str | None:
    return None if found is None else fixed(found["stroke_s"]["median"], 2)


def _seconds(found: Any) -> str | None:
    return None if found is None else f"{found['stroke_s']['median']:.2f} / {found['stroke_s']['p95']:.2f}"


def figure(numbers: Numbers) -> Figure | None:
    """Nothing is drawn: the table is short."""
    return None


STUDY = Study(
    name="first-model",
    question="What do a few strokes on one image of a new material teach a pixel classifier on frozen features, there "
    "and on another image, against a random forest on plain filters?",
    conditions=(FOREST, PIXELS),
    run=run,
    lines=lines,
    figure=figure,
    config=FirstModelConfig,
)
