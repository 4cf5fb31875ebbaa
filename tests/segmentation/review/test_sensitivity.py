"""Boundaries one pixel in and out, against plain morphology."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, binary_erosion

from phaseguide.phases import EXCLUDED
from phaseguide.segmentation.review import sensitivity
from phaseguide.segmentation.review.sensitivity import boundary_sensitivity


def by_morphology(labels: np.ndarray, n_phases: int) -> tuple[list[float], list[float]]:
    known = (labels > 0) & (labels <= n_phases)
    low, high = [], []
    for k in range(1, n_phases + 1):
        phase = labels == k
        # What is no phase, and what lies outside the image, takes nothing from a phase.
        low.append(np.count_nonzero(binary_erosion(phase | ~known, border_value=1) & phase))
        high.append(np.count_nonzero(binary_dilation(phase) & known))
    total = max(np.count_nonzero(known), 1)
    return [n / total for n in low], [n / total for n in high]


maps = arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 1, 1, 2, 2, 3, EXCLUDED]),
)


@given(labels=maps)
def test_it_is_what_erosion_and_dilation_give(labels: np.ndarray) -> None:
    low, high = boundary_sensitivity(labels, 3)
    assert (low.tolist(), high.tolist()) == by_morphology(labels, 3)


@given(labels=maps)
def test_the_share_lies_between(labels: np.ndarray) -> None:
    low, high = boundary_sensitivity(labels, 3)
    counts = np.array([np.count_nonzero(labels == k) for k in (1, 2, 3)])
    share = counts / max(counts.sum(), 1)
    assert (low <= share).all() and (share <= high).all() and (high <= 1).all()


def test_many_strips_count_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (37, 20)).astype(np.uint8)
    whole = boundary_sensitivity(labels, 3)
    monkeypatch.setattr(sensitivity, "STRIP_PX", 60)
    assert np.array_equal(boundary_sensitivity(labels, 3), whole)


def test_a_fine_phase_is_known_to_forty_per_cent_only() -> None:
    """Squares of 10 px: 100 px each, 140 when dilated, 64 when eroded."""
    labels = np.ones((120, 120), dtype=np.uint8)
    for top in range(5, 120, 20):
        for left in range(5, 120, 20):
            labels[top : top + 10, left : left + 10] = 2
    share = np.mean(labels == 2)
    low, high = boundary_sensitivity(labels, 2)
    assert high[1] / share == pytest.approx(1.40)
    assert low[1] / share == pytest.approx(0.64)


def test_the_frame_and_excluded_pixels_are_no_boundary() -> None:
    labels = np.full((20, 30), 1, dtype=np.uint8)
    labels[:, 20:] = EXCLUDED
    low, high = boundary_sensitivity(labels, 2)
    assert low.tolist() == high.tolist() == [1, 0]
    labels[:, 10:20] = 2
    low, high = boundary_sensitivity(labels, 2)
    assert low == pytest.approx([0.45, 0.45]) and high == pytest.approx([0.55, 0.55])


def test_nothing_classified_gives_zeros() -> None:
    low, high = boundary_sensitivity(np.zeros((4, 4), np.uint8), 3)
    assert low.tolist() == high.tolist() == [0, 0, 0]
