"""Does it matter where to paint? Places by rank, by entropy alone and at random, with the same strokes' size.

The simulated user visits some places of one image, chosen in one of several ways. One user labels each: first
what is wrong there, then what is right, until the place has had its pixels, so that every way of choosing
costs the same number of visits and of pixels. The other only corrects, as in the stories, so that the visits are
the same and a place where nothing is wrong costs nothing. The model then learns, and is judged on the unpainted
pixels of that image and on the other images of the fold.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.ratio_source import draw_generator
from phaseguide.events import Progress
from phaseguide.finetuning.new_model import new_model
from phaseguide.finetuning.suggest_places import SIDE, rank_places
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.ratios import ratio_from_labels
from phaseguide.ratios.simulated import expert_ratio
from phaseguide.segmentation.request import Request
from phaseguide.studies.finetune.data import Field, Strokes, cut_rehearsal, seeded
from phaseguide.studies.finetune.methods import EXPERT_ERROR, NetworkMethod, counted
from phaseguide.studies.finetune.scenarios import KNOWN_STEEL, NEW_STEEL, Row, StoryOptions, Turn, said
from phaseguide.studies.finetune.simulated_user import correcting_strokes, first_strokes, labelling_strokes

PLACES = "where to paint"

RANKED, RANKED_RATIO = "ranked", "ranked, 10 % expert"
ENTROPY, RANDOM = "entropy alone", "random"
WAYS = (RANKED, RANKED_RATIO, ENTROPY, RANDOM)
MISTAKES, BALANCED = "oracle, most mistakes", "oracle, mistakes by Dice"
"""Oracles know the true labels: how much there is to be gained at most by leading to what is wrong."""

WAY_NAMES = {
    "ranked": RANKED, "ratio": RANKED_RATIO, "entropy": ENTROPY, "random": RANDOM,
    "mistakes": MISTAKES, "balanced": BALANCED,
}  # fmt: skip
"""Words for them on the command line."""

RAREST_PX = 200
"""A phase of less than this counts as having so much where mistakes are weighed, px."""

Window = tuple[slice, slice]

CORRECTS, LABELS = "corrects", "corrects and confirms"
USER_NAMES = {"corrects": CORRECTS, "labels": LABELS}
USERS = {CORRECTS: correcting_strokes, LABELS: labelling_strokes}
"""What the user does in a place: paint only what is wrong there, or also what is right, up to the same pixels."""


@dataclass(frozen=True)
class PlaceOptions:
    """How places are compared: places a round, rounds, how often each way is run, what `USERS` do there, `CHOICES`.

    Of ``steel``, `KNOWN_STEEL` corrects the fold's model; with `NEW_STEEL` a model that knows no phase learns one
    stroke of each on the image, and after that come the places.
    """

    visits: int = 8
    rounds: int = 1
    seeds: int = 3
    user: str = LABELS
    ways: tuple[str, ...] = WAYS
    steel: str = KNOWN_STEEL


def compare_places(
    turn: Turn, options: StoryOptions, how: PlaceOptions, start: LoadedModel | None = None
) -> Iterator[Progress | Row]:
    """Paint one image in every way, each time from the same model and the same strokes.

    A seed decides the strokes, the random places, the expert's error and the order in which the network learns; it
    is the same for all ways. All are judged on the same pixels: those that none has painted. A user who found
    nothing to correct leaves the model as it is. Yields a row a way, seed and round; round 0 is the model before.
    """
    for name in how.ways:
        if name not in CHOICES:
            raise PhaseguideError(
                f"There is no way {name!r} of choosing where to paint. Choose {', '.join(CHOICES)}."
            )
    painted, others = turn.painted(1)[0], turn.others(1)
    for index in range(how.seeds):
        seed = options.seed + index
        if how.steel == NEW_STEEL:
            before, strokes = yield from _new_steel(turn, options, seed, start)
        else:
            before, strokes = _known_steel(turn, options, seed), Strokes()
        ways = [_Way(before.renewed(way), strokes.copy(), seed) for way in how.ways]
        for number in range(how.rounds + 1):
            if number:
                for way in ways:
                    way.visit(turn, painted, how, options.budget, number)
                    if way.strokes.pixels > strokes.pixels:
                        yield from said(
                            way.method.learn(way.strokes, painted),
                            f"{PLACES}, fold {turn.fold}, {way.method.name}",
                        )
            judged = painted.truth.copy()
            for way in ways:
                judged[way.strokes.of(painted) > 0] = NOT_CLASSIFIED
            for way in ways:
                # Before the first visit all ways predict the same.
                shown = way.method if number else before
                yield _row(turn, way, shown, replace(painted, truth=judged), others, number)


def _known_steel(turn: Turn, options: StoryOptions, seed: int) -> NetworkMethod:
    """The fold's model, which rehearses what it was trained on."""
    rehearsal = cut_rehearsal(turn.old, options.rehearsal_px, options.seed)[0] if options.rehearsal_px else []
    return NetworkMethod(KNOWN_STEEL, turn.model, options.known_config.changed(seed=seed), rehearsal)


def _new_steel(
    turn: Turn, options: StoryOptions, seed: int, start: LoadedModel | None
) -> Generator[Progress, None, tuple[NetworkMethod, Strokes]]:
    """A model that has learnt one stroke of each phase, and these strokes."""
    one, scheme, strokes = turn.painted(1)[0], turn.scheme, Strokes()
    most, rng = int(options.budget * one.truth.size), seeded(seed, NEW_STEEL, turn.fold, one.stem, 0)
    strokes.add(one, first_strokes(one.truth, len(scheme), most, rng))
    channels = 1 if one.image.ndim == 2 else one.image.shape[2]
    fresh = new_model(scheme, start=start, channels=channels, seed=seed)
    method = NetworkMethod(NEW_STEEL, fresh, options.new_config.changed(seed=seed))
    yield from said(method.learn(strokes, one), f"{PLACES}, fold {turn.fold}, first strokes")
    return method, strokes


@dataclass
class _Way:
    """One way of choosing places: its model and its strokes.

    ``corrected`` counts the painted pixels in which the prediction at the time was wrong; first strokes are none.
    """

    method: NetworkMethod
    strokes: Strokes
    seed: int
    corrected: int = 0

    def visit(self, turn: Turn, one: Field, how: PlaceOptions, budget: float, number: int) -> None:
        """Choose places, and label each with its part of the pixels of a round."""
        windows = CHOICES[self.method.name](self.method, one, self.strokes, how.visits, self.seed)
        predicted = self.method.predict(one)
        for index, window in enumerate(windows):
            within = np.zeros(one.truth.shape, dtype=np.bool_)
            within[window] = True
            new = USERS[how.user](
                one.truth,
                predicted,
                self.strokes.of(one),
                len(turn.scheme),
                int(budget * one.truth.size) // max(1, len(windows)),
                seeded(self.seed, PLACES, turn.fold, one.stem, number, index),
                within=within,
            )
            self.corrected += int(np.count_nonzero((new > 0) & (predicted != new)))
            self.strokes.add(one, new)


def _ranked(method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int) -> list[Window]:
    scores = _scores(method, one)
    return [p.window for p in rank_places(scores, edits=strokes.of(one), count=count)]


def _ranked_with_ratio(
    method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int
) -> list[Window]:
    """As ranked, with the ratio of a simulated expert of 10 % error, stated as sure as it is."""
    true = ratio_from_labels(one.truth, len(method.model.card.scheme))
    assert true is not None
    asked = expert_ratio(true, EXPERT_ERROR, draw_generator(seed, 0, one.stem))
    told = method.segment(one, Request(asked=asked, uncertainty=EXPERT_ERROR, mode="matched"))
    places = rank_places(_scores(method, one), told.imposed, edits=strokes.of(one), count=count)
    return [p.window for p in places]


def _by_entropy(method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int) -> list[Window]:
    """Places that do not overlap, in the order of their mean entropy: plain uncertainty sampling."""
    z = _scores(method, one)
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    entropy = -(p * np.log(np.maximum(p, 1e-9))).sum(axis=0)
    entropy[strokes.of(one) > 0] = 0
    return _apart(_around(entropy), count)


def _at_random(method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int) -> list[Window]:
    rng = seeded(seed, "random places", one.stem, strokes.pixels)
    return _apart(rng.random(one.truth.shape), count)


def _by_mistakes(method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int) -> list[Window]:
    """Where most pixels are wrong: an oracle."""
    return _apart(_around(_wrong(method, one, strokes)), count)


def _by_dice(method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int) -> list[Window]:
    """Where mistakes cost most mean Dice: an oracle that gives rare phases their weight.

    To first order a pixel of phase i taken for j costs ``1 / (A_i + B_i) + 1 / (A_j + B_j)``, with A the true
    and B the predicted areas.
    """
    predicted, size = method.predict(one), len(method.model.card.scheme) + 1
    known = (one.truth != NOT_CLASSIFIED) & (one.truth != EXCLUDED)
    truth = np.where(known, one.truth, np.uint8(NOT_CLASSIFIED))
    areas = sum(np.bincount(labels[known], minlength=size) for labels in (truth, predicted))
    cost = 1 / np.maximum(areas, RAREST_PX)
    return _apart(_around(_wrong(method, one, strokes) * (cost[truth] + cost[predicted])), count)


def _wrong(method: NetworkMethod, one: Field, strokes: Strokes) -> NDArray[np.bool_]:
    known = (one.truth != NOT_CLASSIFIED) & (one.truth != EXCLUDED) & (strokes.of(one) == NOT_CLASSIFIED)
    wrong: NDArray[np.bool_] = known & (method.predict(one) != one.truth)
    return wrong


def _around(value: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over the window around each pixel."""
    from scipy.ndimage import uniform_filter

    mean: NDArray[np.float64] = uniform_filter(value.astype(np.float64), SIDE, mode="constant")
    return mean


CHOICES: dict[str, Callable[[NetworkMethod, Field, Strokes, int, int], list[Window]]] = {
    RANKED: _ranked,
    RANKED_RATIO: _ranked_with_ratio,
    ENTROPY: _by_entropy,
    RANDOM: _at_random,
    MISTAKES: _by_mistakes,
    BALANCED: _by_dice,
}


def _apart(value: NDArray[Any], count: int) -> list[Window]:
    """Windows inside the image with the highest values in their middle; none overlaps another."""
    height, width = value.shape
    half = min(SIDE, height, width) // 2
    left = np.full(value.shape, -np.inf)
    inside = (slice(half, height - half + 1), slice(half, width - half + 1))
    left[inside] = value[inside]
    found: list[Window] = []
    while len(found) < count and np.isfinite(left.max()):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        found.append((slice(row - half, row + half), slice(column - half, column + half)))
        left[
            max(0, row - 2 * half + 1) : row + 2 * half, max(0, column - 2 * half + 1) : column + 2 * half
        ] = -np.inf
    return found


def _scores(method: NetworkMethod, one: Field) -> NDArray[np.float32]:
    method.predict(one)
    scores = method.session(one).scores
    assert scores is not None
    return np.asarray(scores)


def _row(
    turn: Turn, way: _Way, shown: NetworkMethod, judged: Field, others: Sequence[Field], number: int
) -> Row:
    k = len(turn.scheme)
    return {
        "story": PLACES,
        "fold": turn.fold,
        "painted": judged.stem,
        "method": way.method.name,
        "seed": way.seed,
        "round": number,
        "painted_px": way.strokes.pixels,
        "corrected_px": way.corrected,
        "unpainted": counted([(judged.truth, shown.predict(judged))], k),
        "others": counted([(one.truth, shown.predict(one)) for one in others], k),
    }
