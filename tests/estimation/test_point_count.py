"""The estimate from named points: against a published example, by hand, and for coverage."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from phaseguide.estimation.point_count import UNCLEAR, UNNAMED, adjusted_areas
from phaseguide.estimation.point_plan import (
    PointCountError,
    PointPlan,
    allocate,
    expected_standard_error,
    propose_points,
)
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])


def plan_of(pixels: list[int], points: list[int], names: tuple[str, ...] = SCHEME.names) -> PointPlan:
    """A plan whose points lie in strata in turn; where they lie does not matter here."""
    strata = np.repeat(np.arange(len(pixels), dtype=np.uint8), points)
    place = np.arange(strata.size)
    scheme = PhaseScheme.from_names(names)
    return PointPlan(place, place, strata, np.array(pixels), (10_000, 10_000), scheme, 0)


def answers_of(table: list[list[int]]) -> list[int]:
    """Answers in the order of `plan_of`, from counts by stratum and answer 0 (unclear), 1..K."""
    return [answer for row in table for answer, count in enumerate(row) for _ in range(count)]


def test_published_example() -> None:
    """Olofsson et al. 2014, section 5: 21,158 ha of deforestation, standard error 3,142 ha, of 900,000 ha."""
    names = ("deforestation", "forest gain", "stable forest", "stable non-forest")
    table = [[0, 66, 0, 5, 4], [0, 0, 55, 8, 12], [0, 1, 0, 153, 11], [0, 2, 1, 9, 313]]
    plan = plan_of([0, 200_000, 150_000, 3_200_000, 6_450_000], [0, 75, 75, 165, 325], names)
    estimate = adjusted_areas(plan, answers_of(table))
    assert estimate.shares[0] * 900_000 == pytest.approx(21_158, abs=1)
    # The paper leaves the stratum without a hit without an error, which makes 0.2 % here.
    assert estimate.standard_error[0] * 900_000 == pytest.approx(3_142, rel=0.003)
    assert estimate.shares.sum() == pytest.approx(1)
    assert estimate.counts.tolist() == [[0, 0, 0, 0], *(row[1:] for row in table)]


def test_a_stratum_without_a_hit_or_with_nothing_else() -> None:
    plan = plan_of([0, 600, 400, 0], [0, 10, 8, 0])
    estimate = adjusted_areas(plan, [1] * 10 + [2] * 7 + [1])
    assert estimate.shares == pytest.approx([0.6 + 0.4 / 8, 0.4 * 7 / 8, 0])
    hit = 0.4**2 * (1 / 8) * (7 / 8) / 7
    for k, q1, hit2 in ((0, 11 / 12, hit), (1, 1 / 12, hit), (2, 1 / 12, 0.4**2 * 0.1 * 0.9 / 7)):
        expected = 0.6**2 * q1 * (1 - q1) / 9 + hit2
        assert estimate.standard_error[k] ** 2 == pytest.approx(expected)


def test_all_points_right_still_leaves_an_error() -> None:
    plan = plan_of([0, 900, 80, 20], [0, 40, 12, 8])
    estimate = adjusted_areas(plan, plan.strata)
    assert estimate.shares == pytest.approx(estimate.map_shares)
    assert (estimate.standard_error > 0.005).all()
    assert (estimate.low <= estimate.shares).all() and (estimate.shares <= estimate.high).all()
    assert (estimate.low >= 0).all() and (estimate.high <= 1).all()
    assert estimate.notes == ()


def test_not_classified_pixels_are_a_stratum_of_their_own() -> None:
    plan = plan_of([500, 500, 0, 0], [10, 10, 0, 0])
    estimate = adjusted_areas(plan, [2] * 5 + [3] * 5 + [1] * 10)
    assert estimate.shares == pytest.approx([0.5, 0.25, 0.25])
    assert estimate.map_shares == pytest.approx([0.5, 0, 0])


def test_unclear_points_are_left_out_and_bounded() -> None:
    plan = plan_of([0, 500, 300, 200], [0, 20, 20, 10])
    table = [[0, 0, 0, 0], [4, 15, 1, 0], [5, 0, 15, 0], [10, 0, 0, 0]]
    given = np.array(answers_of(table))
    estimate = adjusted_areas(plan, given)
    named = given != UNCLEAR
    left = dataclasses.replace(
        plan, strata=plan.strata[named], rows=plan.rows[named], columns=plan.columns[named]
    )
    assert estimate.shares == pytest.approx(adjusted_areas(left, given[named]).shares)
    for k in range(3):
        every = adjusted_areas(plan, np.where(named, given, k + 1)).shares[k]
        none = adjusted_areas(plan, np.where(named, given, (k + 1) % 3 + 1)).shares[k]
        assert (estimate.lowest[k], estimate.highest[k]) == pytest.approx((none, every))
    assert "19 of 50 points were unclear" in estimate.notes[0]
    assert "'carbide' (20.0 % of the area)" in estimate.notes[1]
    assert estimate.standard_error[2] >= 0.2 * 0.5, "nothing is known of a fifth of the area"
    assert estimate.unclear.tolist() == [0, 4, 5, 10]


def test_an_unfinished_count_is_evaluated_and_said() -> None:
    plan = plan_of([0, 500, 500, 0], [0, 20, 20, 0])
    given = np.where(np.arange(40) % 2 == 0, plan.strata.astype(int), UNNAMED)
    estimate = adjusted_areas(plan, given)
    assert estimate.named == 20 and "20 of 40 points are not named yet" in estimate.notes[0]
    assert (estimate.standard_error > adjusted_areas(plan, plan.strata).standard_error).all()


def test_uncertainty_is_the_error_of_the_log_ratio() -> None:
    plan = plan_of([0, 900, 80, 20], [0, 40, 12, 8])
    given = np.array(plan.strata)
    given[[0, 45]] = 2, 1
    estimate = adjusted_areas(plan, given)
    for share, error, u in zip(estimate.shares, estimate.standard_error, estimate.uncertainty, strict=True):
        step = 1e-6
        slope = (np.log((share + step) / (1 - share - step)) - np.log(share / (1 - share))) / step
        assert u == pytest.approx(error * slope, rel=1e-3)
    absent = adjusted_areas(plan_of([0, 500, 500, 0], [0, 20, 20, 0]), [1] * 20 + [2] * 20)
    assert np.isfinite(absent.uncertainty).all()


@pytest.mark.parametrize("answers", [[1, 2], [1] * 17 + [4], [1] * 17 + [-2]])
def test_answers_that_do_not_belong(answers: list[int]) -> None:
    with pytest.raises(PointCountError, match="answer"):
        adjusted_areas(plan_of([0, 600, 400, 0], [0, 10, 8, 0]), answers)


def test_nothing_named() -> None:
    with pytest.raises(PointCountError, match="Name some points"):
        adjusted_areas(plan_of([0, 600, 400, 0], [0, 10, 8, 0]), [UNCLEAR] * 9 + [UNNAMED] * 9)


def blobs(
    seed: int, shares: tuple[float, ...], shape: tuple[int, int] = (90, 110)
) -> tuple[np.ndarray, np.ndarray]:
    """A true map, and one that errs as maps do: at boundaries, and by whole islands."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.standard_normal(shape), sigma) for sigma in (4, 2)]
    first, second = (field / field.std() for field in fields)

    def cut(field: np.ndarray) -> np.ndarray:
        return (np.digitize(field, np.quantile(field, np.cumsum(shares)[:-1])) + 1).astype(np.uint8)

    return cut(first), cut(first + 0.35 * second + 0.1)


def test_unbiased_and_covering_on_a_wrong_map() -> None:
    """500 counts of 60 points on a map that is right at four of five pixels and has holes."""
    true, shown = blobs(1, (0.55, 0.35, 0.10))
    shown[:8] = 255
    shown[40:50, 20:60] = 0
    counted = shown != 255
    shares = np.array([(true[counted] == k).mean() for k in (1, 2, 3)])
    assert 0.7 < (true == shown)[counted].mean() < 0.85
    estimates, covered, errors = [], [], []
    for seed in range(500):
        plan = propose_points(shown, SCHEME, 60, seed)
        estimate = adjusted_areas(plan, true[plan.rows, plan.columns])
        estimates.append(estimate.shares)
        errors.append(estimate.standard_error)
        covered.append((estimate.low <= shares) & (shares <= estimate.high))
    spread = np.std(estimates, axis=0)
    assert np.abs(np.mean(estimates, axis=0) - shares) == pytest.approx(
        0, abs=4 * spread.max() / np.sqrt(500)
    )
    assert (np.mean(covered, axis=0) > 0.9).all()
    assert (np.mean(errors, axis=0) > 0.95 * spread).all(), "points that keep apart vary less, not more"
    assert (np.mean(errors, axis=0) < 2 * spread).all()


@pytest.mark.parametrize("count", [50, 100, 200])
def test_the_error_told_in_advance_is_the_error_that_comes(count: int) -> None:
    rng = np.random.default_rng(0)
    pixels = np.array([0, 6820, 2910, 270])
    weights, points = pixels / pixels.sum(), allocate(pixels, count)
    chance = np.zeros((4, 3))
    for i in (1, 2, 3):
        others = np.where(np.arange(1, 4) == i, 0, weights[1:])
        chance[i] = 0.1 * others / others.sum() + 0.9 * (np.arange(1, 4) == i)
    plan = plan_of(pixels.tolist(), points.tolist())
    squared = []
    for _ in range(600):
        given = [k + 1 for i in (1, 2, 3) for k in rng.choice(3, points[i], p=chance[i])]
        squared.append(adjusted_areas(plan, given).standard_error ** 2)
    told = expected_standard_error(pixels, count)
    assert told == pytest.approx(np.sqrt(np.mean(squared, axis=0)), rel=0.03)
    assert (expected_standard_error(pixels, count, right=0.99) < told).all()
