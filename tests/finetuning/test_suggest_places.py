"""Where to paint next: broad doubt before borders, the ratio's disagreement, spread, nothing painted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseguide.errors import SchemeError
from phaseguide.finetuning.suggest_places import Place, expected_change_map, pixel_belief, rank_places
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "bainite", "martensite"])


def sure(shape: tuple[int, int] = (256, 320), k: int = 3) -> NDArray[np.float32]:
    """Scores of a model that is sure of the first phase everywhere."""
    scores = np.zeros((k, *shape), np.float32)
    scores[0] = 8
    return scores


def island(
    scores: NDArray[np.float32],
    rows: slice,
    columns: slice,
    margin: float | NDArray[np.float32],
    other: int = 1,
) -> None:
    """Make the model hesitate: the first phase leads the other by ``margin``."""
    scores[0, rows, columns] = margin
    scores[other, rows, columns] = 0
    scores[3 - other, rows, columns] = -8


def holds(place: Place, row: int, column: int) -> bool:
    rows, columns = place.window
    return rows.start <= row < rows.stop and columns.start <= column < columns.stop


def test_a_broad_island_of_doubt_comes_before_a_sharp_border_however_long() -> None:
    scores = sure()
    scores[1, :, 200:] = 16
    scores[:2, :, 198:202] = 0  # a border: as doubtful as can be, four pixels wide
    island(scores, slice(100, 124), slice(60, 84), 0.5)
    first = rank_places(scores)[0]
    assert holds(first, 112, 72)
    assert first.between == (1, 2)


def test_the_help_map_lacks_borders_and_what_is_painted() -> None:
    scores = sure()
    scores[:2, :, 198:202] = 0
    island(scores, slice(100, 124), slice(60, 84), 0.0)
    edits = np.zeros((256, 320), np.uint8)
    edits[100:112] = 1
    edits[112:116, 60:84] = 255
    found = expected_change_map(pixel_belief(scores, edits=edits), edits=edits)
    assert found[:, 190:210].max() < 0.01
    assert found[100:116, 60:84].max() == 0
    assert found[118:122, 64:80].min() > 0.4


def test_a_ratio_that_contradicts_leads_to_what_it_would_change() -> None:
    scores = sure()
    lead = np.linspace(1, 5, 40, dtype=np.float32)
    island(scores, slice(20, 60), slice(20, 60), lead, other=1)
    island(scores, slice(180, 220), slice(240, 280), lead, other=2)
    plain = rank_places(scores, count=2)
    assert max(p.disputed for p in plain) == 0
    martensite = 1600 / (256 * 320)
    told = rank_places(scores, [1 - martensite - 1e-9, 1e-9, martensite], count=2)
    assert holds(told[0], 200, 250)
    assert told[0].disputed > 0.2
    assert told[0].between == (3, 1)
    assert "martensite or ferrite" in told[0].describe(SCHEME)
    assert "Your expected %" in told[0].describe(SCHEME)
    assert "hesitates here: ferrite or" in plain[0].describe(SCHEME)


def test_places_do_not_overlap_and_gains_add_up_to_no_more_than_everything() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 256, 320)).astype(np.float32)
    places = rank_places(scores, count=10)
    assert [p.rank for p in places] == list(range(1, 11))
    taken = np.zeros((256, 320), int)
    for place in places:
        assert taken[place.window].shape == (64, 64)
        taken[place.window] += 1
    assert taken.max() == 1
    assert min(p.gain for p in places) > 0
    assert sum(p.gain for p in places) <= 1 + 1e-6


def test_the_second_place_is_another_kind_of_doubt_rather_than_the_neighbour() -> None:
    scores = sure()
    island(scores, slice(20, 148), slice(20, 148), 0.5, other=1)
    island(scores, slice(190, 240), slice(250, 300), 0.5, other=2)
    first, second = rank_places(scores, count=2)
    assert holds(first, 84, 84) or first.between == (1, 2)
    assert second.between == (1, 3)


def test_doubt_that_is_painted_already_waits() -> None:
    scores = sure()
    island(scores, slice(20, 70), slice(20, 70), 0.4)
    island(scores, slice(180, 230), slice(240, 290), 0.5)
    assert holds(rank_places(scores)[0], 45, 45)
    edits = np.zeros((256, 320), np.uint8)
    edits[35:55, 35:55] = 2
    assert holds(rank_places(scores, edits=edits)[0], 205, 265)


def test_a_model_that_is_sure_of_everything_still_answers_and_a_painted_image_does_not() -> None:
    assert len(rank_places(sure(), count=3)) <= 3
    painted = np.ones((256, 320), np.uint8)
    assert rank_places(sure(), edits=painted) == ()


def test_an_image_smaller_than_a_place_is_one_place() -> None:
    scores = sure((30, 50))
    island(scores, slice(5, 20), slice(5, 25), 0.2)
    places = rank_places(scores)
    assert places
    rows, columns = places[0].window
    assert (rows.stop - rows.start, columns.stop - columns.start) == (30, 30)


def test_large_images_are_ranked_in_the_same_number_of_cells() -> None:
    scores = sure((1500, 1700))
    island(scores, slice(700, 800), slice(900, 1000), 0.2)
    assert holds(rank_places(scores, count=1)[0], 750, 950)


def test_edits_of_another_image_are_refused() -> None:
    with pytest.raises(SchemeError, match="painted on this image"):
        rank_places(sure(), edits=np.zeros((5, 5), np.uint8))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(3, 150), st.integers(3, 150)),
    shift=st.floats(-50, 50),
)
def test_places_lie_in_the_image_and_do_not_depend_on_the_zero_of_the_scores(
    seed: int, shape: tuple[int, int], shift: float
) -> None:
    scores = (3 * np.random.default_rng(seed).normal(size=(3, *shape))).astype(np.float32)
    places = rank_places(scores, [0.5, 0.3, 0.2], count=5)
    for place in places:
        rows, columns = place.window
        assert 0 <= rows.start < rows.stop <= shape[0]
        assert 0 <= columns.start < columns.stop <= shape[1]
        assert 0 <= place.gain <= 1 + 1e-9
    again = rank_places(np.round(scores + np.float32(round(shift))).astype(np.float32), count=2)
    same = rank_places(np.round(scores).astype(np.float32), count=2) if shift == round(shift) else again
    assert [p.window for p in again] == [p.window for p in same]
