"""Every method on every test image: learnt, judged, and kept in a file, so that none of it is done twice."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.boundary import boundary_f1
from phaseguide.evaluation.confusion import confusion_matrix
from phaseguide.evaluation.ratio_source import draw_generator, parse_source
from phaseguide.evaluation.tables import mean_known
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.files.json_files import json_bytes, read_json
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.new_model import new_model
from phaseguide.jobs.finetune_start import make_config
from phaseguide.models.model_file import LoadedModel, read_card
from phaseguide.ratios import Ratio, ratio_from_labels
from phaseguide.studies.finetune.data import read_fields
from phaseguide.studies.guidance.asking import WITHOUT, Ask
from phaseguide.studies.named.peers.boosted import BoostingOptions
from phaseguide.studies.named.peers.conditions import BOOSTED, FOREST, FOREST_MATCHED, NETWORK, PRETRAINED
from phaseguide.studies.named.peers.methods import (
    ASKS,
    CONDITIONS,
    BoostedMethod,
    ForestMethod,
    Method,
    NetworkMethod,
)
from phaseguide.studies.named.peers.painting import STROKES, Painted, paint
from phaseguide.studies.named.peers.starting import (
    channels_of,
    has_ratio,
    pretrained,
    tried_on,
    weight_by_training_images,
)
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.study import Given
from phaseguide.training.crossfit.folds import model_path
from phaseguide.training.dropout import own_threads

Judged = dict[str, Any]

SMALL: dict[str, Any] = {"crop": 128}
"""What of the presets a small study changes in the networks; a full one takes them as they are."""

EXPERTS = {"small": 2, "full": 5}
"""Draws of an expert for each image."""

PIXELS = {"small": 10_000, "full": 50_000}
"""Pixels that stand for an image in the volume-fraction term."""


@dataclass(frozen=True)
class Cell:
    """One method on one image: the condition by name, the seed of strokes and learning, the split, and the image."""

    condition: str
    seed: int
    split: str
    stem: str

    def path(self, folder: Path) -> Path:
        """File of what it was judged to do."""
        return folder / self.condition / f"seed{self.seed}" / f"{self.split} {self.stem}.json"


@dataclass
class Bench:
    """A data set and what is made for it once: fold models, and chosen weights."""

    given: Given
    data: StudyData
    models: dict[tuple[str, int], LoadedModel] = field(default_factory=dict)
    weights: dict[tuple[str, int], float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where everything of the data set lies."""
        return self.given.out / self.data.name

    def models_folder(self, seed: int) -> Path:
        """Where the pretrained models of a seed lie."""
        return self.folder / "models" / f"seed{seed}"

    @property
    def boosting(self) -> BoostingOptions:
        """How boosted trees grow."""
        return BoostingOptions(pixels=PIXELS[self.given.size])

    def config(self, condition: str, seed: int) -> FinetuneConfig:
        """Settings by which a network learns the strokes: those of the presets for a new material, or a known one."""
        small = SMALL if self.given.size == "small" else {}
        preset = "fast" if condition == PRETRAINED else "new steel"
        settings = {"threads": 1, **small, **self.given.settings, "seed": seed, "rehearsal": 0.0}
        return make_config(preset, settings)

    def cells(self) -> list[Cell]:
        """All methods on all images: for each seed and image the conditions in their order."""
        wanted = self.given.conditions or tuple(CONDITIONS)
        return [
            Cell(condition, seed, name, stem)
            for seed in self.given.seeds
            for name, split in self.given.splits(self.data).items()
            for stem in split.test
            for condition in CONDITIONS
            if condition in wanted
        ]

    def files_sha256(self, *stems: str) -> str:
        """Checksum of the files of images and their labels."""
        paths = [p for i in self.data.dataset.only(stems).items for p in (i.image_path, i.label_path) if p]
        return sha256(b"".join(sha256(path.read_bytes()).digest() for path in paths)).hexdigest()

    def settings(self, cell: Cell) -> dict[str, Any]:
        """What decides the numbers of a cell, its image and labels among it, as JSON holds it."""
        found: dict[str, Any] = {
            "strokes": STROKES,
            "experts": EXPERTS[self.given.size],
            "files": self.files_sha256(cell.stem),
        }
        if cell.condition == BOOSTED:
            found["boosting"] = asdict(self.boosting)
            found["tried"] = self.files_sha256(*tried_on(self.data.splits[cell.split]))
        elif cell.condition not in (FOREST, FOREST_MATCHED):
            found["learning"] = self.config(cell.condition, cell.seed).to_dict()
        told: dict[str, Any] = json.loads(json.dumps(found))  # lists where the settings hold tuples
        return told


def run_bench(bench: Bench) -> Generator[Any, None, list[Judged]]:
    """Learn and judge what is missing; returns all that was judged. Nothing is made where the study only reports."""
    found, cells = [], bench.cells()
    painted: dict[tuple[int, str], Painted] = {}
    for number, cell in enumerate(cells):
        path = cell.path(bench.folder)
        if path.exists():
            before = _read(path, bench.settings(cell))
            if _is_of_the_model(bench, cell, before):
                found.append(before)
                continue
            yield Notice(f"{path}: is of another pretrained network, and not counted.")
        if not bench.given.train:
            continue
        yield Progress(f"{bench.data.name}, {cell.stem}, {cell.condition}", number, len(cells))
        key = (cell.seed, cell.stem)
        if key not in painted:
            painted.clear()
            painted[key] = _painted(bench.data, cell)
        judged: Judged = yield from _judged(bench, cell, painted[key])
        write_bytes(path, json_bytes(judged, indent=None))
        found.append(judged)
    return found


def asked_of(ask: Ask, true: Ratio, stem: str, *, experts: int, seed: int) -> list[Ratio | None]:
    """Return the ratios that are asked of an image: one, or one for each draw of an expert.

    All methods are told the same, of every phase: an expert who sees none of a phase says so.
    """
    if ask.source == WITHOUT:
        return [None]
    source = parse_source(ask.source)
    draws = range(experts if source.is_drawn else 1)
    asked = (source.asked(true, true, draw_generator(seed, draw, stem)) for draw in draws)
    return [np.nan_to_num(ratio) for ratio in asked if ratio is not None]


def _painted(data: StudyData, cell: Cell) -> Painted:
    (one,) = read_fields(data.dataset, [cell.stem], data.scheme)
    if not has_ratio(one):
        raise PhaseguideError(
            f"{data.dataset.folder}: no pixel of {cell.stem} carries a phase, so nobody can paint one. Label it, or "
            "take it out of the test images."
        )
    return paint(one, len(data.scheme), cell.seed)


def _judged(bench: Bench, cell: Cell, painted: Painted) -> Generator[Any, None, Judged]:
    one, k = painted.field, len(bench.data.scheme)
    method = yield from _method(bench, cell, painted)
    true = ratio_from_labels(one.truth, k)
    assert true is not None  # it is labelled
    with own_threads(1):
        began = time.process_time()
        for event in method.learn():
            if isinstance(event, Progress):
                yield Progress(f"{cell.stem}, {cell.condition}: {event.stage}", event.done, event.total)
        learnt = time.process_time() - began
        rows: list[dict[str, Any]] = []
        for ask in CONDITIONS[cell.condition].asks:
            asked = asked_of(ask, true, cell.stem, experts=EXPERTS[bench.given.size], seed=cell.seed)
            began, maps = time.process_time(), [method.segment(ask, ratio) for ratio in asked]
            spent = time.process_time() - began
            yield Progress(f"{cell.stem}, {cell.condition}: judging", len(rows) + 1, len(ASKS))
            rows.append(
                {
                    "source": ask.source,
                    "uncertainty": ask.uncertainty,
                    "asked": [None if ratio is None else ratio.tolist() for ratio in asked],
                    "unpainted": [confusion_matrix(painted.unpainted_truth, m, k).tolist() for m in maps],
                    "all": [confusion_matrix(one.truth, m, k).tolist() for m in maps],
                    "boundary_f1": [float(mean_known(boundary_f1(one.truth, m, k))) for m in maps],
                    "seconds": spent / len(maps),
                }
            )
    return {
        **asdict(cell),
        "settings": bench.settings(cell),
        "phases": list(bench.data.scheme.names),
        "strokes": painted.strokes,
        "painted_px": painted.pixels,
        "image_px": int(one.truth.size),
        "true": true.tolist(),
        "parameters": method.parameters,
        "learn_s": learnt,
        "weight": bench.weights.get((cell.split, cell.seed)) if cell.condition == BOOSTED else None,
        "model": _weights_of(bench, cell),
        "rows": rows,
    }


def _method(bench: Bench, cell: Cell, painted: Painted) -> Generator[Any, None, Method]:
    """Make the method of a cell; what it starts from is made once for a split and seed."""
    made: Method
    k, key = len(bench.data.scheme), (cell.split, cell.seed)
    if cell.condition in (FOREST, FOREST_MATCHED):
        made = ForestMethod(painted, k, cell.seed)
    elif cell.condition == BOOSTED:
        if key not in bench.weights:
            bench.weights[key] = yield from _weight(bench, cell)
        made = BoostedMethod(painted, k, cell.seed, bench.boosting, bench.weights[key])
    else:
        config = bench.config(cell.condition, cell.seed)
        if cell.condition == PRETRAINED:
            if key not in bench.models:
                folder = bench.models_folder(cell.seed)
                bench.models[key] = yield from pretrained(bench.data, cell.split, folder, cell.seed)
            start = bench.models[key]
        else:
            start = new_model(
                bench.data.scheme,
                channels=channels_of(painted.field),
                guidance="none" if cell.condition == NETWORK else "",
                seed=cell.seed,
            )
        made = NetworkMethod(painted, start, config)
    return made


def _weight(bench: Bench, cell: Cell) -> Generator[Any, None, float]:
    """Return the weight of the volume-fraction term of a split, chosen once and kept."""
    path = bench.folder / BOOSTED / f"seed{cell.seed}" / f"weight {cell.split}.json"
    tried = bench.files_sha256(*tried_on(bench.data.splits[cell.split]))
    settings = {"boosting": asdict(bench.boosting), "strokes": STROKES, "tried": tried}
    if path.exists():
        return float(_read(path, settings)["weight"])
    split = bench.data.splits[cell.split]
    weight: float = yield from weight_by_training_images(bench.data, split, bench.boosting, cell.seed)
    write_bytes(path, json_bytes({"settings": settings, "weight": weight}))
    return weight


def _is_of_the_model(bench: Bench, cell: Cell, judged: Judged) -> bool:
    """Whether what was judged is of the pretrained model that lies there now, if any does."""
    path = model_path(bench.models_folder(cell.seed), cell.split)
    return (
        cell.condition != PRETRAINED or not path.exists() or read_card(path).tensors_sha256 == judged["model"]
    )


def _weights_of(bench: Bench, cell: Cell) -> str | None:
    """Checksum of the pretrained model."""
    if cell.condition != PRETRAINED:
        return None
    return bench.models[cell.split, cell.seed].card.tensors_sha256


def _read(path: Path, settings: dict[str, Any]) -> Judged:
    try:
        found: Judged = read_json(path)
        made = found["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PhaseguideError(
            f"{path}: holds nothing of this study ({error}). Delete it, or choose another folder."
        ) from error
    if made != settings:
        raise PhaseguideError(
            f"{path}: was made with other settings, or of other images or labels, than now. Choose another folder, "
            "delete it, or give the settings of before."
        )
    return found


def all_judged(given: Given) -> Iterator[Any]:
    """Run all data sets; the result is what was judged, by the name of the data set."""
    found: dict[str, list[Judged]] = {}
    for data in given.data:
        found[data.name] = yield from run_bench(Bench(given, data))
    yield Finished(found)
