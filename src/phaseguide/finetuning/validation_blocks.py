"""Which part of the painted area judges: whole places of it, never single pixels.

Neighbouring pixels of a stroke are nearly the same pixel; a model judged on every fifth of them would
be judged on what it has learnt. So blocks are held out, with a gap around them. A block that has judged a
model never teaches the models that descend from it, and one that has taught never judges them: else every
round after the first would be judged on what was learnt in the rounds before.

Where little is painted, what would be held out is what matters most: perhaps the only strokes on the one place that is
wrong. There a few fits judge, each of which learns without a part of the places and is judged on that part
(cross-fitting), and the model itself learns from all. Holding out other places in every epoch of one fit would be
cheaper and no judgement: what it is judged on in one epoch it has learnt in the epoch before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.finetuning.judging.places import (
    BLOCK,
    GAP,
    NEVER,
    blocks_of_places,
    count_phases,
    draw_folds,
    find_places,
)
from phaseguide.finetuning.sources import Source
from phaseguide.labels import is_labelled
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.models.training_record import generations
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

if TYPE_CHECKING:
    from phaseguide.models.card import Card

Block = tuple[int, int]
"""Row and column of a block in the grid of an image."""

History = Mapping[str, tuple[frozenset[Block], frozenset[Block]]]
"""For the checksum of an image: blocks that have judged, and blocks that have taught."""

FEWEST_BLOCKS = 4
"""A phase painted in fewer blocks is not held out: what is left would be too little to learn it from."""

LITTLE = 60
"""So many places are little paint: they are cross-fitted, and none is held out."""

NOTHING_NEW = (
    "nothing: the model has learnt from all of these places before, so they cannot test it. Paint elsewhere, or "
    "choose a field to validate on"
)


@dataclass(frozen=True)
class Split:
    """Labels (H, W) to learn from and to judge by, of each source, 0 where a pixel is of the other kind; None for a
    ratio alone.

    ``blocks`` counts blocks, places or whole sources that judge. ``blocks_by_image`` tells for the checksum of each
    image which are ``held`` and which have ``taught``, as row and column of their grid; JSON values, to be kept with
    the model.

    ``places`` are maps (H, W) of the places of each source, numbered through all of them. Where these are cross-fitted,
    ``folds`` has the fold of each by its number, or `NEVER` for one that always teaches (the first entry is for what is
    no place), and labels of a place both teach and judge. Else ``folds`` is empty.
    """

    teach: tuple[NDArray[np.uint8] | None, ...]
    judge: tuple[NDArray[np.uint8] | None, ...]
    blocks: int
    sentence: str
    blocks_by_image: dict[str, dict[str, list[list[int]]]]
    places: tuple[NDArray[np.int32] | None, ...]
    folds: tuple[int, ...] = ()

    @property
    def n_folds(self) -> int:
        """Fits that judge beside the model itself; 0 where something is held out, or nothing judges."""
        return max(self.folds, default=NEVER) + 1


def split_labels(
    sources: Sequence[Source],
    n_phases: int,
    *,
    share: float,
    fields: Sequence[str] = (),
    history: History | None = None,
    crossfit: int = 0,
    seed: int = 0,
) -> Split:
    """Hold out whole sources, or blocks of the painted area; deal little paint out to ``crossfit`` folds instead.

    Blocks are drawn phase by phase, the rarest first, until ``share`` of its labelled pixels is held out, at most as
    many as leave three quarters of its blocks to learn from. ``fields`` are names of sources that validate as a whole;
    blocks are then not drawn. ``history`` is what the models before have been taught and judged on; see
    `block_history`.
    """
    images = [sha256_of_array(source.image) for source in sources]
    if fields:
        return _whole_fields(sources, set(fields), images)
    known = history or {}
    before = [known.get(image, (frozenset(), frozenset())) for image in images]
    rng = np.random.default_rng(seed)
    places = _numbered([source.labels for source in sources])
    if share > 0 and crossfit:
        dealt = _cross_fitted(sources, n_phases, places, images, before, crossfit, rng)
        if dealt is not None:
            return dealt
    drawn = _draw(sources, n_phases, share, before, rng) if share > 0 else {}
    teach: list[NDArray[np.uint8] | None] = []
    judge: list[NDArray[np.uint8] | None] = []
    for index, source in enumerate(sources):
        if source.labels is None:
            teach.append(None)
            judge.append(None)
            continue
        held, near = _masks(source.labels.shape, drawn.get(index, []))
        judge.append(np.where(held, source.labels, NOT_CLASSIFIED).astype(np.uint8))
        teach.append(np.where(near, NOT_CLASSIFIED, source.labels).astype(np.uint8))
    count = sum(len(blocks) for blocks in drawn.values())
    if count:
        pixels = sum(_labelled(labels) for labels in judge)
        sentence = f"{count} blocks of {BLOCK} px held out of the painted area ({pixels:,} px)"
    elif share > 0 and any(taught for _, taught in before) and not _is_new(places, before):
        sentence = NOTHING_NEW
    else:
        sentence = (
            "nothing: too little is painted to hold some of it out, so the training loss decides. Paint each "
            f"phase in {FEWEST_BLOCKS} places or more, or choose a field to validate on"
        )
    judging = {
        image: [list(block) for block in sorted({*drawn.get(index, []), *before[index][0]})]
        for index, image in enumerate(images)
    }
    remembered = _remembered(images, teach, judging)
    return Split(tuple(teach), tuple(judge), count, sentence, remembered, _numbered(judge))


def block_history(card: Card) -> History:
    """Read what a model and those it descends from were judged on and taught, by the checksum of the image."""
    found: dict[str, tuple[frozenset[Block], frozenset[Block]]] = {}
    for record in generations(card.training):
        for image, blocks in record.get("blocks", {}).items():
            held, taught = found.get(image, (frozenset(), frozenset()))
            found[image] = (
                held | {(row, column) for row, column in blocks["held"]},
                taught | {(row, column) for row, column in blocks["taught"]},
            )
    return found


def _remembered(
    images: Sequence[str],
    teach: Sequence[NDArray[np.uint8] | None],
    held: Mapping[str, list[list[int]]],
) -> dict[str, dict[str, list[list[int]]]]:
    found = {}
    for image, labels in zip(images, teach, strict=True):
        taught = [] if labels is None else [list(place) for place, _ in _blocks(labels, EXCLUDED - 1)]
        found[image] = {"held": held.get(image, []), "taught": taught}
    return found


def _whole_fields(sources: Sequence[Source], fields: set[str], images: Sequence[str]) -> Split:
    teach = tuple(None if s.name in fields else s.labels for s in sources)
    judge = tuple(s.labels if s.name in fields else None for s in sources)
    names = ", ".join(s.name for s in sources if s.name in fields)
    held = {
        image: [list(place) for place, _ in _blocks(labels, EXCLUDED - 1)]
        for image, labels in zip(images, judge, strict=True)
        if labels is not None
    }
    told = f"all labels of {names}"
    return Split(teach, judge, len(fields), told, _remembered(images, teach, held), _numbered(judge))


def _numbered(maps: Sequence[NDArray[np.uint8] | None]) -> tuple[NDArray[np.int32] | None, ...]:
    """Places of label maps, numbered through."""
    found: list[NDArray[np.int32] | None] = []
    last = 0
    for labels in maps:
        places = None if labels is None else find_places(labels)
        if places is not None and places.any():
            places[places > 0] += last
            last = int(places.max())
        found.append(places)
    return tuple(found)


def _touched(places: Sequence[NDArray[np.int32] | None]) -> list[tuple[int, set[Block]]]:
    """The source of each place, and the blocks that it touches, in the order of the places."""
    found: list[tuple[int, set[Block]]] = []
    for index, numbers in enumerate(places):
        if numbers is not None and numbers.any():
            first = int(numbers[numbers > 0].min())
            found += [(index, blocks) for blocks in blocks_of_places(numbers - (first - 1) * (numbers > 0))]
    return found


def _is_new(
    places: Sequence[NDArray[np.int32] | None], before: Sequence[tuple[frozenset[Block], frozenset[Block]]]
) -> bool:
    """Whether some place touches no block that has taught."""
    return any(not blocks & before[index][1] for index, blocks in _touched(places))


def _cross_fitted(
    sources: Sequence[Source],
    n_phases: int,
    places: tuple[NDArray[np.int32] | None, ...],
    images: Sequence[str],
    before: Sequence[tuple[frozenset[Block], frozenset[Block]]],
    crossfit: int,
    rng: np.random.Generator,
) -> Split | None:
    """Deal places out to folds; None where much is painted, too little to deal, or blocks are held out already."""
    touched = _touched(places)
    painted = [(s.labels, p) for s, p in zip(sources, places, strict=True) if s.labels is not None]
    if not 2 <= len(touched) <= LITTLE or any(blocks & before[i][0] for i, blocks in touched):
        return None
    counts = np.zeros((len(touched), n_phases), dtype=np.int64)
    for labels, numbers in painted:
        assert numbers is not None
        known = np.where(labels <= n_phases, labels, NOT_CLASSIFIED)
        here = count_phases(known, np.where(known > 0, numbers, 0), n_phases)
        counts[: len(here)] += here
    free = np.array([not blocks & before[index][1] for index, blocks in touched])
    dealt = draw_folds(counts, free, crossfit, rng)
    used = sorted({int(fold) for fold in dealt} - {NEVER})
    if len(used) < 2:
        return None
    folds = (NEVER, *(used.index(fold) if fold in used else NEVER for fold in dealt.tolist()))
    judging = np.array(folds) != NEVER
    judge = tuple(
        None
        if p is None or s.labels is None
        else np.where(judging[p], s.labels, NOT_CLASSIFIED).astype(np.uint8)
        for s, p in zip(sources, places, strict=True)
    )
    teach = tuple(source.labels for source in sources)
    count, pixels = int(judging.sum()), sum(_labelled(labels) for labels in judge)
    sentence = (
        f"{count} painted places ({pixels:,} px), each by one of {len(used)} fits that did not learn from it; the "
        "model itself learns from all"
    )
    held = {image: [list(block) for block in sorted(before[i][0])] for i, image in enumerate(images)}
    return Split(teach, judge, count, sentence, _remembered(images, teach, held), places, folds)


def _draw(
    sources: Sequence[Source],
    n_phases: int,
    share: float,
    before: Sequence[tuple[frozenset[Block], frozenset[Block]]],
    rng: np.random.Generator,
) -> dict[int, list[Block]]:
    """Blocks to hold out, by source: those held out before, and new ones that have not taught yet."""
    places, counts = [], []
    for index, source in enumerate(sources):
        if source.labels is None:
            continue
        for place, found in _blocks(source.labels, n_phases):
            places.append((index, *place))
            counts.append(found)
    if not counts:
        return {}
    table = np.array(counts)
    held = np.array([(row, column) in before[index][0] for index, row, column in places])
    free = np.array([(row, column) not in before[index][1] for index, row, column in places])
    for k in np.argsort(table.sum(0)):
        having = np.flatnonzero(table[:, k])
        if having.size < FEWEST_BLOCKS:
            continue
        for block in rng.permutation(having[free[having]]):
            enough = table[held, k].sum() >= share * table[:, k].sum()
            if enough or (held[having].sum() + 1) * 4 > having.size:
                break
            # A block that holds most of a rare phase would take its teacher away.
            left = table[~held].sum(0) - table[block]
            if held[block] or np.any((left < 0.5 * table.sum(0)) & (table[block] > 0)):
                continue
            held[block] = True
    drawn: dict[int, list[Block]] = {}
    for block in np.flatnonzero(held):
        index, row, column = places[block]
        drawn.setdefault(index, []).append((row, column))
    return drawn


def _blocks(labels: NDArray[np.uint8], n_phases: int) -> list[tuple[tuple[int, int], NDArray[np.int64]]]:
    found = []
    for row in range(0, labels.shape[0], BLOCK):
        for column in range(0, labels.shape[1], BLOCK):
            block = labels[row : row + BLOCK, column : column + BLOCK]
            counts = np.bincount(block.reshape(-1), minlength=256)[1 : n_phases + 1]
            if counts.any():
                found.append(((row // BLOCK, column // BLOCK), counts))
    return found


def _masks(
    shape: tuple[int, ...], blocks: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    held, near = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    for row, column in blocks:
        top, left = row * BLOCK, column * BLOCK
        held[top : top + BLOCK, left : left + BLOCK] = True
        near[max(0, top - GAP) : top + BLOCK + GAP, max(0, left - GAP) : left + BLOCK + GAP] = True
    return held, near


def _labelled(labels: NDArray[np.uint8] | None) -> int:
    if labels is None:
        return 0
    return int(np.count_nonzero(is_labelled(labels)))
