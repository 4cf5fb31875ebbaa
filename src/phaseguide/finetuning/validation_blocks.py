"""Which part of the painted area validates: whole blocks of it, never single pixels.

Neighbouring pixels of a stroke are nearly the same pixel; a model judged on every fifth of them would
be judged on what it has learnt. So blocks are held out, with a gap around them. A block that has judged a
model never teaches the models that descend from it, and one that has taught never judges them: else every
round after the first would be judged on what was learnt in the rounds before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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

BLOCK = 48
"""Side of a block in px."""

GAP = 6
"""Labels this near to a held-out block do not teach, in px."""

FEWEST_BLOCKS = 4
"""A phase painted in fewer blocks is not held out: what is left would be too little to learn it from."""


@dataclass(frozen=True)
class Split:
    """Labels (H, W) to learn from and to judge by, of each source, 0 where a pixel is of the other kind; None for a
    ratio alone.

    ``blocks`` counts blocks, or whole sources, that validate. ``blocks_by_image`` tells for the checksum of each image
    which are ``held`` and which have ``taught``, as row and column of their grid; JSON values, to be kept with the
    model.
    """

    teach: tuple[NDArray[np.uint8] | None, ...]
    judge: tuple[NDArray[np.uint8] | None, ...]
    blocks: int
    sentence: str
    blocks_by_image: dict[str, dict[str, list[list[int]]]]


def split_labels(
    sources: Sequence[Source],
    n_phases: int,
    *,
    share: float,
    fields: Sequence[str] = (),
    history: History | None = None,
    seed: int = 0,
) -> Split:
    """Hold out whole sources, or blocks of the painted area.

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
    else:
        sentence = (
            "nothing: too little is painted to hold some of it out, so the training loss decides. Paint each "
            f"phase in {FEWEST_BLOCKS} places or more, or choose a field to validate on"
        )
    judging = {
        image: [list(block) for block in sorted({*drawn.get(index, []), *before[index][0]})]
        for index, image in enumerate(images)
    }
    return Split(tuple(teach), tuple(judge), count, sentence, _remembered(images, teach, judging))


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
    return Split(teach, judge, len(fields), f"all labels of {names}", _remembered(images, teach, held))


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
