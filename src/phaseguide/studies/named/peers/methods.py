"""The methods that are compared: each learns from the strokes on an image, and segments it with or without a ratio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phaseguide.events import Finished, run_to_end
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.sources import Source
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import Ratio
from phaseguide.segmentation.matching.match import Matcher
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session
from phaseguide.studies.finetune.random_forest import PixelForest, pixel_features
from phaseguide.studies.guidance.asking import WITHOUT, Ask
from phaseguide.studies.named.peers.boosted import BoostedTrees, BoostingOptions
from phaseguide.studies.named.peers.conditions import (
    BOOSTED,
    FOREST,
    FOREST_MATCHED,
    NETWORK,
    OURS,
    PRETRAINED,
    WHAT,
)
from phaseguide.studies.named.peers.painting import Painted

Labels = NDArray[np.uint8]

NONE, TRUE = Ask(WITHOUT), Ask("oracle")
EXACT = (TRUE, Ask("expert:0.1"), Ask("expert:0.3"))
"""Ratios that are taken for exact."""

STATED = (Ask("expert:0.1", 0.1), Ask("expert:0.3", 0.3))
"""Those of an expert who says how sure they are."""

ASKS = (NONE, EXACT[0], EXACT[1], STATED[0], EXACT[2], STATED[1])
"""In the order of the tables."""


@dataclass(frozen=True)
class Condition:
    """A method in words, and the ratios that it can take."""

    what: str
    asks: tuple[Ask, ...]


TAKES = {
    FOREST: (NONE,),
    FOREST_MATCHED: (NONE, *EXACT),
    BOOSTED: (NONE, *EXACT),
    NETWORK: (NONE,),
    OURS: ASKS,
    PRETRAINED: ASKS,
}
CONDITIONS = {name: Condition(what, TAKES[name]) for name, what in WHAT.items()}


class Method(Protocol):
    """What learns from the strokes on an image."""

    parameters: int | None

    def learn(self) -> Iterator[Any]:
        """Learn from the strokes; yields events."""

    def segment(self, ask: Ask, ratio: Ratio | None) -> Labels:
        """Return the label map for a ratio, None for none, as if nothing had been painted."""


class ForestMethod:
    """The random forest, without a ratio or matched to one."""

    parameters: int | None = None

    def __init__(self, painted: Painted, n_phases: int, seed: int) -> None:
        self._painted, self._forest = painted, PixelForest(n_phases, seed=seed)

    def learn(self) -> Iterator[Any]:
        """Grow the forest."""
        self._forest.fit({"": self._features}, {"": self._painted.marks})
        yield from ()

    def segment(self, ask: Ask, ratio: Ratio | None) -> Labels:
        """Classify each pixel, with the votes matched to the ratio."""
        if ratio is None:
            return self._forest.predict(self._features)
        return self._matcher.match(ratio).labels

    @cached_property
    def _features(self) -> Any:
        return pixel_features(self._painted.field.image)

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self._forest.scores(self._features), self._painted.excluded)


class BoostedMethod:
    """Boosted trees, grown anew for each ratio."""

    parameters: int | None = None

    def __init__(
        self, painted: Painted, n_phases: int, seed: int, options: BoostingOptions, weight: float
    ) -> None:
        self._painted, self._n_phases, self._seed = painted, n_phases, seed
        self._options, self._weight = options, weight
        self._plain: BoostedTrees | None = None

    def learn(self) -> Iterator[Any]:
        """Grow the trees that know no ratio."""
        self._plain = self._grown(None)
        yield from ()

    def segment(self, ask: Ask, ratio: Ratio | None) -> Labels:
        """Classify each pixel, by trees that grew towards the ratio."""
        trees = self._plain if ratio is None else self._grown(ratio)
        assert trees is not None  # it has learnt
        return trees.predict(self._features)

    def _grown(self, ratio: Ratio | None) -> BoostedTrees:
        trees = BoostedTrees(self._n_phases, self._options, weight=self._weight, seed=self._seed)
        trees.fit(self._features, self._painted.marks, ratio)
        return trees

    @cached_property
    def _features(self) -> Any:
        return pixel_features(self._painted.field.image)


class NetworkMethod:
    """A network that is fine-tuned on the strokes once, and matched to a ratio."""

    def __init__(self, painted: Painted, start: LoadedModel, config: FinetuneConfig) -> None:
        self._painted, self._model, self._config = painted, start, config
        self._session: Session | None = None
        self.parameters: int | None = sum(p.numel() for p in start.segmenter.parameters())

    def learn(self) -> Iterator[Any]:
        """Fine-tune on the strokes, without images of before."""
        from phaseguide.finetuning.run import finetune

        one = self._painted.field
        source = Source(one.stem, one.image, np.where(self._painted.known, self._painted.marks, 0), "edits")
        for event in finetune(self._model, [source], self._config, rehearsal=()):
            if isinstance(event, Finished):
                self._model = event.result.model
            else:
                yield event
        self._session = Session(
            self._model,
            one.image,
            edits=self._painted.excluded,
            device=self._config.device,
            name=one.stem,
            embeddings="off",
        )

    def segment(self, ask: Ask, ratio: Ratio | None) -> Labels:
        """Segment, with the scores matched to the ratio as far as it is sure."""
        assert self._session is not None  # it has learnt
        request = Request()
        if ratio is not None:
            request = Request(asked=ratio, uncertainty=ask.uncertainty, mode="matched")
        labels: Labels = run_to_end(self._session.segment(request)).labels
        return labels
