"""Weight per cent to area per cent and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import area_from_weight, complete_ratio, describe_conversion, weight_from_area

STEEL = PhaseScheme.from_names(["steel", "carbide"])
THREE = PhaseScheme.from_names(["ferrite", "austenite", "carbide"])
OPEN = math.nan


def test_the_reference_number() -> None:
    """10 weight % of a 5.7 g/cm3 carbide in 7.8 g/cm3 steel is 13.2 volume %."""
    weight = [0.9, 0.1]
    area = area_from_weight(weight, [7.8, 5.7], STEEL)
    assert area[1] == pytest.approx(0.132, abs=5e-4) and area.sum() == pytest.approx(1)
    assert describe_conversion(weight, area, STEEL).endswith("; 10.0 weight % carbide = 13.2 area %")
    open_matrix = area_from_weight([OPEN, 0.1], [7.8, 5.7], STEEL)
    assert np.isnan(open_matrix[0]) and open_matrix[1] == pytest.approx(area[1])
    assert describe_conversion([OPEN, 0.1], open_matrix, STEEL) == "10.0 weight % carbide = 13.2 area %"


@st.composite
def wishes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares with some phases open, densities, and what the model sees; three phases."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shares, own = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3))
    is_open = np.array(draw(st.lists(st.booleans(), min_size=3, max_size=3)))
    shares[is_open] = OPEN
    return shares, rng.uniform(2, 20, 3), own


@given(wishes())
def test_there_and_back_is_the_same(wish: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    shares, densities, own = wish
    area = area_from_weight(shares, densities, THREE, own)
    assert np.array_equal(np.isnan(area), np.isnan(shares))
    assert np.nansum(area) <= 1 + 1e-9
    assert weight_from_area(area, densities, THREE, own) == pytest.approx(shares, nan_ok=True)


@given(wishes())
def test_open_phases_that_follow_the_model_were_counted_with_their_own_density(
    wish: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Completing the converted ratio gives a composition whose weights are those that were asked."""
    shares, densities, own = wish
    area = complete_ratio(area_from_weight(shares, densities, THREE, own), own)
    weight = area * densities / (area @ densities)
    set_ = ~np.isnan(shares)
    assert weight[set_] == pytest.approx(shares[set_])


@given(wishes(), st.floats(0.1, 10))
def test_only_the_proportions_of_the_densities_count(
    wish: tuple[np.ndarray, np.ndarray, np.ndarray], factor: float
) -> None:
    shares, densities, own = wish
    a, b = (area_from_weight(shares, d, THREE, own) for d in (densities, densities * factor))
    assert a == pytest.approx(b, nan_ok=True)
    assert area_from_weight(shares, [3.0] * 3, THREE) == pytest.approx(shares, nan_ok=True)


def test_without_the_models_view_open_phases_count_equally() -> None:
    area = area_from_weight([OPEN, OPEN, 0.5], [4.0, 8.0, 6.0], THREE)
    assert area[2] == pytest.approx(0.5)


def test_the_uncertainty_is_the_same_in_both_for_two_phases() -> None:
    low, high = (area_from_weight([OPEN, w], [7.8, 5.7], STEEL)[1] for w in (0.1, 0.2))
    step = math.log(high / (1 - high)) - math.log(low / (1 - low))
    assert step == pytest.approx(math.log(0.2 / 0.8) - math.log(0.1 / 0.9))


@pytest.mark.parametrize("missing", [OPEN, 0.0, -1.0, math.inf])
def test_a_phase_with_weight_needs_a_density(missing: float) -> None:
    with pytest.raises(RatioError, match=r"^carbide: weight % needs a density"):
        area_from_weight([OPEN, 0.1], [7.8, missing], STEEL)
    with pytest.raises(RatioError, match=r"^steel: weight % needs a density"):
        area_from_weight([OPEN, 0.1], [missing, 5.7], STEEL)


def test_a_phase_without_weight_needs_none() -> None:
    assert area_from_weight([1.0, 0.0], [7.8, OPEN], STEEL).tolist() == [1, 0]
    assert area_from_weight([1.0, OPEN], [7.8, OPEN], STEEL)[0] == 1
    assert np.isnan(area_from_weight([OPEN, OPEN], [OPEN, OPEN], STEEL)).all()
    area = area_from_weight([OPEN, OPEN, 0.5], [4.0, OPEN, 6.0], THREE, own=[1.0, 0.0, 0.0])
    assert area[2] == pytest.approx((0.5 / 6) / (0.5 / 6 + 0.5 / 4))


def test_weights_that_cannot_be_meant() -> None:
    with pytest.raises(RatioError, match=r"sum to 60\.00 %"):
        area_from_weight([0.3, 0.3], [7.8, 5.7], STEEL)
    with pytest.raises(RatioError, match="3 densities, but 2 phases"):
        area_from_weight([0.3, 0.7], [7.8, 5.7, 1.0], STEEL)
