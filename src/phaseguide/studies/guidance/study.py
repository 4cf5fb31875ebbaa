"""The matrix of conditions, folds and seeds: each network is trained, judged, and kept, and none of it done twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.files.json_files import json_bytes, read_json
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.network.device import choose_device
from phaseguide.studies.guidance.asking import ASKS
from phaseguide.studies.guidance.judging import Drawing, judge_place
from phaseguide.studies.guidance.places import SCOPES, Place, Scope, fields, windows
from phaseguide.studies.networks.splits import splits_of
from phaseguide.studies.networks.training import Cell, Condition, Matrix, trained
from phaseguide.training.crossfit.folds import Folds
from phaseguide.training.data import load_images
from phaseguide.training.dropout import own_threads
from phaseguide.training.events import EpochDone

Judged = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Which part of the matrix, and how it is judged: side of the windows in px, draws of an expert, their seed."""

    conditions: Sequence[str]
    folds: Sequence[str]
    seeds: Sequence[int]
    side: int = 128
    experts: int = 3
    seed: int = 0

    def cells(self) -> list[Cell]:
        """All networks, a seed after the other, and for each the conditions in their order."""
        return [Cell(c, s, f) for s in self.seeds for c in self.conditions for f in self.folds]


def guidance_study(
    dataset: Dataset,
    scheme: PhaseScheme,
    folds: Folds,
    conditions: Mapping[str, Condition],
    plan: Plan,
    out: Path,
    settings: Mapping[str, Any],
) -> Iterator[Progress | Notice | EpochDone | Finished[list[Judged]]]:
    """Train and judge every network of a plan, into a folder for each condition and seed.

    What is there already, from the same settings, is not done again; a training that was stopped goes on from its
    checkpoint. ``settings`` of a training come over those of every condition. The result is what each network was
    judged to do. `PhaseguideError` for a network or judgement of other settings, or names that there are not.
    """
    _check(plan, folds, conditions)
    stems = [stem for members in folds.values() for stem in members]
    images = {}
    for done, image in enumerate(load_images(dataset.only(stems), scheme)):
        yield Progress("Reading images", done + 1, len(stems))
        images[image.stem] = image
    matrix = Matrix(images, splits_of(folds), scheme, conditions, settings, out)
    pools: dict[Scope, list[Place]] = {
        "fields": fields(images.values(), len(scheme)),
        "windows": windows(images.values(), plan.side, len(scheme)),
    }
    results = []
    for cell in plan.cells():
        for event in trained(matrix, cell):
            if isinstance(event, Finished):
                path = event.result
            else:
                yield event
        judged: Judged = yield from _judged(matrix, cell, load_model(path), pools, plan)
        results.append(judged)
    yield Finished(results)


def read_judged(plan: Plan, out: Path) -> list[Judged]:
    """Return what the networks of a plan were judged to do, as far as that is there; nothing is trained."""
    paths = [cell.judgement(out) for cell in plan.cells()]
    return [_read(path, plan) for path in paths if path.exists()]


def _judged(
    matrix: Matrix, cell: Cell, model: LoadedModel, pools: Mapping[Scope, list[Place]], plan: Plan
) -> Any:
    path = cell.judgement(matrix.out)
    weights = tensors_sha256(model.segmenter.state_dict())
    if path.exists():
        before = _read(path, plan)
        if before["weights"] == weights:
            return before
        yield Notice(f"{path}: is of another network; this one is judged anew.")
    config = matrix.config(cell)
    device = choose_device(config.device).torch_device
    model.segmenter.to(device).eval()
    test = set(matrix.splits[cell.split].test)
    places: dict[str, list[Any]] = {scope: [] for scope in SCOPES}
    total, done = sum(p.stem in test for pool in pools.values() for p in pool), 0
    with own_threads(config.threads):
        for scope, pool in pools.items():
            drawing = Drawing(pool, plan.experts, plan.seed)
            for place in pool:
                if place.stem in test:
                    places[scope].append(judge_place(model, place, drawing, device))
                    done += 1
                    yield Progress(f"{cell}: judging", done, total)
    record = model.card.training
    found: Judged = {
        "condition": cell.condition,
        "seed": cell.seed,
        "fold": cell.split,
        "judging": _judging(plan),
        "weights": weights,
        "guidance": model.card.guidance.kind,
        "phases": list(matrix.scheme.names),
        "parameters": sum(p.numel() for p in model.segmenter.parameters()),
        "of_guidance": sum(p.numel() for p in model.segmenter.guidance.parameters()),
        "seconds": record.get("seconds"),
        "gauges": (record.get("gauges") or [{}])[-1],
        "training": config.to_dict(),
        **places,
    }
    write_bytes(path, json_bytes(found, indent=None))
    return found


def _read(path: Path, plan: Plan) -> Judged:
    try:
        found: Judged = read_json(path)
        judging = found["judging"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PhaseguideError(
            f"{path}: holds no judgement of this study ({error}). Delete it, or choose another folder."
        ) from error
    if judging != _judging(plan):
        raise PhaseguideError(
            f"{path}: was judged with other settings ({judging}) than now ({_judging(plan)}). Choose another folder, "
            "delete it, or judge as before."
        )
    return found


def _judging(plan: Plan) -> dict[str, Any]:
    asks = [f"{ask.source} {ask.uncertainty:g}" for ask in ASKS]
    return {"side": plan.side, "experts": plan.experts, "seed": plan.seed, "asks": asks}


def _check(plan: Plan, folds: Folds, conditions: Mapping[str, Condition]) -> None:
    for kind, wanted, known in (
        ("fold", plan.folds, folds),
        ("condition", plan.conditions, conditions),
    ):
        if unknown := [name for name in wanted if name not in known]:
            raise PhaseguideError(f"There is no {kind} {unknown[0]!r}. Choose among {', '.join(known)}.")
