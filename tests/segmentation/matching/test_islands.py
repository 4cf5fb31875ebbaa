from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label as connect

from phaseguide.segmentation.matching import islands
from phaseguide.segmentation.matching.islands import raise_cleaned, remove_small_islands, smooth_scores
from phaseguide.segmentation.matching.match import argmax_labels, match_ratio


def speckled(seed: int = 0, size: int = 40, n_phases: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = smooth_scores(rng.standard_normal((n_phases, size, size)).astype(np.float32), 1.0)
    return argmax_labels(scores)


def smallest_island(labels: np.ndarray) -> int:
    sizes = []
    for phase in set(np.unique(labels)) - {0, 255}:
        parts, _ = connect(labels == phase, structure=np.ones((3, 3)))
        sizes.append(np.bincount(parts.ravel())[1:].min())
    return int(min(sizes))


def test_smoothing_keeps_means_and_dtype_and_can_be_off():
    scores = np.random.default_rng(0).standard_normal((2, 50, 60)).astype(np.float32)
    smooth = smooth_scores(scores, 2.0)
    assert smooth.dtype == np.float32 and smooth.shape == scores.shape
    assert smooth.std() < scores.std() / 3
    assert smooth_scores(scores, 0) is scores
    flat = np.ones((1, 20, 20), np.float32)
    np.testing.assert_allclose(smooth_scores(flat, 3.0), 1, rtol=1e-6)


def test_small_island_takes_the_phase_around_it():
    labels = np.ones((9, 9), np.uint8)
    labels[:, 5:] = 2
    labels[3:5, 4] = 3  # touches phase 1 on the left more often than phase 2
    labels[4, 4] = 1
    labels[7, 7] = 1
    cleaned = remove_small_islands(labels, 4)
    expected = np.ones((9, 9), np.uint8)
    expected[:, 5:] = 2
    np.testing.assert_array_equal(cleaned, expected)
    assert labels[7, 7] == 1  # the input is left alone


def test_diagonal_line_is_one_island():
    labels = np.ones((8, 8), np.uint8)
    np.fill_diagonal(labels, 2)
    np.testing.assert_array_equal(remove_small_islands(labels, 8), labels)
    assert np.all(remove_small_islands(labels, 9) == 1)


def test_nested_islands_go_from_the_outside():
    labels = np.ones((9, 9), np.uint8)
    labels[3:6, 3:6] = 2
    labels[4, 4] = 3
    assert np.all(remove_small_islands(labels, 10) == 1)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_small_is_left_and_a_second_pass_changes_nothing(seed):
    labels = speckled(seed)
    cleaned = remove_small_islands(labels, 12)
    assert smallest_island(cleaned) >= 12
    np.testing.assert_array_equal(remove_small_islands(cleaned, 12), cleaned)


def test_edits_never_change_and_confirm_their_island():
    labels = np.ones((9, 9), np.uint8)
    labels[2, 2:4] = 2
    labels[6, 6:8] = 2
    fixed = np.zeros_like(labels)
    fixed[2, 2] = 2
    cleaned = remove_small_islands(labels, 5, fixed)
    assert np.all(cleaned[2, 2:4] == 2)
    assert np.all(cleaned[6] == 1)


def test_excluded_and_unclassified_neither_change_nor_vote():
    labels = np.full((7, 7), 255, np.uint8)
    labels[3, 3] = 2
    labels[0, 0] = 0
    np.testing.assert_array_equal(remove_small_islands(labels, 5), labels)
    labels[:, 5:] = 1
    labels[3, 4] = 2
    cleaned = remove_small_islands(labels, 5)
    assert cleaned[3, 3] == cleaned[3, 4] == 1
    assert np.count_nonzero(cleaned == 255) == np.count_nonzero(labels == 255)


def test_off_returns_a_copy():
    labels = speckled()
    cleaned = remove_small_islands(labels, 1)
    np.testing.assert_array_equal(cleaned, labels)
    assert cleaned is not labels


def test_settled_scores_hold_the_cleaned_pixels():
    rng = np.random.default_rng(3)
    scores = 2 * smooth_scores(rng.standard_normal((3, 60, 60)).astype(np.float32), 1.5)
    wanted = [0.5, 0.3, 0.2]
    match = match_ratio(scores, wanted)
    cleaned = remove_small_islands(match.labels, 30)
    settled = raise_cleaned(scores, cleaned, match.offsets)
    raised = settled + match.offsets.astype(np.float32)[:, None, None]
    assert np.mean(argmax_labels(raised) != cleaned) < 1e-3  # pixels on the very boundary
    final = match_ratio(settled, wanted)
    np.testing.assert_allclose(final.achieved, wanted, atol=1 / 3600)
    moved = cleaned != match.labels
    assert moved.any()
    np.testing.assert_array_equal(final.labels[moved], cleaned[moved])
    # What cleaning did not touch may still give way.
    assert np.mean(settled != scores) < 0.5 * np.mean(raise_cleaned(scores, cleaned) != scores)


def test_settling_leaves_excluded_pixels_and_the_input_alone():
    scores = np.random.default_rng(0).standard_normal((2, 5, 5)).astype(np.float32)
    before = scores.copy()
    labels = np.full((5, 5), 255, np.uint8)
    np.testing.assert_array_equal(raise_cleaned(scores, labels), scores)
    settled = raise_cleaned(scores, np.ones((5, 5), np.uint8))
    assert np.all(argmax_labels(settled) == 1)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("band", [1, 130, 700])
def test_working_in_bands_changes_nothing(band, monkeypatch):
    scores = np.random.default_rng(1).standard_normal((3, 45, 60)).astype(np.float32)
    labels = speckled(1, 60)[:45]
    fixed = np.zeros_like(labels)
    fixed[10:12] = labels[10:12]

    def results():
        yield smooth_scores(scores, 1.7)
        for min_px in (2, 9, 60):
            cleaned = remove_small_islands(labels, min_px, fixed)
            yield cleaned
            yield raise_cleaned(scores, cleaned, [0.1, -0.2, 0.1])

    whole = list(results())
    monkeypatch.setattr(islands, "_BAND", band)
    for one, other in zip(whole, results(), strict=True):
        np.testing.assert_array_equal(one, other)
