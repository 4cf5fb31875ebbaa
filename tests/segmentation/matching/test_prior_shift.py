"""Prior-shift expectation-maximisation on scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.segmentation.matching.prior_shift import prior_shift


def scores_of(shares: list[float], prior: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Exact log posteriors under ``prior`` of pixels whose grey value is normal about its phase number."""
    rng = np.random.default_rng(seed)
    phases = rng.choice(len(shares), (200, 200), p=shares)
    grey = phases + rng.normal(0, 0.6, phases.shape)
    likelihood = -0.5 * ((grey - np.arange(len(shares))[:, None, None]) / 0.6) ** 2
    return likelihood + np.log(prior)[:, None, None], np.bincount(phases.ravel()) / phases.size


@pytest.mark.parametrize("shares", [[0.1, 0.2, 0.7], [0.6, 0.35, 0.05], [1 / 3, 1 / 3, 1 / 3]])
def test_it_finds_a_composition_far_from_the_prior(shares: list[float]) -> None:
    prior = [0.3, 0.4, 0.3]
    scores, true = scores_of(shares, prior)
    found = prior_shift(scores, prior)
    plain = np.bincount(scores.argmax(0).ravel(), minlength=3) / scores[0].size
    assert np.abs(found - true).max() < 0.02
    assert np.abs(found - true).sum() <= np.abs(plain - true).sum() + 0.005
    assert prior_shift(scores + 5.0, prior) == pytest.approx(found), "a constant means nothing"


def test_excluded_pixels_have_no_say() -> None:
    prior = [0.3, 0.4, 0.3]
    scores, _ = scores_of([0.1, 0.2, 0.7], prior)
    spoilt = scores.copy()
    spoilt[:, :80] = np.array([50.0, 0, 0])[:, None, None]
    excluded = np.zeros(scores.shape[1:], dtype=bool)
    excluded[:80] = True
    assert prior_shift(spoilt, prior, excluded) == pytest.approx(prior_shift(scores[:, 80:], prior), abs=0.01)
