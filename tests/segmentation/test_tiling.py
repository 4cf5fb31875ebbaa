"""Tiles cover the image, blend to weight one, and their ratios meet the whole's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.segmentation.tiling import Tile, blend_window, plan_tiles, tile_ratios


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 128), st.integers(0, 16))
def test_tiles_cover_every_pixel_and_stay_inside(height: int, width: int, side: int, overlap: int) -> None:
    tiles = plan_tiles(height, width, side, overlap)
    weight = np.zeros((height, width), dtype=np.float32)
    for tile in tiles:
        assert tile.height <= side and tile.width <= side
        weight[tile.window] += blend_window(tile, height, width, overlap)
    assert weight.min() > 0
    if height <= side and width <= side:
        assert tiles == [Tile(0, 0, height, width)] and weight.max() == 1


def test_neighbours_overlap_as_much_as_asked() -> None:
    tops = sorted({t.top for t in plan_tiles(1000, 64, 256, 64)})
    assert all(a + 256 - b >= 64 for a, b in pairwise(tops))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 5))
def test_tile_ratios_meet_the_whole_and_keep_their_order(seed: int, tiles: int, phases: int) -> None:
    rng = np.random.default_rng(seed)
    own = rng.dirichlet(np.ones(phases), tiles)
    areas = rng.uniform(1, 10, tiles)
    wanted = np.maximum(rng.dirichlet(np.ones(phases)), 0.01)
    wanted /= wanted.sum()
    ratios = tile_ratios(own, areas, wanted)
    assert ratios.sum(1) == pytest.approx(1)
    assert areas / areas.sum() @ ratios == pytest.approx(wanted, abs=1e-4)
    shift = np.log(ratios / np.maximum(own, 0.001))
    relative = shift - shift[:, :1]
    assert np.allclose(relative, relative[0], atol=1e-6), "one shift in log-ratio space for all tiles"
