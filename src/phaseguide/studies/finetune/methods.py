"""The methods that learn from a simulated user's strokes, behind one face: learn, then predict."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.ratio_source import draw_generator
from phaseguide.events import Finished, Progress
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.events import FinetuneResult, Preview, PreviewField
from phaseguide.finetuning.sources import Source
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import ratio_from_labels
from phaseguide.ratios.simulated import expert_ratio
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.studies.finetune.data import Field, Strokes
from phaseguide.studies.finetune.random_forest import Features, PixelForest, pixel_features

Labels = NDArray[np.uint8]

EXPERT_ERROR = 0.1
"""Error of the simulated expert, and the uncertainty stated with it."""

EXPERTS = 5
"""Draws of the expert for each image."""


@dataclass(frozen=True)
class Spent:
    """What it took to learn from the strokes of a round.

    ``first_s`` is the time to the first prediction of the image at hand that is better on its unpainted pixels than
    the one before, None without one; ``round_s`` that to the finished model; ``ended`` as in `FinetuneResult`.
    """

    first_s: float | None
    round_s: float
    epochs: int = 1
    ended: str = "done"


Learning = Generator[Progress, None, Spent]


class Method(Protocol):
    """What a story compares; ``name`` is what tables call it."""

    name: str

    def learn(self, strokes: Strokes, watched: Field) -> Learning:
        """Learn from all strokes so far; ``watched`` is the image at hand."""

    def predict(self, one: Field) -> Labels:
        """Return the label map of an image, as if nothing had been painted on it."""


class NetworkMethod:
    """A network that is fine-tuned round after round, each time from the model that the last round kept; it
    rehearses images that the first one has learnt from.
    """

    def __init__(
        self, name: str, start: LoadedModel, config: FinetuneConfig, rehearsal: Sequence[Source] = ()
    ) -> None:
        self.name, self.model = name, start
        self._config, self._rehearsal = config, list(rehearsal)
        self._sessions: dict[str, Session] = {}

    def renewed(self, name: str) -> NetworkMethod:
        """Return a method that starts from the model as it is now."""
        return NetworkMethod(name, self.model, self._config, self._rehearsal)

    def learn(self, strokes: Strokes, watched: Field) -> Learning:
        """Fine-tune on all strokes; previews of ``watched`` tell when the first was better."""
        from phaseguide.finetuning.run import finetune

        truth = strokes.unpainted_truth(watched)
        before = dice(truth, self.predict(watched), len(self.model.card.scheme))
        field = PreviewField(watched.image, None, watched.stem)
        first: float | None = None
        result: FinetuneResult | None = None
        started = time.perf_counter()
        for event in finetune(
            self.model, strokes.sources(), self._config, rehearsal=self._rehearsal, preview=lambda: field
        ):
            if isinstance(event, Progress):
                yield event
            elif isinstance(event, Preview) and first is None:
                if dice(truth, event.labels, len(self.model.card.scheme)) > before:
                    first = time.perf_counter() - started
            elif isinstance(event, Finished):
                result = event.result
        assert result is not None
        spent = time.perf_counter() - started
        self.model = result.model
        self._sessions.clear()
        if first is None and dice(truth, self.predict(watched), len(self.model.card.scheme)) > before:
            first = time.perf_counter() - started
        return Spent(first, spent, len(result.history), result.ended)

    def predict(self, one: Field) -> Labels:
        """Segment without a ratio."""
        return self.segment(one, Request()).labels

    def predict_matched(self, one: Field, seed: int) -> list[Labels]:
        """Segment with the ratio of each of `EXPERTS` simulated experts, stated as sure as it is."""
        true = ratio_from_labels(one.truth, len(self.model.card.scheme))
        maps = []
        for draw in range(EXPERTS):
            asked = None
            if true is not None:
                asked = expert_ratio(true, EXPERT_ERROR, draw_generator(seed, draw, one.stem))
            maps.append(
                self.segment(one, Request(asked=asked, uncertainty=EXPERT_ERROR, mode="matched")).labels
            )
        return maps

    def segment(self, one: Field, request: Request) -> Segmentation:
        """Segment as requested; the session is kept until the model changes."""
        segmentation: Segmentation = run_to_end(self.session(one).segment(request))
        return segmentation

    def session(self, one: Field) -> Session:
        """The session of an image with the model as it is now."""
        if one.stem not in self._sessions:
            self._sessions[one.stem] = Session(
                self.model, one.image, device=self._config.device, name=one.stem
            )
        return self._sessions[one.stem]


class ForestMethod:
    """The random forest, grown anew from all strokes in each round."""

    def __init__(self, name: str, n_phases: int, *, seed: int = 0, threads: int = 1) -> None:
        self.name = name
        self._n_phases, self._seed, self._threads = n_phases, seed, threads
        self._features: dict[str, Features] = {}
        self._forest: PixelForest | None = None

    def learn(self, strokes: Strokes, watched: Field) -> Learning:
        """Grow a forest; the features of new images count to the time."""
        started = time.perf_counter()
        yield Progress("Growing a forest", 0, 1)
        features = {one.stem: self._of(one) for one in strokes.fields}
        forest = PixelForest(self._n_phases, seed=self._seed, threads=self._threads)
        forest.fit(features, strokes.labels)
        self._forest = forest
        spent = time.perf_counter() - started
        self.predict(watched)
        return Spent(time.perf_counter() - started, spent)

    def predict(self, one: Field) -> Labels:
        """Classify each pixel; before the first strokes everything is the first phase."""
        if self._forest is None:
            return np.ones_like(one.truth)
        return self._forest.predict(self._of(one))

    def renewed(self, name: str) -> ForestMethod:
        """Return one that has learnt nothing, under another name; features of images are shared."""
        other = ForestMethod(name, self._n_phases, seed=self._seed, threads=self._threads)
        other._features = self._features
        return other

    def _of(self, one: Field) -> Features:
        if one.stem not in self._features:
            self._features[one.stem] = pixel_features(one.image)
        return self._features[one.stem]


def counted(pairs: Sequence[tuple[Labels, Labels]], n_phases: int) -> list[list[int]]:
    """Confusion matrix over (true, predicted) maps, K rows of K + 1, as JSON takes it."""
    total = np.zeros((n_phases, n_phases + 1), dtype=np.int64)
    for truth, predicted in pairs:
        total += confusion_matrix(truth, predicted, n_phases)
    rows: list[list[int]] = total.tolist()
    return rows


def dice(truth: Labels, predicted: Labels, n_phases: int) -> float:
    """Mean Dice over the phases that either map has, in [0, 1]."""
    return scores_from_confusion(confusion_matrix(truth, predicted, n_phases)).dice_mean
