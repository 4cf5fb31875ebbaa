"""Does it matter where to paint? Places by rank, by entropy alone and at random, with the same strokes' size.

The simulated user visits some places of one image, chosen in one of several ways. One user labels each: first
what is wrong there, then what is right, until the place has had its pixels, so that every way of choosing
costs the same number of visits and of pixels. The other only corrects, as in the stories, so that the visits are
the same and a place where nothing is wrong costs nothing. The model then learns, and is judged on the unpainted
pixels of that image and on the other images of the fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.evaluation.ratio_source import draw_generator
from phaseguide.events import Progress
from phaseguide.finetuning.next_place import SIDE, rank_places
from phaseguide.finetuning.simulated_user import correcting_strokes, labelling_strokes
from phaseguide.finetuning.stories import Row, StoryOptions, Turn, said
from phaseguide.finetuning.study_data import Field, Strokes, cut_rehearsal, seeded
from phaseguide.finetuning.study_methods import EXPERT_ERROR, NetworkMethod, counted, table
from phaseguide.phases import NOT_CLASSIFIED
from phaseguide.ratios import ratio_from_labels
from phaseguide.ratios.simulated import expert_ratio
from phaseguide.segmentation.request import Request

PLACES = "where to paint"

RANKED, RANKED_RATIO = "ranked", "ranked, 10 % expert"
ENTROPY, RANDOM = "entropy alone", "random"
WAYS = (RANKED, RANKED_RATIO, ENTROPY, RANDOM)

Window = tuple[slice, slice]


CORRECTS, LABELS = "corrects", "corrects and confirms"
USERS = {CORRECTS: correcting_strokes, LABELS: labelling_strokes}
"""What the user does in a place: paint only what is wrong there, or also what is right, up to the same pixels."""


@dataclass(frozen=True)
class PlaceOptions:
    """How places are compared: visits a round, rounds, seeds of each way, and what the user does in a place."""

    visits: int = 8
    rounds: int = 1
    seeds: int = 3
    user: str = LABELS


def compare_places(turn: Turn, options: StoryOptions, how: PlaceOptions) -> Iterator[Progress | Row]:
    """Paint one image of a known steel's new specimen in every way.

    A seed decides the strokes, the random places, the expert's error and the order in which the network
    learns; it is the same for all ways. All are judged on the same pixels: those that none has painted.

    Yields
    ------
    Progress
    dict
        A row a way, seed and round; round 0 is the model before.
    """
    painted, others = turn.painted(1)[0], turn.others(1)
    rehearsal = cut_rehearsal(turn.old, options.rehearsal_px, options.seed)[0] if options.rehearsal_px else []
    for index in range(how.seeds):
        seed = options.seed + index
        config = replace(options.known_config, seed=seed)
        ways = [_Way(NetworkMethod(way, turn.model, config, rehearsal), Strokes(), seed) for way in WAYS]
        for number in range(how.rounds + 1):
            if number:
                for way in ways:
                    way.visit(turn, painted, how, options.budget, number)
                    yield from said(
                        way.method.learn(way.strokes, painted),
                        f"{PLACES}, fold {turn.fold}, {way.method.name}",
                    )
            judged = painted.truth.copy()
            for way in ways:
                judged[way.strokes.of(painted) > 0] = NOT_CLASSIFIED
            for way in ways:
                yield _row(turn, way, replace(painted, truth=judged), others, number)


@dataclass
class _Way:
    """One way of choosing places: its model and its strokes.

    ``corrected`` counts the painted pixels in which the prediction at the time was wrong.
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
    from scipy.ndimage import uniform_filter

    z = _scores(method, one)
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    entropy = -(p * np.log(np.maximum(p, 1e-9))).sum(axis=0)
    entropy[strokes.of(one) > 0] = 0
    mean = uniform_filter(entropy, SIDE, mode="constant")
    return _apart(mean, count)


def _at_random(method: NetworkMethod, one: Field, strokes: Strokes, count: int, seed: int) -> list[Window]:
    rng = seeded(seed, "random places", one.stem, strokes.pixels)
    return _apart(rng.random(one.truth.shape), count)


CHOICES: dict[str, Callable[[NetworkMethod, Field, Strokes, int, int], list[Window]]] = {
    RANKED: _ranked,
    RANKED_RATIO: _ranked_with_ratio,
    ENTROPY: _by_entropy,
    RANDOM: _at_random,
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


def _row(turn: Turn, way: _Way, judged: Field, others: Sequence[Field], number: int) -> Row:
    k, method = len(turn.scheme), way.method
    return {
        "story": PLACES,
        "fold": turn.fold,
        "painted": judged.stem,
        "method": method.name,
        "seed": way.seed,
        "round": number,
        "painted_px": way.strokes.pixels,
        "corrected_px": way.corrected,
        "unpainted": table(counted([(judged.truth, method.predict(judged))], k)),
        "others": table(counted([(one.truth, method.predict(one)) for one in others], k)),
    }
