"""The simulated user: it never paints a wrong label, nor more than it may, and a seed repeats it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from phaseguide.errors import PhaseguideError
from phaseguide.studies.finetune.simulated_user import (
    Brush,
    correcting_strokes,
    first_strokes,
    labelling_strokes,
)

K = 3


def a_truth(seed: int, shape: tuple[int, int] = (80, 90)) -> NDArray[np.uint8]:
    """Blobs of three phases, with some not classified and excluded."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=shape), 6) for _ in range(K)]
    truth = (np.argmax(fields, axis=0) + 1).astype(np.uint8)
    truth[:4], truth[-4:] = 0, 255
    return truth


def test_the_first_strokes_are_one_connected_stroke_in_each_phase() -> None:
    truth = a_truth(0)
    painted = first_strokes(truth, K, 600, np.random.default_rng(0))
    assert set(np.unique(painted)) == {0, 1, 2, 3}
    for k in range(1, K + 1):
        assert ndimage.label(painted == k, structure=np.ones((3, 3)))[1] == 1
        assert 20 < np.count_nonzero(painted == k) <= 200
    assert np.array_equal(truth[painted > 0], painted[painted > 0])


def test_a_phase_that_is_not_there_gets_no_stroke() -> None:
    truth = np.full((40, 40), 2, np.uint8)
    assert set(np.unique(first_strokes(truth, K, 100, np.random.default_rng(0)))) == {0, 2}


def test_a_stroke_is_as_long_and_wide_as_the_brush() -> None:
    truth = np.ones((200, 200), np.uint8)
    painted = first_strokes(truth, 1, 10_000, np.random.default_rng(3), Brush(width=5, length=40))
    assert 0.7 * 40 * 5 < np.count_nonzero(painted) < 1.5 * 45 * 6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), most=st.integers(0, 900))
def test_corrections_are_true_and_only_where_the_prediction_is_wrong(seed: int, most: int) -> None:
    truth = a_truth(seed)
    predicted = np.roll(truth, 9, axis=1)
    before = first_strokes(truth, K, 300, np.random.default_rng(seed))
    new = correcting_strokes(truth, predicted, before, K, most, np.random.default_rng(seed))
    here = new > 0
    wrong = (truth != predicted) & (before == 0) & (truth > 0) & (truth < 255)
    assert not np.any(here & ~wrong)
    assert np.array_equal(new[here], truth[here])
    assert here.sum() == min(most, wrong.sum())
    again = correcting_strokes(truth, predicted, before, K, most, np.random.default_rng(seed))
    assert np.array_equal(new, again)


def test_another_seed_paints_elsewhere() -> None:
    truth = a_truth(1)
    predicted = np.ones_like(truth)
    one, two = (
        correcting_strokes(truth, predicted, np.zeros_like(truth), K, 200, np.random.default_rng(s))
        for s in (0, 1)
    )
    assert not np.array_equal(one, two)


def test_nothing_is_corrected_in_a_perfect_prediction() -> None:
    truth = a_truth(2)
    assert not correcting_strokes(truth, truth, np.zeros_like(truth), K, 500, np.random.default_rng(0)).any()


def test_strokes_start_in_large_wrong_islands_rather_than_along_rims() -> None:
    truth = np.ones((120, 120), np.uint8)
    predicted = truth.copy()
    predicted[20:60, 20:60] = 2
    predicted[100, :] = 2
    hits = 0
    for seed in range(20):
        new = correcting_strokes(truth, predicted, np.zeros_like(truth), 2, 40, np.random.default_rng(seed))
        hits += bool(new[20:60, 20:60].any())
    assert hits >= 18


def test_a_rare_phase_is_not_forgotten() -> None:
    truth = np.ones((200, 200), np.uint8)
    truth[90:100, 90:100] = 2
    predicted = np.full_like(truth, 3)
    nothing = np.zeros_like(truth)
    found = 0
    for seed in range(20):
        new = correcting_strokes(truth, predicted, nothing, K, 4000, np.random.default_rng(seed))
        found += bool((new == 2).any())
    # By area it would get one stroke in four hundred, and some dozen are painted each time.
    assert found >= 5


def test_a_visit_corrects_first_and_then_confirms_so_that_it_always_costs_the_same() -> None:
    truth = a_truth(4)
    within = np.zeros(truth.shape, bool)
    within[20:60, 20:60] = True
    predicted = truth.copy()
    predicted[30:34, 30:34] = truth[30:34, 30:34] % K + 1
    nothing = np.zeros_like(truth)
    new = labelling_strokes(truth, predicted, nothing, K, 150, np.random.default_rng(0), within=within)
    assert np.count_nonzero(new) == 150
    assert not np.any((new > 0) & ~within)
    assert np.array_equal(new[new > 0], truth[new > 0])
    assert (new[30:34, 30:34] > 0).all()
    right = labelling_strokes(truth, truth, nothing, K, 150, np.random.default_rng(0), within=within)
    assert np.count_nonzero(right) == 150


def test_maps_of_different_images_are_refused() -> None:
    small = np.ones((5, 5), np.uint8)
    with pytest.raises(PhaseguideError, match="same image"):
        correcting_strokes(
            a_truth(0), small, small, K, 10, np.random.default_rng(0), within=np.ones((5, 5), bool)
        )
