"""Points on a plain grid: every pixel has its chance, and the error that is told holds."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.estimation.point_count import adjusted_areas
from phaseguide.estimation.point_grid import grid_errors, propose_grid
from phaseguide.estimation.point_plan import PointCountError
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "carbide"])


def truth() -> np.ndarray:
    """Blobs of 30 % carbide."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(np.random.default_rng(5).random((150, 240)), 4)
    return np.where(field > np.quantile(field, 0.7), 2, 1)


def test_points_lie_on_a_grid_over_what_is_counted() -> None:
    area = np.zeros((100, 150), dtype=np.uint8)
    area[80:] = 255
    plan = propose_grid(area, SCHEME, 120, seed=3)
    assert abs(len(plan) - 120) <= 20 and (plan.rows < 80).all()
    for axis in (plan.rows, plan.columns):
        assert set(np.diff(np.unique(axis))) <= {10}
    assert len({*zip(plan.rows.tolist(), plan.columns.tolist(), strict=True)}) == len(plan)
    assert plan.pixels.tolist() == [80 * 150, 0, 0] and not plan.strata.any()
    again = propose_grid(area, SCHEME, 120, seed=3)
    assert np.array_equal(plan.rows, again.rows)
    assert not np.array_equal(plan.rows, propose_grid(area, SCHEME, 120, seed=4).rows)


def test_the_estimate_is_unbiased_and_its_interval_covers() -> None:
    """On average right within the error of the mean; the interval of 95 % holds the truth at least as often."""
    labels = truth()
    shares, held = [], 0
    for seed in range(200):
        plan = propose_grid(np.zeros(labels.shape, np.uint8), SCHEME, 100, seed)
        found = adjusted_areas(plan, labels[plan.rows, plan.columns])
        shares.append(found.shares[1])
        held += bool(found.low[1] <= 0.3 <= found.high[1])
    assert np.mean(shares) == pytest.approx(0.3, abs=4 * np.std(shares) / np.sqrt(200))
    assert held >= 188
    assert np.std(shares) <= 1.1 * np.sqrt(0.3 * 0.7 / 100), "a grid is no worse than points drawn alone"


def test_the_error_to_expect_halves_with_four_times_the_points() -> None:
    assert grid_errors(400) == pytest.approx(grid_errors(100) / 2)
    assert grid_errors(100)[1] == pytest.approx(0.05)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(PointCountError, match="Ask for 2 to 100"):
        propose_grid(np.zeros((10, 10), np.uint8), SCHEME, 200, 0)
    with pytest.raises(PointCountError, match="0 px"):
        propose_grid(np.full((10, 10), 255, np.uint8), SCHEME, 5, 0)
