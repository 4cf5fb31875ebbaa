from __future__ import annotations

import numpy as np
import pytest

from phaseguide.errors import SchemeError
from phaseguide.evaluation.boundary import boundary_f1


def halves(at: int, size: int = 40) -> np.ndarray:
    labels = np.ones((size, size), np.uint8)
    labels[:, at:] = 2
    return labels


def test_equal_maps_are_perfect_and_absent_phases_have_no_score():
    scores = boundary_f1(halves(20), halves(20), 3)
    np.testing.assert_array_equal(scores, [1, 1, np.nan])


@pytest.mark.parametrize(("shift", "expected"), [(0, 1), (1, 1), (2, 1), (3, 0), (8, 0)])
def test_tolerance_is_inclusive(shift, expected):
    np.testing.assert_array_equal(boundary_f1(halves(20), halves(20 + shift), 2), [expected, expected])


def test_wider_tolerance():
    np.testing.assert_array_equal(boundary_f1(halves(20), halves(23), 2, tolerance_px=3), [1, 1])


def test_precision_and_recall_in_one_number():
    true = halves(20)
    predicted = true.copy()
    predicted[:, 5] = 2  # a false lath far from the true boundary
    scores = boundary_f1(true, predicted, 2)
    # Phase 2: boundary 40 px true, found; 80 px predicted (lath 40, edge 40), half of them right.
    assert scores[1] == pytest.approx(2 * 0.5 / 1.5)


def test_phase_in_one_map_only_scores_zero():
    predicted = halves(20)
    predicted[10:15, 5:10] = 3
    scores = boundary_f1(halves(20), predicted, 3)
    assert scores[2] == 0


def test_phase_that_covers_everything():
    full = np.ones((10, 10), np.uint8)
    assert boundary_f1(full, full, 1)[0] == 1
    assert boundary_f1(full, halves(5, 10), 2)[0] == 0


def test_areas_without_true_label_count_for_nothing():
    true, predicted = halves(20), halves(20)
    true[:15], predicted[:15] = 255, 2
    true[30:], predicted[30:] = 0, 1
    np.testing.assert_array_equal(boundary_f1(true, predicted, 2), [1, 1])


def test_shapes_must_agree():
    with pytest.raises(SchemeError, match="shape"):
        boundary_f1(halves(20), halves(20, 41), 2)
