"""One network on one place: every row of ratios, and its response by conditioning alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import confusion_matrix
from phaseguide.events import Finished, Progress
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import Ratio, complete_ratio, total_variation
from phaseguide.segmentation.matching.match import Matcher, argmax_labels, shares
from phaseguide.studies.folds.response import STEP, moved_ratio
from phaseguide.studies.guidance.asking import ASKS, Key, asked_ratios, imposed_ratio
from phaseguide.studies.guidance.judged import Judging, Trial
from phaseguide.studies.guidance.places import SCOPES, Place, Scope, fields, windows
from phaseguide.studies.guidance.seen import Seen
from phaseguide.studies.study import Given

EXPERTS_DRAWN = 3
"""Draws of an expert for a place."""

LARGEST_WINDOW = 128
"""Side of the windows, px; smaller where the crops of the trainings are."""


@dataclass(frozen=True)
class Drawing:
    """What decides the ratios that are drawn: places that others' are of, experts a place, and the seed."""

    pool: Sequence[Place]
    experts: int
    seed: int


class Judge:
    """A model on a place, encoded once."""

    def __init__(self, model: LoadedModel, place: Place, device: torch.device) -> None:
        self.card, self.place = model.card, place
        self.seen = Seen(model, place.pixels, place.fixed, device)
        self.n_phases = len(model.card.scheme)
        self.guided = model.card.guidance.takes_ratio
        self.plain = self.seen.scores(None)
        self.own_labels = argmax_labels(self.plain, place.fixed)
        self.own: Ratio = shares(self.own_labels, self.n_phases)

    def rows(self, drawing: Drawing) -> dict[str, Any]:
        """Confusion matrices by row, one for each ratio that was drawn, and how wrong these ratios are."""
        place = self.place
        found: dict[str, list[Any]] = {str(Key()): [self._counts(self.own_labels)]}
        variation: dict[str, list[float]] = {}
        train_mean = np.asarray(self.card.training_ratio_mean, dtype=np.float64)
        train_mean = train_mean / train_mean.sum()
        matcher = Matcher(self.plain, place.fixed)

        def note(key: Key, labels: NDArray[np.uint8], wrong: float) -> None:
            found.setdefault(str(key), []).append(self._counts(labels))
            variation.setdefault(str(key), []).append(wrong)

        for ask in ASKS:
            for asked in asked_ratios(
                ask, place, train_mean, self.own, drawing.pool, experts=drawing.experts, seed=drawing.seed
            ):
                wrong = total_variation(complete_ratio(asked, self.own), place.true)
                imposed = imposed_ratio(ask, asked, self.own, self.card.own_error)
                about = (ask.source, ask.uncertainty)
                note(Key(*about, "matched"), matcher.match(imposed).labels, wrong)
                if self.guided:
                    told = self.seen.scores(imposed)
                    note(Key(*about, "conditioned"), argmax_labels(told, place.fixed), wrong)
                    note(Key(*about, "both"), Matcher(told, place.fixed).match(imposed).labels, wrong)
        return {"confusion": found, "variation": variation}

    def response(self) -> dict[str, Any]:
        """How far area and mean probability of each phase follow a ratio, which is moved by +-5 pp, by conditioning.

        From the network's own composition and from the true one; change by change of the asked, None without room.
        ``moved`` is how far the same steps, from the true one, move the guided map, as part of it; ``silenced`` the
        share of the pixels of the map told the true ratio that change their phase where the guided map shows its mean
        everywhere: what the decoder takes from it at all.
        """
        if not self.guided:
            return {}
        starts = {"own": self.own, "true": self.place.true}
        counted = slice(None) if self.place.fixed is None else self.place.fixed == 0
        changed = (self.seen.silenced(self.place.true) != self.seen.labels(self.place.true))[counted]
        return {
            **{name: self._response(start) for name, start in starts.items()},
            "moved": self._moved(),
            "silenced": float(changed.mean()),
        }

    def _response(self, start: Ratio) -> dict[str, list[float | None]]:
        found: dict[str, list[float | None]] = {"area": [], "probability": []}
        for phase in range(self.n_phases):
            if (steps := _steps(start, phase)) is None:
                for values in found.values():
                    values.append(None)
                continue
            low, high = steps
            moved = [self._amounts(ratio, phase) for ratio in steps]
            for values, before, after in zip(found.values(), *moved, strict=True):
                values.append(float((after - before) / (high[phase] - low[phase])))
        return found

    def _moved(self) -> float | None:
        gaps = []
        for phase in range(self.n_phases):
            if (steps := _steps(self.place.true, phase)) is None:
                continue
            low, high = (torch.cat([m.flatten() for m in self.seen.guided(ratio)]) for ratio in steps)
            gaps.append(float((high - low).norm() / low.norm().clamp_min(1e-12)))
        return float(np.mean(gaps)) if gaps else None

    def _amounts(self, ratio: Ratio, phase: int) -> tuple[float, float]:
        """Area share and mean probability of a phase where the network is given a ratio."""
        scores, fixed = self.seen.scores(ratio), self.place.fixed
        counts = slice(None) if fixed is None else fixed == 0
        probability = torch.softmax(torch.from_numpy(scores), 0)[phase].numpy()[counts]
        area = shares(argmax_labels(scores, fixed), self.n_phases)[phase]
        return float(area), float(probability.mean())

    def _counts(self, labels: NDArray[np.uint8]) -> list[list[int]]:
        counts: list[list[int]] = confusion_matrix(self.place.labels, labels, self.n_phases).tolist()
        return counts


def _steps(start: Ratio, phase: int) -> tuple[Ratio, Ratio] | None:
    """The ratios a step below and above, from the start where there is no room below; None with none above."""
    high, low = (moved_ratio(start, phase, step) for step in (STEP, -STEP))
    return None if high is None else (start if low is None else low, high)


def judge_place(model: LoadedModel, place: Place, drawing: Drawing, device: torch.device) -> dict[str, Any]:
    """Return all that is kept of one model on one place, as plain numbers."""
    judge = Judge(model, place, device)
    return {
        "stem": place.stem,
        "place": place.name,
        "true": place.true.tolist(),
        **judge.rows(drawing),
        "response": judge.response(),
    }


def judging_of(given: Given) -> Judging:
    """How the networks of ``ratio-error`` and ``response`` are judged, which are the same."""
    crop = int(given.settings.get("crop", LARGEST_WINDOW))
    return ratio_judging(min(crop, LARGEST_WINDOW))


def ratio_judging(side: int, experts: int = EXPERTS_DRAWN, seed: int = 0) -> Judging:
    """Whole fields, and windows of a side in px, with every ratio of `ASKS`."""

    def judge(trial: Trial) -> Iterator[Progress | Finished[dict[str, Any]]]:
        n_phases = len(trial.model.card.scheme)
        pools: dict[Scope, list[Place]] = {
            "fields": fields(trial.pool, n_phases),
            "windows": windows(trial.pool, side, n_phases),
        }
        stems = {image.stem for image in trial.images}
        chosen = {scope: [p for p in pool if p.stem in stems] for scope, pool in pools.items()}
        places: dict[str, list[Any]] = {scope: [] for scope in SCOPES}
        done, total = 0, sum(map(len, chosen.values()))
        for scope, pool in pools.items():
            drawing = Drawing(pool, experts, seed)
            for place in chosen[scope]:
                places[scope].append(judge_place(trial.model, place, drawing, trial.device))
                done += 1
                yield Progress("judging", done, total)
        yield Finished({"guidance": trial.model.card.guidance.kind, **places})

    asks = [f"{ask.source} {ask.uncertainty:g}" for ask in ASKS]
    return Judging("ratios", {"side": side, "experts": experts, "seed": seed, "asks": asks}, judge)
