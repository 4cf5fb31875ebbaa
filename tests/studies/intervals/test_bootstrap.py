"""The closed form of the block bootstrap, against drawing blocks for real."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.studies.intervals.bootstrap import block_bootstrap


def blocks(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums and sizes of blocks, and what each adds to the error of the ratio of their totals."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, 150, count).astype(float)
    sums = sizes * rng.uniform(0.1, 0.5, count)
    ratio = sums.sum() / sizes.sum()
    return sums, sizes, ((sums - ratio * sizes) / sizes.sum())[:, None]


def test_it_is_what_drawing_blocks_gives() -> None:
    sums, sizes, influence = blocks(60)
    rng = np.random.default_rng(1)
    drawn = rng.integers(60, size=(4000, 60))
    resampled = sums[drawn].sum(1) / sizes[drawn].sum(1)
    deviation, freedom = block_bootstrap(influence, sizes, np.zeros(60, np.intp), np.arange(60))
    assert deviation[0] == pytest.approx(resampled.std(), rel=0.06)
    assert 40 < freedom[0] <= 59


def test_pieces_in_one_block_are_drawn_together() -> None:
    _, sizes, influence = blocks(40)
    both = np.concatenate([influence, influence])
    phases, twice = np.repeat([0, 1], 40), np.concatenate([sizes, sizes])
    apart, _ = block_bootstrap(both, twice, phases, np.arange(80))
    together, _ = block_bootstrap(both, twice, phases, np.tile(np.arange(40), 2))
    assert together[0] / apart[0] == pytest.approx(np.sqrt(2), rel=0.02)


def test_a_large_piece_costs_freedom_and_counts_for_more() -> None:
    sizes = np.array([900.0, 50, 50, 50])
    deviations = np.array([1.0, -1, 1, -1]) * 0.1
    influence = (deviations * sizes / sizes.sum())[:, None]
    phase, block = np.zeros(4, np.intp), np.arange(4)
    uneven, few = block_bootstrap(influence, sizes, phase, block)
    even, many = block_bootstrap(deviations[:, None] / 4, np.ones(4), phase, block)
    assert few[0] == 1 and many[0] == pytest.approx(3)
    assert uneven[0] > 3 * even[0]


def test_a_single_piece_says_nothing() -> None:
    deviation, freedom = block_bootstrap(
        np.zeros((1, 2)), np.ones(1), np.zeros(1, np.intp), np.zeros(1, np.intp)
    )
    assert deviation.tolist() == [0, 0] and freedom.tolist() == [1, 1]
