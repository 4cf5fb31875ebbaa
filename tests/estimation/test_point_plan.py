"""Which points are proposed: how many where, each pixel with the same chance, spread, reproducible."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import SchemeError
from phaseguide.estimation.point_plan import (
    MOST_POINTS,
    PointCountError,
    allocate,
    expected_standard_error,
    propose_points,
)
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])


def field(shape: tuple[int, int] = (80, 100)) -> np.ndarray:
    """A phase, another in a block, a rare one in a strip, excluded rows and a part not classified."""
    labels = np.ones(shape, dtype=np.uint8)
    labels[20:60, 10:50] = 2
    labels[30:33, 60:90] = 3
    labels[-10:] = 255
    labels[:5, :5] = 0
    return labels


@given(
    st.lists(st.integers(0, 200_000), min_size=2, max_size=8).filter(any),
    st.integers(2, MOST_POINTS),
)
def test_allocation_adds_up_and_gives_every_stratum_points(sizes: list[int], count: int) -> None:
    pixels = np.array(sizes)
    present = pixels > 0
    if not 2 * present.sum() <= count <= pixels.sum():
        return
    points = allocate(pixels, count)
    assert points.sum() == count
    assert (points <= pixels).all() and (points[present] >= np.minimum(2, pixels[present])).all()
    # Larger strata never get fewer points, and never more points per pixel.
    order = np.argsort(pixels, kind="stable")
    assert (np.diff(points[order]) >= -1).all()


def test_rare_phases_get_more_than_their_area() -> None:
    points = allocate(np.array([0, 682_000, 291_000, 27_000]), 100)
    assert points.tolist() == [0, 54, 35, 11]
    assert allocate(np.array([0, 998_000, 2_000]), 100).tolist() == [0, 90, 10]


def test_points_lie_where_they_should() -> None:
    labels = field()
    plan = propose_points(labels, SCHEME, 100, seed=3)
    assert len(plan) == 100
    assert np.array_equal(labels[plan.rows, plan.columns], plan.strata)
    assert set(plan.strata.tolist()) == {0, 1, 2, 3}
    assert len({*zip(plan.rows.tolist(), plan.columns.tolist(), strict=True)}) == 100
    assert plan.pixels.tolist() == [np.count_nonzero(labels == k) for k in range(4)]
    assert plan.weights.sum() == pytest.approx(1)
    runs = np.count_nonzero(np.diff(plan.strata))
    assert runs > 30, "the order must not tell the prediction"


def test_same_seed_same_points() -> None:
    first, again, other = (propose_points(field(), SCHEME, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.rows, again.rows) and np.array_equal(first.columns, again.columns)
    assert not np.array_equal(first.rows, other.rows)


def test_every_pixel_has_the_same_chance() -> None:
    """Also at the border of a phase, where a fixed least distance would draw too often."""
    labels = np.ones((9, 12), dtype=np.uint8)
    labels[3:6] = 2
    hits = np.zeros(labels.shape)
    repeats = 1500
    for seed in range(repeats):
        plan = propose_points(labels, SCHEME, 12, seed)
        hits[plan.rows, plan.columns] += 1
    for stratum, size in ((1, 72), (2, 36)):
        inside = hits[labels == stratum]
        chance = inside.sum() / repeats / size
        deviation = (inside - repeats * chance) / np.sqrt(repeats * chance * (1 - chance))
        assert np.abs(deviation).max() < 4.5
        assert 0.6 < (deviation**2).mean() < 1.4


def test_points_keep_apart() -> None:
    from scipy.spatial import cKDTree

    labels = np.ones((120, 120), dtype=np.uint8)

    def close(places: np.ndarray) -> float:
        nearest = cKDTree(places).query(places, 2)[0][:, 1]
        return float((nearest < 0.5 * np.sqrt(labels.size / len(places))).mean())

    rng = np.random.default_rng(0)
    plans = [propose_points(labels, SCHEME, 60, seed) for seed in range(20)]
    ours = np.mean([close(np.stack([plan.rows, plan.columns], axis=1)) for plan in plans])
    random = np.mean([close(rng.uniform(0, 120, (60, 2))) for _ in range(20)])
    assert ours < 0.3 * random


def test_strata_of_a_pixel_or_two() -> None:
    labels = np.ones((20, 20), dtype=np.uint8)
    labels[0, 0], labels[5, 5:7] = 2, 3
    plan = propose_points(labels, SCHEME, 20, seed=0)
    assert np.bincount(plan.strata).tolist() == [0, 17, 1, 2]
    whole = propose_points(np.array([[1, 1], [2, 3]]), SCHEME, 4, seed=0)
    assert sorted(whole.strata.tolist()) == [1, 1, 2, 3]


def test_more_points_are_sharper() -> None:
    pixels = np.array([50, 6820, 2910, 270])
    errors = [expected_standard_error(pixels, count) for count in (50, 100, 200, 400)]
    assert all((after < before).all() for before, after in pairwise(errors))
    assert errors[0][0] / errors[2][0] == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(
    ("labels", "count", "words"),
    [
        (np.ones((3, 20, 20), np.uint8), 50, "one plane"),
        (np.full((20, 20), 255, np.uint8), 50, "excluded"),
        (field(), 7, "Ask for 8 to 2000"),
        (field(), 2001, "Ask for 8 to 2000"),
        (np.ones((5, 5), np.uint8), 26, "Ask for 2 to 25"),
    ],
)
def test_what_cannot_be_planned(labels: np.ndarray, count: int, words: str) -> None:
    with pytest.raises(PointCountError, match=words):
        propose_points(labels, SCHEME, count, 0)


def test_values_that_are_in_no_scheme() -> None:
    labels = field()
    labels[0, 50] = 9
    with pytest.raises(SchemeError, match=r"label value 9"):
        propose_points(labels, SCHEME, 50, 0)
