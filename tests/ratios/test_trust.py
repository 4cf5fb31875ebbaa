"""The inverse of the blend, and what exact values leave to the phases of which nothing was said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.ratios import LEAST_SURE, blend_ratios, uncertainty_for

OWN = np.array([0.6, 0.129, 0.2, 0.071])
ASKED = np.array([np.nan, 0.091, 0.25, np.nan])
ERROR = np.array([0.2, 0.3, 0.3, 0.4])


@pytest.mark.parametrize("phase", [1, 2])
@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_wanted_share_is_imposed(phase: int, part: float) -> None:
    unsure = np.array([0.1, 0.1, 0.3, 0.1])
    unsure[phase] = LEAST_SURE
    least = blend_ratios(ASKED, OWN, unsure, ERROR)[phase]
    wanted = least + part * (ASKED[phase] - least)
    unsure[phase] = uncertainty_for(wanted, phase, ASKED, OWN, unsure, ERROR)
    assert blend_ratios(ASKED, OWN, unsure, ERROR)[phase] == pytest.approx(wanted, abs=1e-5)


def test_the_ends_are_exact_and_as_unsure_as_can_be() -> None:
    assert uncertainty_for(0.091, 1, ASKED, OWN, 0.1, ERROR) == 0.0
    assert uncertainty_for(0.05, 1, ASKED, OWN, 0.1, ERROR) == 0.0, "beyond the user's end"
    assert uncertainty_for(0.3, 1, ASKED, OWN, 0.1, ERROR) == LEAST_SURE, "beyond the model's end"


@given(st.floats(0.01, 0.9), st.floats(0.0, 1.0))
def test_nearer_to_the_user_is_surer(said: float, part: float) -> None:
    own = np.array([0.3, 0.5, 0.2])
    asked = np.array([said, np.nan, np.nan])
    near = said + 0.3 * part * (own[0] - said)
    far = said + (0.3 * part + 0.5) * (own[0] - said)
    assert uncertainty_for(near, 0, asked, own, 0.1, 0.3) <= uncertainty_for(far, 0, asked, own, 0.1, 0.3)


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.49))
def test_exact_values_leave_open_phases_their_own_proportions(one: float, other: float) -> None:
    asked = np.array([np.nan, one, other, np.nan])
    imposed = blend_ratios(asked, OWN, 0.0, ERROR)
    assert imposed[[1, 2]] == pytest.approx([one, other])
    assert imposed[0] / imposed[3] == pytest.approx(OWN[0] / OWN[3])
    assert (imposed > 0).all(), "a phase of which nothing was said is not erased"
