"""Two stories of a simulated user: a new steel, and a new specimen of a known one.

One *turn* of a story is one image of a fold painted over some rounds; every method of the turn learns from
the same strokes. The strokes correct the first method's predictions, so the others are given corrections
of mistakes that are not theirs; the forest therefore runs a second time, led by its own mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.events import Progress
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.new_model import new_model
from phaseguide.finetuning.sources import Source
from phaseguide.models.card import ScoreHeadCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.segmenter import GuidanceOptions, with_guidance
from phaseguide.phases import PhaseScheme
from phaseguide.studies.finetune.data import Field, Strokes, cut_rehearsal, seeded
from phaseguide.studies.finetune.methods import (
    ForestMethod,
    Labels,
    Method,
    NetworkMethod,
    Spent,
    counted,
)
from phaseguide.studies.finetune.simulated_user import correcting_strokes, first_strokes

NEW_STEEL, KNOWN_STEEL = "new steel", "known steel"

GUIDED, UNGUIDED = "guided", "without guidance"
SUPERVISED = "fully supervised"
MATCHED = "guided, 10 % expert"
FOREST, FOREST_OWN = "forest", "forest, own corrections"

Row = dict[str, Any]


@dataclass(frozen=True)
class StoryOptions:
    """What is the same in all turns.

    ``budget`` is the share of an image's pixels that is painted in a round at most. Rounds are those of
    corrections; before those of a new steel comes one stroke a phase. A known steel's model rehearses a crop of
    ``rehearsal_px`` of each training image (0: none). The seed is that of strokes, crops, experts and forests.
    """

    budget: float = 0.005
    new_rounds: int = 5
    known_rounds: int = 2
    new_config: FinetuneConfig = field(default_factory=FinetuneConfig)
    known_config: FinetuneConfig = field(default_factory=FinetuneConfig)
    rehearsal_px: int = 256
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Turn:
    """One image of a fold in its turn to be painted: that of ``index``, before the others of the fold.

    The fold's model has seen none of them; it was trained on the ``old`` ones. ``head`` is a score head for it, fitted
    on images of the other folds, each as its own fold's model sees it; None where the story needs none.
    """

    fold: str
    fields: tuple[Field, ...]
    index: int
    model: LoadedModel
    old: tuple[Field, ...] = ()
    head: ScoreHeadCard | None = None

    @property
    def scheme(self) -> PhaseScheme:
        """Phases of the fold's model."""
        return self.model.card.scheme

    def painted(self, count: int) -> tuple[Field, ...]:
        """The images that are painted, from the one whose turn it is on."""
        return tuple(self.fields[(self.index + i) % len(self.fields)] for i in range(count))

    def others(self, count: int) -> tuple[Field, ...]:
        """The images of the fold that are never painted in this turn."""
        return tuple(self.fields[(self.index + i) % len(self.fields)] for i in range(count, len(self.fields)))


def new_steel(
    turn: Turn, options: StoryOptions, start: LoadedModel | None = None
) -> Iterator[Progress | Row]:
    """Paint two images for a model that knows no phase yet, on encoder and decoder of ``start`` or an ImageNet encoder.

    Round 0 is one stroke in each phase of the first image; from round 1 on both images are corrected. Yields a row
    a method and round, and one row ``fully supervised``: the fold's own model on the same images.
    """
    scheme, config, seed = turn.scheme, options.new_config, options.seed
    channels = 1 if turn.fields[0].image.ndim == 2 else turn.fields[0].image.shape[2]
    guided = new_model(scheme, start=start, channels=channels, seed=seed)
    plain = new_model(scheme, start=start, channels=channels, guidance="none", seed=seed)
    if start is not None:
        plain = without_guidance(plain)
    painted, others = turn.painted(2), turn.others(2)
    row = _Rows(turn, NEW_STEEL, painted, others)
    judge = NetworkMethod(SUPERVISED, turn.model, config)
    yield row.measured(judge, Strokes(), 0, None)

    def plan(methods: Sequence[Method]) -> Iterator[Progress | Row]:
        strokes = Strokes()
        for number in range(options.new_rounds + 1):
            if number == 0:
                rng = seeded(seed, NEW_STEEL, turn.fold, painted[0].stem, 0)
                most = _most(painted[0], options)
                strokes.add(painted[0], first_strokes(painted[0].truth, len(scheme), most, rng))
            else:
                _correct(strokes, painted, methods[0], len(scheme), options, (NEW_STEEL, turn.fold, number))
            for method in methods:
                yield from row.round(method, strokes, number, painted[min(number, 1)], seed)

    forest = ForestMethod(FOREST, len(scheme), seed=seed, threads=config.used_threads())
    yield from plan([NetworkMethod(GUIDED, guided, config), NetworkMethod(UNGUIDED, plain, config), forest])
    yield from plan([forest.renewed(FOREST_OWN)])


def known_steel(turn: Turn, options: StoryOptions) -> Iterator[Progress | Row]:
    """Paint one image of a specimen that the model has never seen, where the model is wrong.

    Yields a row a method and round; round 0 is the model before anything was painted. Rows of networks also count
    the pixels of the old images, without the rehearsed ones.
    """
    scheme, config, seed = turn.scheme, options.known_config, options.seed
    painted, others = turn.painted(1), turn.others(1)
    rehearsal: list[Source] = []
    old = list(turn.old)
    if options.rehearsal_px:
        rehearsal, old = cut_rehearsal(turn.old, options.rehearsal_px, seed)
    row = _Rows(turn, KNOWN_STEEL, painted, others, tuple(old))
    guided = NetworkMethod(GUIDED, turn.model, config, rehearsal)
    plain = NetworkMethod(UNGUIDED, without_guidance(turn.model), config, rehearsal)
    row.before.update({one.stem: guided.predict(one) for one in painted})
    yield row.measured(guided, Strokes(), 0, None)
    yield row.matched(guided, Strokes(), 0, seed)

    def plan(methods: Sequence[Method]) -> Iterator[Progress | Row]:
        strokes = Strokes()
        for number in range(1, options.known_rounds + 1):
            leader = guided if number == 1 else methods[0]
            _correct(strokes, painted, leader, len(scheme), options, (KNOWN_STEEL, turn.fold, number))
            for method in methods:
                yield from row.round(method, strokes, number, painted[0], seed)

    forest = ForestMethod(FOREST, len(scheme), seed=seed, threads=config.used_threads())
    yield from plan([guided, plain, forest])


def without_guidance(model: LoadedModel) -> LoadedModel:
    """Return a model without its guidance; without a ratio, both predict the same."""
    segmenter = with_guidance(model.segmenter, GuidanceOptions("none"))
    segmenter.eval()
    card = model.card.model_copy(
        update={
            "guidance": model.card.guidance.model_copy(update={"kind": "none", "options": {}, "scales": 1})
        }
    )
    return LoadedModel(segmenter, card, Path())


def _most(one: Field, options: StoryOptions) -> int:
    return int(options.budget * one.truth.size)


def _correct(
    strokes: Strokes,
    painted: Sequence[Field],
    leader: Method,
    n_phases: int,
    options: StoryOptions,
    names: tuple[str | int, ...],
) -> None:
    for one in painted:
        new = correcting_strokes(
            one.truth,
            leader.predict(one),
            strokes.of(one),
            n_phases,
            _most(one, options),
            seeded(options.seed, *names, painted[0].stem, one.stem),
        )
        strokes.add(one, new)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Makes the rows of one turn.

    ``before`` are maps of the painted images by the model that all began with. A row counts them on its own unpainted
    pixels: the strokes took mistakes away, so that the same map scores higher on what is left.
    """

    turn: Turn
    story: str
    painted: tuple[Field, ...]
    others: tuple[Field, ...]
    old: tuple[Field, ...] = ()
    before: dict[str, Labels] = field(default_factory=dict)

    def round(
        self, method: Method, strokes: Strokes, number: int, watched: Field, seed: int
    ) -> Iterator[Progress | Row]:
        spent = yield from said(method.learn(strokes, watched), f"{self.story}, fold {self.turn.fold}")
        yield self.measured(method, strokes, number, spent)
        if method.name == GUIDED:
            assert isinstance(method, NetworkMethod)
            yield self.matched(method, strokes, number, seed)

    def measured(self, method: Method, strokes: Strokes, number: int, spent: Spent | None) -> Row:
        return self._row(method.name, strokes, number, spent, lambda one: [method.predict(one)], method)

    def matched(self, method: NetworkMethod, strokes: Strokes, number: int, seed: int) -> Row:
        return self._row(MATCHED, strokes, number, None, lambda one: method.predict_matched(one, seed), None)

    def _row(
        self,
        name: str,
        strokes: Strokes,
        number: int,
        spent: Spent | None,
        predict: Callable[[Field], list[np.ndarray]],
        method: Method | None,
    ) -> Row:
        k = len(self.turn.scheme)
        mine = [(strokes.unpainted_truth(one), p) for one in self.painted for p in predict(one)]
        rest = [(one.truth, p) for one in self.others for p in predict(one)]
        found: Row = {
            "story": self.story,
            "fold": self.turn.fold,
            "painted": self.painted[0].stem,
            "method": name,
            "round": number,
            "painted_px": strokes.pixels,
            "unpainted": counted(mine, k),
            "unpainted_before": self._before(strokes),
            "others": counted(rest, k),
            "old": None,
            "first_s": None if spent is None else spent.first_s,
            "round_s": None if spent is None else spent.round_s,
            "epochs": None if spent is None else spent.epochs,
            "ended": None if spent is None else spent.ended,
        }
        if isinstance(method, NetworkMethod) and self.old:
            found["old"] = counted([(one.truth, method.predict(one)) for one in self.old], k)
        return found

    def _before(self, strokes: Strokes) -> list[list[int]] | None:
        if not self.before:
            return None
        pairs = [(strokes.unpainted_truth(one), self.before[one.stem]) for one in self.painted]
        return counted(pairs, len(self.turn.scheme))


def said(events: Any, stage: str) -> Any:
    """Pass a method's progress on, with the story in front; return what it returns."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value
        yield Progress(stage, event.done, event.total)
