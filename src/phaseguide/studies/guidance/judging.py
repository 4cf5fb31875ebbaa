"""One network on one place: every row of the study, and its response by conditioning alone. One pass, no views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import confusion_matrix
from phaseguide.models.backbones.base import Features
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import Ratio, complete_ratio, total_variation
from phaseguide.segmentation.matching.match import Matcher, argmax_labels, shares
from phaseguide.studies.folds.response import STEP, moved_ratio
from phaseguide.studies.guidance.asking import ASKS, Key, asked_ratios, imposed_ratio
from phaseguide.studies.guidance.places import Place

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Drawing:
    """What decides the ratios that are drawn: places that others' are of, experts a place, and the seed."""

    pool: Sequence[Place]
    experts: int
    seed: int


class Judge:
    """A model on a place, encoded once."""

    def __init__(self, model: LoadedModel, place: Place, device: torch.device) -> None:
        self.model, self.place, self.device = model, place, device
        self.n_phases = len(model.card.scheme)
        self.guided = model.card.guidance.takes_ratio
        with torch.inference_mode():
            self.features: Features = model.segmenter.encode(place.pixels[None].to(device))
        self.plain = self.scores(None)
        self.own_labels = argmax_labels(self.plain, place.fixed)
        self.own: Ratio = shares(self.own_labels, self.n_phases)

    def scores(self, ratio: Ratio | None) -> Scores:
        """Scores of the network that is given a ratio, or none, shape (K, H, W)."""
        given = None if ratio is None else torch.tensor(ratio[None], dtype=torch.float32, device=self.device)
        with torch.inference_mode():
            return self.model.segmenter.decode(self.features, given)[0].float().cpu().numpy()

    def rows(self, drawing: Drawing) -> dict[str, Any]:
        """Confusion matrices by row, one for each ratio that was drawn, and how wrong these ratios are."""
        place, card = self.place, self.model.card
        found: dict[str, list[Any]] = {str(Key()): [self._counts(self.own_labels)]}
        variation: dict[str, list[float]] = {}
        train_mean = np.asarray(card.training_ratio_mean, dtype=np.float64)
        train_mean = train_mean / train_mean.sum()
        matcher = Matcher(self.plain, place.fixed)

        def note(key: Key, labels: NDArray[np.uint8], wrong: float) -> None:
            found.setdefault(str(key), []).append(self._counts(labels))
            variation.setdefault(str(key), []).append(wrong)

        for ask in ASKS:
            for asked in asked_ratios(
                ask, place, train_mean, drawing.pool, experts=drawing.experts, seed=drawing.seed
            ):
                wrong = total_variation(complete_ratio(asked, self.own), place.true)
                imposed = imposed_ratio(ask, asked, self.own, card.own_error)
                about = (ask.source, ask.uncertainty)
                note(Key(*about, "matched"), matcher.match(imposed).labels, wrong)
                if self.guided:
                    told = self.scores(imposed)
                    note(Key(*about, "conditioned"), argmax_labels(told, place.fixed), wrong)
                    note(Key(*about, "both"), Matcher(told, place.fixed).match(imposed).labels, wrong)
        return {"confusion": found, "variation": variation}

    def response(self) -> dict[str, dict[str, list[float | None]]]:
        """How far area and mean probability of each phase follow a ratio, which is moved by +-5 pp, by conditioning.

        From the network's own composition and from the true one; change by change of the asked, None without room.
        """
        starts = {"own": self.own, "true": self.place.true}
        return {name: self._response(start) for name, start in starts.items()} if self.guided else {}

    def _response(self, start: Ratio) -> dict[str, list[float | None]]:
        found: dict[str, list[float | None]] = {"area": [], "probability": []}
        for phase in range(self.n_phases):
            high, low = (moved_ratio(start, phase, step) for step in (STEP, -STEP))
            low = start if low is None else low
            if high is None:
                for values in found.values():
                    values.append(None)
                continue
            moved = [self._amounts(ratio, phase) for ratio in (low, high)]
            for values, before, after in zip(found.values(), *moved, strict=True):
                values.append(float((after - before) / (high[phase] - low[phase])))
        return found

    def _amounts(self, ratio: Ratio, phase: int) -> tuple[float, float]:
        """Area share and mean probability of a phase where the network is given a ratio."""
        scores, fixed = self.scores(ratio), self.place.fixed
        counts = slice(None) if fixed is None else fixed == 0
        probability = torch.softmax(torch.from_numpy(scores), 0)[phase].numpy()[counts]
        area = shares(argmax_labels(scores, fixed), self.n_phases)[phase]
        return float(area), float(probability.mean())

    def _counts(self, labels: NDArray[np.uint8]) -> list[list[int]]:
        counts: list[list[int]] = confusion_matrix(self.place.labels, labels, self.n_phases).tolist()
        return counts


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
