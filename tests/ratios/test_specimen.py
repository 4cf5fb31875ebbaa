"""A specimen's ratio is met by the mean of its fields, and their scatter survives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import RatioError
from phaseguide.ratios import FLOOR, shift_to_mean

Fields = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def specimens(draw: st.DrawFn) -> Fields:
    """Own shares of 1-10 fields with up to 6 phases, from even to nearly pure; their areas; a wish."""
    rng = np.random.default_rng(draw(st.integers(0, 1_000_000)))
    n, k = draw(st.integers(1, 10)), draw(st.integers(1, 6))
    evenness = 10 ** draw(st.floats(-1, 1))
    own = rng.gamma(evenness, 1, (n, k)) + 1e-12
    pure = draw(st.booleans())
    own = np.eye(k)[rng.integers(0, k, n)] if pure else own / own.sum(1, keepdims=True)
    wanted = rng.gamma(10 ** draw(st.floats(-1, 1)), 1, k) + 1e-6
    return own, 10 ** rng.uniform(-3, 3, n), wanted / wanted.sum()


@given(specimens())
def test_the_mean_is_what_is_wanted(fields: Fields) -> None:
    own, areas, wanted = fields
    shares = shift_to_mean(own, areas, wanted)
    assert shares.shape == own.shape and (shares >= 0).all()
    assert shares.sum(1) == pytest.approx(1)
    assert areas / areas.sum() @ shares == pytest.approx(wanted, abs=1e-6)


@given(specimens())
def test_the_scatter_between_fields_survives(fields: Fields) -> None:
    own, areas, wanted = fields
    after = shift_to_mean(own, areas, wanted)
    for one, other in itertools.combinations(range(len(own)), 2):
        both = (own[one] >= FLOOR) & (own[other] >= FLOOR)
        if both.any():
            before_gap = np.log(own[one, both] / own[other, both])
            after_gap = np.log(np.maximum(after[one, both], 1e-300) / np.maximum(after[other, both], 1e-300))
            assert before_gap - before_gap[0] == pytest.approx(after_gap - after_gap[0], abs=1e-6)


@given(specimens())
def test_a_field_without_a_trace_gets_none_where_others_can_hold_it(fields: Fields) -> None:
    own, areas, wanted = fields
    shares, weights = shift_to_mean(own, areas, wanted), areas / areas.sum()
    for phase in range(own.shape[1]):
        holds = own[:, phase] >= FLOOR
        if wanted[phase] < 0.5 * weights[holds].sum() - 1e-9:
            assert (shares[own[:, phase] == 0, phase] == 0).all()


@given(specimens(), st.integers(0, 1000))
def test_the_order_of_fields_and_phases_does_not_matter(fields: Fields, seed: int) -> None:
    own, areas, wanted = fields
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(own)), rng.permutation(own.shape[1])
    shuffled = shift_to_mean(own[rows][:, columns], areas[rows], wanted[columns])
    assert shuffled == pytest.approx(shift_to_mean(own, areas, wanted)[rows][:, columns], abs=1e-6)


def test_wanting_what_is_there_changes_nothing() -> None:
    own = np.array([[0.7, 0.3], [0.5, 0.5], [0.9, 0.1]])
    areas = np.array([1.0, 2.0, 1.0])
    assert shift_to_mean(own, areas, areas @ own / 4) == pytest.approx(own, abs=1e-6)


def test_a_phase_that_a_field_does_not_show_stays_away_there() -> None:
    own = np.array([[0.8, 0.2, 0.0], [0.6, 0.2, 0.2]])
    shares = shift_to_mean(own, np.ones(2), np.array([0.6, 0.2, 0.2]))
    assert shares[0, 2] == 0 and shares[1, 2] == pytest.approx(0.4)


def test_a_phase_that_nobody_wants_is_nowhere() -> None:
    own = np.array([[0.8, 0.2, 0.0], [0.0, 0.0, 1.0]])
    shares = shift_to_mean(own, np.array([3.0, 1.0]), np.array([0.5, 0.5, 0.0]))
    assert (shares[:, 2] == 0).all() and np.array([0.75, 0.25]) @ shares == pytest.approx([0.5, 0.5, 0])


def test_a_single_field_gets_the_whole_and_an_empty_one_counts_nothing() -> None:
    wanted = np.array([0.2, 0.8])
    assert shift_to_mean([[0.9, 0.1]], [5], wanted) == pytest.approx(wanted[None])
    shares = shift_to_mean([[0.9, 0.1], [0.5, 0.5]], [5, 0], wanted)
    assert shares[0] == pytest.approx(wanted) and shares[1, 1] > 0.8


@pytest.mark.parametrize("areas", [[], [0.0, 0.0]])
def test_without_any_area_there_is_no_mean(areas: list[float]) -> None:
    with pytest.raises(RatioError, match="No field has any area"):
        shift_to_mean(np.full((len(areas), 2), 0.5), areas, [0.5, 0.5])
