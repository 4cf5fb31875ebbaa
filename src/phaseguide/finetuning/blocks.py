"""Which part of the painted area validates: whole blocks of it, never single pixels.

Neighbouring pixels of a stroke are nearly the same pixel; a model judged on every fifth of them would
be judged on what it has learnt. So blocks are held out, with a gap around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phaseguide.finetuning.sources import Source
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

BLOCK = 48
"""Side of a block in px."""

GAP = 6
"""Labels this near to a held-out block do not teach, in px."""

FEWEST_BLOCKS = 4
"""A phase painted in fewer blocks is not held out: what is left would be too little to learn it from."""


@dataclass(frozen=True)
class Split:
    """Labels to learn from and labels to judge by, of each source; both None for a ratio alone.

    Attributes
    ----------
    teach, judge : tuple of (ndarray of uint8, shape (H, W)) or None
        0 where a pixel is of the other kind, or was never labelled.
    blocks : int
        Blocks, or whole sources, that validate.
    sentence : str
        What validates, in words a user reads.
    """

    teach: tuple[NDArray[np.uint8] | None, ...]
    judge: tuple[NDArray[np.uint8] | None, ...]
    blocks: int
    sentence: str


def split_labels(
    sources: Sequence[Source],
    n_phases: int,
    *,
    share: float,
    fields: Sequence[str] = (),
    seed: int = 0,
) -> Split:
    """Hold out whole sources, or blocks of the painted area.

    Blocks are drawn phase by phase, the rarest first, until ``share`` of its labelled pixels is held
    out, at most as many as leave three quarters of its blocks to learn from.

    Parameters
    ----------
    sources : sequence of Source
    n_phases : int
    share : float
        In [0, 1); 0 holds out nothing.
    fields : sequence of str
        Names of sources that validate as a whole; blocks are then not drawn.
    seed : int
    """
    if fields:
        return _whole_fields(sources, set(fields))
    drawn = _draw(sources, n_phases, share, np.random.default_rng(seed)) if share > 0 else {}
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
    return Split(tuple(teach), tuple(judge), count, sentence)


def _whole_fields(sources: Sequence[Source], fields: set[str]) -> Split:
    teach = tuple(None if s.name in fields else s.labels for s in sources)
    judge = tuple(s.labels if s.name in fields else None for s in sources)
    names = ", ".join(s.name for s in sources if s.name in fields)
    return Split(teach, judge, len(fields), f"all labels of {names}")


def _draw(
    sources: Sequence[Source], n_phases: int, share: float, rng: np.random.Generator
) -> dict[int, list[tuple[int, int]]]:
    """Blocks to hold out, by source, as (row, column) of their grid."""
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
    held = np.zeros(len(table), dtype=np.bool_)
    for k in np.argsort(table.sum(0)):
        having = np.flatnonzero(table[:, k])
        if having.size < FEWEST_BLOCKS:
            continue
        for block in rng.permutation(having):
            enough = table[held, k].sum() >= share * table[:, k].sum()
            if enough or (held[having].sum() + 1) * 4 > having.size:
                break
            # A block that holds most of a rare phase would take its teacher away.
            left = table[~held].sum(0) - table[block]
            if held[block] or np.any((left < 0.5 * table.sum(0)) & (table[block] > 0)):
                continue
            held[block] = True
    drawn: dict[int, list[tuple[int, int]]] = {}
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
    return int(np.count_nonzero((labels != NOT_CLASSIFIED) & (labels != EXCLUDED)))
