"""Tiles cover the image, blend to weight one, and their ratios meet the whole's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.segmentation.network.tiling import STRIDE, Tile, blend_windows, plan_tiles


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 128), st.integers(0, 16))
def test_tiles_cover_every_pixel_once_in_weight(height: int, width: int, side: int, overlap: int) -> None:
    tiles = plan_tiles(height, width, side, overlap)
    weight = np.zeros((height, width), dtype=np.float32)
    for tile, (down, across) in zip(tiles, blend_windows(tiles, height, width, overlap), strict=True):
        assert 0 < tile.height <= side and 0 < tile.width <= side
        assert down.min() > 0 and across.min() > 0
        weight[tile.window] += down[:, None] * across
    np.testing.assert_allclose(weight, 1, atol=1e-6)
    if height <= side and width <= side:
        assert tiles == [Tile(0, 0, height, width)] and np.all(weight == 1)


@given(st.integers(300, 5000), st.integers(256, 2048), st.integers(0, 128))
def test_neighbours_overlap_as_asked_begin_on_the_grid_and_are_alike(
    length: int, side: int, overlap: int
) -> None:
    spans = [(t.top, t.top + t.height) for t in plan_tiles(length, 64, side, overlap)]
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(a_end - b_start == overlap for (_, a_end), (b_start, _) in pairwise(spans))
    assert all(start % STRIDE == 0 for start, _ in spans)
    sizes = [end - start for start, end in spans]
    assert max(sizes) - min(sizes) <= 2 * STRIDE


@pytest.mark.parametrize("side", [2048, 4096, 8192, 16384])
def test_large_images_cost_alike_per_pixel(side: int) -> None:
    tiles = plan_tiles(side, side, 1920, 128)
    assert sum(t.height * t.width for t in tiles) < 1.2 * side**2


def test_a_tile_fades_out_towards_its_neighbours_only() -> None:
    tiles = plan_tiles(64, 400, 256, 64)
    (down, left), (_, right) = blend_windows(tiles, 64, 400, 64)
    assert np.all(down == 1) and np.all(left[:-64] == 1) and np.all(right[64:] == 1)
    assert np.all(np.diff(left[-64:]) < 0) and left[-1] < 0.02
    np.testing.assert_allclose(left[-64:] + right[:64], 1, atol=1e-6)
