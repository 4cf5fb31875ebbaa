"""Who judges a run: what was held out of it, or, where little is painted, fits that each learn without a part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from torch import nn

from phaseguide.finetuning.crops import Crop
from phaseguide.finetuning.events import ValidationScores
from phaseguide.finetuning.feature_cache import cache_for
from phaseguide.finetuning.judging.evidence import Counts, add_counts, compare_places, mean_dice, scores_of
from phaseguide.finetuning.learner import Learner
from phaseguide.finetuning.material import Prepared
from phaseguide.finetuning.validation import count_crops
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.rephase import FRESH
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.training.adapters import use_checkpointing


class Judge:
    """Judges a model before, during and after it learns.

    Held-out labels judge the model itself, and ``learners`` is empty. Where labels are cross-fitted, one learner a fold
    does every step that the model does, from the same start, on the labels of the other folds, and the places of all
    folds together judge: what is said of a place is always said by who has not learnt from it. As in the model's own
    run the best epoch counts, but each fold is judged at the epoch that the *other* folds find best, so that no place
    has a part in choosing what it judges. The model learns from more than any of these fits; its score is theirs
    (Stone, J. R. Stat. Soc. B 36 (1974), 111).

    A fit costs as much as the model's own, without the features that are kept, which all share. Two fits, each on about
    half of the places, are the fewest; all parts of the model learn in them, since heads alone would judge another way
    of learning than the one that was chosen.
    """

    def __init__(
        self,
        prepared: Prepared,
        learner: Learner,
        names: Sequence[str],
        told: Literal["none", "true"],
        untrained: frozenset[str],
    ) -> None:
        self._main, self._names, self._told, self._untrained = learner, names, told, untrained
        self.learners = [
            Learner(
                learner.average,
                fold.material,
                learner.config,
                learner.device,
                anchored=learner.anchor is not None,
                beside=learner,
            )
            for fold in prepared.folds
        ]
        self._best: list[float] = [-np.inf] * len(self.learners)
        self._chosen: list[Counts | None] = [None] * len(self.learners)
        self._before: Counts | None = None
        self._after: Counts | None = None
        self._set(prepared)

    def take(self, prepared: Prepared) -> None:
        """Go on with other crops of the same labels, once the main learner has taken them."""
        for learner, fold in zip(self.learners, prepared.folds, strict=True):
            learner.take(fold.material)
        self._set(prepared)

    def _set(self, prepared: Prepared) -> None:
        told = ", each told its true ratio" if self._told == "true" else ""
        self._source = f"{prepared.split.sentence}{told}"
        self._crops = prepared.judged
        self._parts = [fold.judged for fold in prepared.folds]
        config = self._main.config
        self._cache = cache_for(config.parts, self._main.model, self._main.device, config.seed)

    # -- judging ----------------------------------------------------------------------------------

    def before(self, start: GuidedSegmenter) -> ValidationScores | None:
        """The model as it is; None where nothing judges, or none of its phases was ever learnt."""
        if not self._crops or self._untrained.issuperset(self._names):
            return None
        self._before = self._counted(start, self._crops)
        return scores_of(self._before, self._names, self._source, self._untrained)

    def epoch(self) -> ValidationScores | None:
        """What has been learnt so far; None where nothing judges."""
        if not self._crops:
            return None
        if not self.learners:
            return self._scores(self._counted(self._main.average, self._crops))
        parts = self._all_folds()
        self._choose(parts)
        return self._scores(add_counts(parts))

    def after(self) -> ValidationScores | None:
        """The end of the run."""
        if not self._crops:
            return None
        if not self.learners:
            self._after = self._counted(self._main.best, self._crops)
        else:
            if None in self._chosen:
                self._choose(self._all_folds())
            self._after = add_counts([part for part in self._chosen if part is not None])
        return self._scores(self._after)

    def changed(self) -> tuple[int, int] | None:
        """Places in which more pixels are right in the end than before, and those in which fewer are."""
        if self._before is None or self._after is None:
            return None
        return compare_places(self._before, self._after)

    def _all_folds(self) -> list[Counts]:
        return [
            self._counted(learner.average, crops)
            for learner, crops in zip(self.learners, self._parts, strict=True)
        ]

    def _choose(self, parts: Sequence[Counts]) -> None:
        for fold, part in enumerate(parts):
            others = mean_dice(add_counts([p for other, p in enumerate(parts) if other != fold]))
            if self._chosen[fold] is None or (others is not None and others > self._best[fold]):
                self._chosen[fold] = part
                self._best[fold] = -np.inf if others is None else others

    def _counted(self, segmenter: GuidedSegmenter, crops: Sequence[Crop]) -> Counts:
        return count_crops(segmenter, crops, self._cache, self._main.device, self._told)

    def _scores(self, counts: Counts) -> ValidationScores:
        return scores_of(counts, self._names, self._source)

    # -- learning beside --------------------------------------------------------------------------

    def step(self, number: int, batch: int, done: float) -> bool:
        """One step of every fold; False where a loss left the numbers."""
        return all(np.isfinite(learner.step(number, batch, done)) for learner in self.learners)

    def keep_as_best(self) -> None:
        """Remember where the folds are, beside the best model."""
        for learner in self.learners:
            learner.keep_as_best()

    def go_back(self) -> None:
        """Return every fold to where it was beside the best model, at a tenth of the rate."""
        for learner in self.learners:
            learner.go_back()

    def use_checkpointing(self) -> None:
        """Save memory in the folds too."""
        for learner in self.learners:
            use_checkpointing(learner.model)

    # -- checkpoints ------------------------------------------------------------------------------

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint must hold of the folds."""
        return {
            f"fold{number}/{name}": part
            for number, learner in enumerate(self.learners)
            for name, part in learner.modules().items()
        }

    def state(self) -> list[dict[str, Any]]:
        """What it must hold beside the modules, a fold each, as JSON values."""
        return [
            {
                "best": None if np.isinf(best) else best,
                "chosen": None if chosen is None else {str(p): m.tolist() for p, m in chosen.items()},
            }
            for best, chosen in zip(self._best, self._chosen, strict=True)
        ]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Take up what `state` returned."""
        self._best = [-np.inf if fold["best"] is None else float(fold["best"]) for fold in state]
        self._chosen = [
            None
            if fold["chosen"] is None
            else {int(p): np.array(m, dtype=np.int64) for p, m in fold["chosen"].items()}
            for fold in state
        ]


def untrained_phases(model: LoadedModel) -> frozenset[str]:
    """Names of phases that a model has never learnt, so that what it says of them before is no judgement.

    All of them for a model that was made just now for new phases, else those that were added since it learnt.
    """
    training = model.card.training
    if not training and not model.path.name:
        return frozenset(model.card.scheme.names)
    return frozenset(str(name) for name in training.get(FRESH, []))
