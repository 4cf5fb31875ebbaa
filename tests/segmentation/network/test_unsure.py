"""Where a second look goes: every unsure cell, few pixels more, never a border that shows."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.models.card import ViewCard
from phaseguide.segmentation.network.unsure import CELL, HALO, MOST, Place, leads_of_cells, plan_places

HEIGHT, WIDTH = 700, 1000
TURNED = ViewCard(zoom=1.5, flip="xy")


def leads(unsure: float = 0.1, seed: int = 0) -> np.ndarray:
    shape = -(-HEIGHT // CELL), -(-WIDTH // CELL)
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < unsure, rng.random(shape) * 0.5, 1.0).astype(np.float32)


def weight(places: list[Place]) -> np.ndarray:
    whole = np.zeros((HEIGHT, WIDTH))
    for place in places:
        whole[place.tile.window] += place.down[:, None] * place.across
    return whole


def test_a_lead_is_the_mean_difference_of_the_two_highest_probabilities() -> None:
    scores = np.zeros((3, 40, 70), dtype=np.float32)
    scores[0, :, :32] = np.log(6)  # 0.75 against 0.125
    excluded = np.zeros((40, 70), dtype=bool)
    excluded[:, 64:] = True
    np.testing.assert_allclose(leads_of_cells(scores, excluded), [[0.625, 0, 1], [0.625, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("view", [TURNED, ViewCard(), ViewCard(zoom=1.3, flip="x")])
@pytest.mark.parametrize("unsure", [0.0, 0.01, 0.05])
def test_all_unsure_cells_are_looked_at_and_weights_fade_to_nothing(unsure: float, view: ViewCard) -> None:
    cells = leads(unsure)
    places = plan_places(cells, 0.9, HEIGHT, WIDTH, 500, view)
    whole = weight(places)
    on = np.kron(cells < 0.9, np.ones((CELL, CELL), dtype=bool))[:HEIGHT, :WIDTH]
    assert np.all(whole[on] >= 1 - 1e-6)
    assert bool(places) == bool(on.any())
    for place in places:
        tile = place.tile
        assert tile.top >= 0 and tile.top + tile.height <= HEIGHT
        assert tile.left >= 0 and tile.left + tile.width <= WIDTH
        assert max(tile.height, tile.width) <= 500
    assert np.abs(np.diff(whole, axis=0)).max(initial=0) < 3.1 / HALO
    assert np.abs(np.diff(whole, axis=1)).max(initial=0) < 3.1 / HALO


def test_far_apart_corners_are_looked_at_by_themselves() -> None:
    cells = np.ones_like(leads())
    cells[0, 0] = cells[-1, -1] = 0
    places = plan_places(cells, 0.9, HEIGHT, WIDTH, 5000, TURNED)
    assert len(places) == 2 and sum(p.tile.height * p.tile.width for p in places) < 0.1 * HEIGHT * WIDTH


def test_places_lie_on_the_grid_of_the_whole_turned_image() -> None:
    places = plan_places(leads(0.02), 0.9, HEIGHT, WIDTH, 5000, TURNED)
    assert len(places) > 1
    for place in places:
        end = HEIGHT - place.tile.top - place.tile.height, WIDTH - place.tile.left - place.tile.width
        assert [n * TURNED.zoom % 32 for n in end] == [0, 0]


def test_the_least_unsure_cells_are_left_out_where_all_would_be_too_much() -> None:
    cells = np.broadcast_to(np.linspace(0, 0.8, -(-WIDTH // CELL), dtype=np.float32), leads().shape)
    whole = weight(plan_places(cells, 0.9, HEIGHT, WIDTH, 5000, TURNED))
    seen = whole > 0
    assert 0.5 < seen.mean() <= MOST and seen[:, 0].all() and not seen[:, -1].any()


def test_a_large_image_is_cut_into_places_that_fit_the_network() -> None:
    cells = np.zeros((60, 60), dtype=np.float32)
    cells[:, 34:] = 1
    places = plan_places(cells, 0.9, 1920, 1920, 640, TURNED)
    sides = [side for place in places for side in (place.tile.height, place.tile.width)]
    assert 0 < len(places) < 20 and min(sides) > 150 and max(sides) <= 640
