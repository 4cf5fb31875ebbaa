"""What shares from strokes are worth: simulated users on labelled micrographs, with models that have not seen these.

Command line: ``phaseguide benchmark strokes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.estimation.extrapolated import extrapolated_share
from phaseguide.estimation.painted import NORMAL, STROKES
from phaseguide.estimation.pixel_features import pixel_features
from phaseguide.events import Finished, Progress
from phaseguide.jobs.painted_share import ScoredImage
from phaseguide.labels import area_shares
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import FLOOR
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.studies.finetune.data import Field, read_fields, seeded
from phaseguide.studies.intervals.stroke_users import AMOUNTS, WHERE, Seen, paint_as
from phaseguide.studies.report import fixed, table
from phaseguide.training.crossfit.folds import Folds, model_path

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Strokes on an image; shares are of its phases, each (K,), ``extrapolated`` None where strokes do not suffice."""

    where: str
    amount: float
    true: Floats
    extrapolated: Floats | None
    counted: Floats
    own: Floats


@dataclass(frozen=True)
class Worth:
    """What shares of one way of painting are worth, over the phases of all images.

    Errors are mean absolute ones of area shares; ``log_error`` is the root mean square of the error of
    log(phase : rest), and ``held`` the part of the phases that lie within 1.96 times `STROKES` by it.
    """

    where: str
    amount: float
    cases: int
    without_estimate: int
    extrapolated: float
    log_error: float
    held: float
    counted: float
    own: float

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON takes them; None where there is no estimate at all."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in vars(self).items()
        }


def strokes_study(
    dataset: Dataset, folds: Folds, models: Path, scheme: PhaseScheme, *, seeds: int = 1
) -> Iterator[Progress | Finished[tuple[Worth, ...]]]:
    """Paint every image of the folds that have a model, in every way, and compare shares with the truth.

    Raises
    ------
    PhaseguideError
        No fold has a model in the folder.
    """
    todo = [(fold, stem) for fold in folds for stem in folds[fold] if model_path(models, fold).exists()]
    if not todo:
        raise PhaseguideError(
            f"{models}: holds no model of a fold, such as fold_{next(iter(folds))}.safetensors."
        )
    cases: list[Case] = []
    model: tuple[str, LoadedModel] | None = None
    for number, (fold, stem) in enumerate(todo):
        yield Progress(stem, number, len(todo))
        if model is None or model[0] != fold:
            model = fold, load_model(model_path(models, fold))
        (one,) = read_fields(dataset, [stem], scheme)
        cases += _cases_of(one, model[1], scheme, seeds)
    yield Finished(tuple(worth(where, amount, cases) for where in WHERE for amount in AMOUNTS))


def _cases_of(one: Field, model: LoadedModel, scheme: PhaseScheme, seeds: int) -> Iterator[Case]:
    session = Session(model, one.image, name=one.stem, embeddings="off")
    run_to_end(session.segment(Request()))
    assert session.scores is not None
    scores = np.asarray(session.scores, dtype=np.float32)
    features = pixel_features(ScoredImage(session.metal, scores))
    seen = Seen(one.truth, scores)
    true, own = (area_shares(labels, len(scheme)) for labels in (one.truth, seen.predicted))
    for where in WHERE:
        for amount in AMOUNTS:
            for seed in range(seeds):
                painted = paint_as(where, amount, seen, seeded(seed, where, str(amount), one.stem))
                try:
                    shares = extrapolated_share(painted, features, scheme).shares
                except MicrographError:
                    shares = None
                yield Case(where, amount, true, shares, area_shares(painted, len(scheme)), own)


def worth(where: str, amount: float, every: Sequence[Case]) -> Worth:
    """Compare over all phases that an image has; what an estimate leaves open does not count in it."""
    cases = [case for case in every if (case.where, case.amount) == (where, amount)]
    found = [case for case in cases if case.extrapolated is not None]
    gaps = [
        _log_ratio(case.extrapolated) - _log_ratio(case.true)
        for case in found
        if case.extrapolated is not None
    ]
    log_errors = np.concatenate(
        [gap[case.true > 0] for gap, case in zip(gaps, found, strict=True)] or [np.array([np.nan])]
    )
    log_errors = np.abs(log_errors[~np.isnan(log_errors)])
    off = [
        np.abs(case.extrapolated - case.true)[case.true > 0]
        for case in found
        if case.extrapolated is not None
    ]
    some = log_errors.size > 0
    return Worth(
        where,
        amount,
        len(cases),
        len(cases) - len(found),
        float(np.nanmean(np.concatenate(off))) if some else np.nan,
        float(np.sqrt(np.mean(log_errors**2))) if some else np.nan,
        float(np.mean(log_errors <= NORMAL * STROKES)) if some else np.nan,
        float(np.mean(np.concatenate([np.abs(case.counted - case.true)[case.true > 0] for case in cases]))),
        float(np.mean(np.concatenate([np.abs(case.own - case.true)[case.true > 0] for case in cases]))),
    )


def _log_ratio(shares: Floats) -> Floats:
    inside = np.clip(shares, FLOOR, 1 - FLOOR)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float64)


def to_lines(results: Sequence[Worth]) -> list[str]:
    """Return the results as lines of Markdown."""
    return [
        *table(
            {
                "strokes": lambda one: one.where,
                "painted %": lambda one: fixed(one.amount, 1, 100),
                "cases": lambda one: one.cases,
                "no estimate": lambda one: one.without_estimate,
                "extrapolated, error pp": lambda one: fixed(one.extrapolated, 1, 100),
                "log-ratio error": lambda one: fixed(one.log_error, 2),
                "within ± 1.96 u, %": lambda one: fixed(one.held, 1, 100),
                "counted, error pp": lambda one: fixed(one.counted, 1, 100),
                "model alone, error pp": lambda one: fixed(one.own, 1, 100),
            },
            results,
        ),
        "",
        f"Mean absolute errors over phases. u = {STROKES:g} is how sure the blend takes shares from strokes to be.",
    ]
