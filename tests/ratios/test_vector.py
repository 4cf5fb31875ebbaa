"""The algebra on phase ratios: shares close to 1, an exact wish is exact, a doubtful one is weighed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseguide.errors import RatioError, SchemeError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import (
    FLOOR,
    GROSS,
    blend_ratios,
    complete_ratio,
    count_labels,
    expert_ratio,
    guess_ratio,
    parse_ratio,
    ratio_from_labels,
    ratio_range,
    total_variation,
    validate_ratio,
)

STEEL = PhaseScheme.from_names(["ferrite", "bainite", "martensite", "retained austenite"])
OPEN = math.nan
Vector = NDArray[np.float64]


def compositions(n: int, smallest: float = 0.0) -> st.SearchStrategy[Vector]:
    """Shares that sum to 1, none below ``smallest``."""
    weights = st.lists(st.floats(0, 1), min_size=n, max_size=n).filter(lambda w: sum(w) > 0.01)
    return weights.map(lambda w: smallest + (1 - n * smallest) * np.array(w) / sum(w))


@st.composite
def asked_ratios(draw: st.DrawFn, n: int = 4) -> Vector:
    """Valid wishes, some phases open."""
    ratio: Vector = draw(compositions(n)).copy()
    is_open = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    ratio[is_open] = OPEN
    if is_open.any():
        ratio *= draw(st.floats(0, 1))
    return ratio


# --- parsing and checking ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [OPEN, OPEN, OPEN, OPEN]),
        ("ferrite=0.2, martensite=15%", [0.2, OPEN, 0.15, OPEN]),
        ("3 = 15 %; Retained_Austenite: .05", [OPEN, OPEN, 0.15, 0.05]),
        ("1=1e-1,", [0.1, OPEN, OPEN, OPEN]),
        ("ferrite=0", [0, OPEN, OPEN, OPEN]),
        ("ferrite=100%", [1, OPEN, OPEN, OPEN]),
        ("1=33.3%,2=33.3%,3=33.3%,4=0", [1 / 3, 1 / 3, 1 / 3, 0]),
    ],
)
def test_parse(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(parse_ratio(text, STEEL), expected)


@given(asked_ratios())
def test_parse_round_trip(ratio: Vector) -> None:
    for text in (
        ",".join(f"{p.name}={s!r}" for p, s in zip(STEEL, ratio.tolist(), strict=True) if not math.isnan(s)),
        ";".join(f"{p.label}={s * 100!r}%" for p, s in zip(STEEL, ratio.tolist(), strict=True) if s == s),
    ):
        np.testing.assert_allclose(parse_ratio(text, STEEL), ratio, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ferrite", "'ferrite' is not understood"),
        ("ferrite=", "not understood"),
        ("ferrite=abc", "not understood"),
        ("ferrite=.", "not understood"),
        ("ferrite=nan", "not understood"),
        ("ferrite=0,2", "0.2 with a point"),
        ("pearlite=0.2", "Unknown phase 'pearlite'.*1 ferrite, 2 bainite"),
        ("ferrite=0.2,1=0.2", "'ferrite' has two values"),
        ("ferrite=15", "Write 15% for percent"),
        ("ferrite=-0.1", "ferrite: -10 %"),
        ("bainite=101%", "bainite: 101 %"),
        ("ferrite=60%,bainite=50%", r"sum to 110\.00 %"),
        ("1=.2,2=.2,3=.2,4=.2", r"All phases are set.*80\.00 %"),
    ],
)
def test_parse_refuses_with_the_phase_and_the_remedy(text: str, reason: str) -> None:
    with pytest.raises(RatioError, match=reason):
        parse_ratio(text, STEEL)


@given(asked_ratios())
def test_a_valid_ratio_passes_unchanged(ratio: Vector) -> None:
    np.testing.assert_allclose(validate_ratio(ratio, STEEL), ratio, atol=1e-12)


@given(compositions(4), st.floats(-0.004, 0.004))
def test_rounding_is_scaled_away(ratio: Vector, error: float) -> None:
    assert validate_ratio(ratio * (1 + error), STEEL).sum() == pytest.approx(1)


def test_validate_copies_and_refuses() -> None:
    asked = np.array([0.502, 0.502, OPEN, OPEN])
    checked = validate_ratio(asked, STEEL)
    assert asked[0] == 0.502
    assert np.nansum(checked) == pytest.approx(1)
    with pytest.raises(RatioError, match=r"2 values.*4 phases: 1 ferrite"):
        validate_ratio([0.5, 0.5], STEEL)
    with pytest.raises(RatioError, match="martensite: inf %"):
        validate_ratio([OPEN, OPEN, math.inf, OPEN], STEEL)


# --- completing ---


@given(asked_ratios(), compositions(4))
def test_completion_closes_to_one_and_keeps_what_was_asked(asked: Vector, own: Vector) -> None:
    full = complete_ratio(asked, own)
    assert full.sum() == pytest.approx(1)
    assert (full >= 0).all()
    set_ = ~np.isnan(asked)
    np.testing.assert_allclose(full[set_], asked[set_], atol=1e-12)


@given(asked_ratios(), compositions(4, smallest=0.01))
def test_open_phases_keep_the_models_proportions(asked: Vector, own: Vector) -> None:
    is_open = np.isnan(asked)
    assume(is_open.any())
    full = complete_ratio(asked, own)
    np.testing.assert_allclose(
        full[is_open] * own[is_open].sum(), own[is_open] * full[is_open].sum(), atol=1e-12
    )


def test_all_open_is_the_models_own_and_unseen_phases_share_equally() -> None:
    np.testing.assert_allclose(complete_ratio([OPEN] * 3, [0.5, 0.3, 0.2]), [0.5, 0.3, 0.2])
    np.testing.assert_allclose(complete_ratio([0.4, OPEN, OPEN], [1, 0, 0]), [0.4, 0.3, 0.3])


# --- blending ---


@given(asked_ratios(), compositions(4), st.floats(0, 3), st.floats(0.01, 3))
def test_blend_is_a_composition(asked: Vector, own: Vector, uncertainty: float, own_error: float) -> None:
    imposed = blend_ratios(asked, own, uncertainty, own_error)
    assert imposed.sum() == pytest.approx(1)
    assert (imposed >= 0).all()


@given(asked_ratios(), compositions(4), st.floats(0.01, 3))
def test_no_uncertainty_imposes_exactly_what_was_asked(asked: Vector, own: Vector, own_error: float) -> None:
    np.testing.assert_array_equal(blend_ratios(asked, own, 0, own_error), complete_ratio(asked, own))


@given(asked_ratios(), compositions(4), st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=4, max_size=4))
def test_single_exact_phases_are_exact(asked: Vector, own: Vector, uncertainty: list[float]) -> None:
    exact = np.array(uncertainty) == 0
    imposed = blend_ratios(asked, own, uncertainty, 0.3)
    assert imposed.sum() == pytest.approx(1)
    exact &= ~np.isnan(asked)
    np.testing.assert_allclose(imposed[exact], complete_ratio(asked, own)[exact], atol=1e-12)


@given(asked_ratios(), compositions(4), st.floats(0, 3), st.lists(st.floats(0.05, 1), min_size=4, max_size=4))
def test_open_phases_keep_the_models_own_proportions(
    asked: Vector, own: Vector, uncertainty: float, own_error: list[float]
) -> None:
    imposed, is_open = blend_ratios(asked, own, uncertainty, own_error), np.isnan(asked)
    if own[is_open].sum() > 0:
        proportions = own[is_open] / own[is_open].sum()
        np.testing.assert_allclose(imposed[is_open], proportions * imposed[is_open].sum(), atol=1e-9)


def test_a_phase_that_nobody_sees_is_not_imposed() -> None:
    assert blend_ratios([0.6, OPEN, OPEN], [0.5, 0.5, 0], 0.1, 0.3)[2] == 0
    assert blend_ratios([0.6, 0.4, 0], [0.5, 0.5, 0], 0.1, 0.3)[2] == 0


@given(compositions(4), compositions(4), st.floats(0.01, 3))
def test_a_worthless_value_imposes_the_models_own(asked: Vector, own: Vector, own_error: float) -> None:
    np.testing.assert_allclose(blend_ratios(asked, own, 1e6, own_error), own, atol=1e-6)


@given(compositions(4, smallest=FLOOR), st.floats(0, 3), st.floats(0.01, 3))
def test_agreement_changes_nothing(own: Vector, uncertainty: float, own_error: float) -> None:
    np.testing.assert_allclose(blend_ratios(own, own, uncertainty, own_error), own, atol=1e-12)


@given(
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
    compositions(4, smallest=0.01),
    st.floats(0, 3),
    st.floats(0.01, 3),
)
def test_one_asked_phase_lands_between_and_rises_with_the_wish(
    low: float, high: float, own: Vector, uncertainty: float, own_error: float
) -> None:
    low, high = sorted((low, high))
    imposed = [blend_ratios([a, OPEN, OPEN, OPEN], own, uncertainty, own_error)[0] for a in (low, high)]
    assert imposed[0] <= imposed[1] + 1e-12
    # the floor of 0.1 pp on the other phases can move it by no more than three floors
    slack = 3 * FLOOR
    for asked, got in zip((low, high), imposed, strict=True):
        assert min(asked, own[0]) - slack <= got <= max(asked, own[0]) + slack


@given(st.floats(0.02, 0.98), compositions(4, smallest=0.02), st.floats(0.01, 3))
def test_more_doubt_moves_it_towards_the_model(asked: float, own: Vector, uncertainty: float) -> None:
    wish = [asked, OPEN, OPEN, OPEN]
    sure, unsure = (blend_ratios(wish, own, u, 0.3)[0] for u in (uncertainty, 2 * uncertainty))
    assert abs(unsure - own[0]) <= abs(sure - own[0]) + 3 * FLOOR


def test_equal_trust_is_the_geometric_mean() -> None:
    imposed = blend_ratios([0.49, 0.51], [0.5, 0.5], 0.1, 0.1)
    assert imposed[0] / imposed[1] == pytest.approx(math.sqrt(0.49 / 0.51 * 0.5 / 0.5))


def test_an_absurd_wish_moves_no_farther_than_a_gross_one() -> None:
    own, far = [0.1, 0.9], GROSS * 0.3**2 / 0.2
    absurd = [blend_ratios([a, OPEN], own, 0.2, 0.3)[0] for a in (0.4, 0.7, 0.95)]
    assert all(a == pytest.approx(absurd[0], rel=0.5) for a in absurd)
    odds = absurd[-1] / (1 - absurd[-1])
    assert math.log(odds / (0.1 / 0.9)) <= 2 * far + 1e-9  # the phase up and the rest down
    # A user who is sure is not held back as far, and one who is certain not at all.
    sure, certain = blend_ratios([0.7, OPEN], own, 0.05, 0.3)[0], blend_ratios([0.7, OPEN], own, 0.0, 0.3)[0]
    assert absurd[1] < sure < certain == pytest.approx(0.7)


@pytest.mark.parametrize("uncertainty", [-0.1, math.nan, math.inf, [0.1, -0.1]])
def test_negative_uncertainty(uncertainty: float | list[float]) -> None:
    with pytest.raises(RatioError, match="uncertainty"):
        blend_ratios([0.5, 0.5], [0.5, 0.5], uncertainty, 0.3)


@given(st.floats(0, 1), st.floats(0, 3))
def test_range_contains_the_value_and_stays_in_bounds(share: float, uncertainty: float) -> None:
    low, high = ratio_range(share, uncertainty)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_range_of_a_small_share_is_about_its_relative_error() -> None:
    low, high = ratio_range(0.02, 0.1)
    assert low == pytest.approx(0.02 * math.exp(-0.1), rel=0.01)
    assert high == pytest.approx(0.02 * math.exp(0.1), rel=0.01)
    assert ratio_range(0.3, 0) == (pytest.approx(0.3), pytest.approx(0.3))
    assert ratio_range(0.0, 1) == (0, 0)


# --- from labels ---


def test_ratio_from_labels_leaves_out_zero_and_excluded() -> None:
    labels = np.array([[0, 0, 255, 1], [1, 2, 2, 2]], np.uint8)
    ratio = ratio_from_labels(labels, 3)
    assert ratio is not None
    np.testing.assert_allclose(ratio, [0.4, 0.6, 0])
    assert ratio_from_labels(np.array([0, 255]), 3) is None
    assert ratio_from_labels(np.zeros((0, 4), np.uint8), 3) is None


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.sampled_from(["u1", "i2", "i8", "u4"]))
def test_count_labels_whatever_the_type(values: list[int], dtype: str) -> None:
    counts = count_labels(np.array(values, dtype))
    assert counts.shape == (256,)
    assert counts.sum() == len(values)
    assert counts[values[0]] == values.count(values[0])


@pytest.mark.parametrize("values", [[-1, 3], [0, 256]])
def test_count_labels_out_of_range(values: list[int]) -> None:
    with pytest.raises(SchemeError, match=r"0\.\.255; these run from"):
        count_labels(values)


@given(compositions(4), compositions(4))
def test_total_variation(a: Vector, b: Vector) -> None:
    assert 0 <= total_variation(a, b) <= 1 + 1e-12
    assert total_variation(a, b) == pytest.approx(total_variation(b, a))
    assert total_variation(a, a) == 0


# --- simulated users ---


@given(compositions(4), st.floats(0, 1), st.integers(0, 99))
def test_expert_is_a_valid_ratio_with_absent_phases_open(true: Vector, error: float, seed: int) -> None:
    expert = expert_ratio(true, error, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.isnan(expert), true == 0)
    assert np.nansum(expert) == pytest.approx(1)
    validate_ratio(expert, STEEL)


def test_expert_has_the_error_it_is_said_to_have() -> None:
    rng = np.random.default_rng(0)
    true = np.array([0.5, 0.3, 0.2])
    drawn = np.log([expert_ratio(true, 0.1, rng) for _ in range(4000)])
    log_ratio = drawn[:, 0] - drawn[:, 1]
    assert log_ratio.std() == pytest.approx(0.1 * math.sqrt(2), rel=0.05)
    assert log_ratio.mean() == pytest.approx(math.log(0.5 / 0.3), abs=0.01)
    np.testing.assert_allclose(expert_ratio(true, 0, rng), true)


@given(compositions(4), st.floats(0, 1))
def test_guess_is_a_composition_that_misses_by_its_formula(true: Vector, accuracy: float) -> None:
    guess = guess_ratio(true, accuracy)
    assert guess.sum() == pytest.approx(1)
    assert (guess >= 0).all()
    np.testing.assert_allclose(guess, accuracy * true + (1 - accuracy) * (1 - true) / 3, atol=1e-12)


def test_guess_of_one_phase_is_that_phase() -> None:
    np.testing.assert_array_equal(guess_ratio([1.0], 0.5), [1.0])


@pytest.mark.parametrize("text", ["1=17,5%", "1=0,175", "1=17,5%, 2=3%", "2=3%; 1: 17,5 %"])
def test_a_decimal_comma_is_told_from_a_separator(text: str) -> None:
    with pytest.raises(RatioError, match="with a point"):
        parse_ratio(text, PhaseScheme.from_names(["a", "b", "c", "d"]))
