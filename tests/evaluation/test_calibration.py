"""The error of a model's own composition."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.evaluation.calibration import own_error, own_variation


def test_it_is_the_error_of_the_log_ratio_of_phase_to_rest() -> None:
    odds = np.array([[0.25], [1.0], [4.0]])
    true = np.hstack([odds / (1 + odds), 1 / (1 + odds)])
    wrong = np.hstack([odds * np.exp(0.2) / (1 + odds * np.exp(0.2)), 1 / (1 + odds * np.exp(0.2))])
    assert own_error(wrong, true) == pytest.approx([0.2, 0.2])
    assert own_error(true, true) == pytest.approx([0, 0])


def test_images_without_a_phase_say_nothing_of_it_and_priors_count_as_images() -> None:
    true = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    own = np.array([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1]])
    assert own_error(own, true) == pytest.approx([0, 0, 0.3])
    assert own_error(own, true, prior_images=3) == pytest.approx([0.3 * np.sqrt(3 / 4)] * 2 + [0.3])


def test_nearly_all_images_stay_below_the_usual_variation() -> None:
    true = np.full((100, 2), 0.5)
    own = true + np.linspace(0, 0.2, 100)[:, None] * [1, -1]
    assert own_variation(own, true) == pytest.approx(0.19, abs=0.002)
