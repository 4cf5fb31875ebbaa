"""Whoever asks for more of a phase never gets less of it, whatever is believed of the wish."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, example, given
from hypothesis import strategies as st

from phaseguide.ratios import blend_ratios

SLACK = 1e-9
ERRORS = st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0, 5.0])


def compositions(n_phases: int) -> st.SearchStrategy[np.ndarray]:
    """Shares of which some may be 0 and one may be 1."""
    weights = st.lists(
        st.sampled_from([0.0, 0.0]) | st.floats(1e-4, 1.0), min_size=n_phases, max_size=n_phases
    )
    return weights.filter(lambda w: sum(w) > 0).map(lambda w: np.array(w) / sum(w))


@st.composite
def beliefs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Draw asked (complete), own, uncertainty and own error of 2 to 5 phases, and the phase to raise."""
    n_phases = draw(st.integers(2, 5))
    asked, own = draw(compositions(n_phases)), draw(compositions(n_phases))
    uncertainty = draw(st.lists(ERRORS, min_size=n_phases, max_size=n_phases))
    own_error = draw(st.lists(st.floats(0.01, 3.0), min_size=n_phases, max_size=n_phases))
    return asked, own, np.array(uncertainty), np.array(own_error), draw(st.integers(0, n_phases - 1))


def raised(asked: np.ndarray, phase: int, by: float) -> np.ndarray:
    """More of one phase, the others in proportion."""
    more = asked * (1 - by)
    more[phase] += by
    return more / more.sum()


@given(beliefs(), st.floats(0.0, 1.0))
def test_more_of_one_phase_and_the_others_in_proportion(belief, by):
    asked, own, uncertainty, own_error, phase = belief
    before = blend_ratios(asked, own, uncertainty, own_error)
    after = blend_ratios(raised(asked, phase, by), own, uncertainty, own_error)
    assert after[phase] >= before[phase] - SLACK


@given(beliefs(), st.floats(0.0, 1.0))
def test_more_of_one_phase_and_the_others_open(belief, by):
    asked, own, uncertainty, own_error, phase = belief
    wish = np.full(asked.size, np.nan)
    imposed = []
    for share in (asked[phase], asked[phase] + by * (1 - asked[phase])):
        wish[phase] = share
        imposed.append(blend_ratios(wish, own, uncertainty, own_error)[phase])
    assert imposed[1] >= imposed[0] - SLACK


@given(beliefs(), st.integers(0, 4), st.floats(0.0, 1.0))
def test_more_of_one_phase_out_of_the_open_ones(belief, other, by):
    asked, own, uncertainty, own_error, phase = belief
    assume(asked.size > 2 and other < asked.size and other != phase)
    wish = np.full(asked.size, np.nan)
    wish[other] = asked[other]
    imposed = []
    for share in (asked[phase], asked[phase] + by * (1 - asked[phase] - asked[other])):
        wish[phase] = share
        imposed.append(blend_ratios(wish, own, uncertainty, own_error)[phase])
    assert imposed[1] >= imposed[0] - SLACK


NOTHING_ELSE_CAN_HOLD_IT = (
    np.array([0, 0, 0, 1.0]),
    np.array([0, 0, 0, 1.0]),
    np.array([0.3, 0, 0.02, 0]),
    np.ones(4),
    0,
)
"""The model sees one phase alone, which the user gives exactly; of the others only one is asked for, by eye."""


@example(NOTHING_ELSE_CAN_HOLD_IT)
@given(beliefs())
def test_the_whole_way_from_nothing_to_everything(belief):
    asked, own, uncertainty, own_error, phase = belief
    rest = asked.copy()
    rest[phase] = 0
    assume(rest.sum() > 0)
    rest /= rest.sum()
    shares = [
        blend_ratios(raised(rest, phase, by), own, uncertainty, own_error)[phase]
        for by in np.linspace(0, 1, 41)
    ]
    assert np.all(np.diff(shares) >= -SLACK)
    assert shares[0] >= 0 and shares[-1] <= 1 + SLACK


@given(beliefs(), st.floats(0.0, 1.0))
def test_a_phase_without_a_trace_stays_what_the_model_sees(belief, wish):
    asked, own, uncertainty, own_error, phase = belief
    own = own.copy()
    own[phase] = 0.0
    assume(own.sum() > 0)
    own /= own.sum()
    asked, uncertainty = asked * (1 - wish), np.maximum(uncertainty, 0.3)
    asked[phase] += wish
    imposed = blend_ratios(asked, own, uncertainty, own_error)
    assert imposed[phase] == 0.0
    assert abs(imposed.sum() - 1) < SLACK
    surely = np.where(np.arange(asked.size) == phase, 0.0, uncertainty)
    assert abs(blend_ratios(asked, own, surely, own_error)[phase] - asked[phase]) < SLACK
    shown = np.arange(asked.size) == phase
    if asked[phase] > 0.01:
        assert blend_ratios(asked, own, uncertainty, own_error, shown)[phase] > 0
