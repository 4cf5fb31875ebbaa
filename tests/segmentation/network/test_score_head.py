"""The score head: what it weighs, that strips do not show, and that it makes scores comparable."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from phaseguide.models.card import ScoreHeadCard
from phaseguide.segmentation.network import score_head
from phaseguide.segmentation.network.score_head import (
    calibrate_scores,
    calibrated_image,
    head_inputs,
    recalibrated,
)
from phaseguide.segmentation.network.scratch import scratch_array
from phaseguide.training.crossfit.score_fit import HeadSample, fit_head

RNG = np.random.default_rng(0)
SCORES = RNG.normal(0, 2, (3, 70, 50)).astype(np.float32)
IMAGE = RNG.normal(0, 0.5, (70, 50)).astype(np.float32)


def head(sigmas: list[float], seed: int = 1) -> ScoreHeadCard:
    rng = np.random.default_rng(seed)
    columns = 3 + 1 + 2 * len(sigmas)
    return ScoreHeadCard(
        sigmas=sigmas, weights=rng.normal(0, 1, (3, columns)).tolist(), bias=[0.1, -0.2, 0.0]
    )


def test_the_inputs_are_log_probabilities_then_the_image_and_its_surroundings() -> None:
    maps = list(head_inputs(SCORES, IMAGE, head([2.0])))
    assert len(maps) == 6
    assert np.exp(maps[0]) + np.exp(maps[1]) + np.exp(maps[2]) == pytest.approx(
        1, abs=2e-3
    )  # but for the floor
    assert maps[3] is IMAGE
    assert np.allclose(maps[4], gaussian_filter(IMAGE, 2.0, truncate=3.0), atol=1e-5)
    assert (maps[5] >= 0).all()


def test_a_head_that_passes_the_scores_on_changes_no_label() -> None:
    same = ScoreHeadCard(sigmas=[], weights=np.eye(3, 4).tolist(), bias=[0, 0, 0], floor=-50)
    assert np.array_equal(calibrate_scores(SCORES, IMAGE, same).argmax(0), SCORES.argmax(0))


def test_strips_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_head, "_STRIP", 16)
    some = head([1.0, 3.0])
    whole = calibrate_scores(SCORES, IMAGE, some)
    assert np.allclose(calibrated_image(SCORES, lambda rows: IMAGE[rows], some), whole, atol=1e-4)
    on_disk = scratch_array(SCORES.shape)
    on_disk[:] = SCORES
    result = calibrated_image(on_disk, lambda rows: IMAGE[rows], some)
    assert isinstance(result, np.memmap) and np.allclose(result, whole, atol=1e-4)


def test_other_scores_of_the_same_image_need_no_second_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_head, "_STRIP", 16)
    some = head([1.0, 3.0])
    other = SCORES + RNG.normal(0, 1, SCORES.shape).astype(np.float32)
    quick = recalibrated(SCORES, calibrate_scores(SCORES, IMAGE, some), other, some)
    assert np.allclose(quick, calibrate_scores(other, IMAGE, some), atol=1e-4)


def test_weights_of_another_size_are_refused() -> None:
    with pytest.raises(ValidationError, match="score head"):
        ScoreHeadCard(sigmas=[1.0], weights=[[1.0, 2.0]], bias=[0.0])


@pytest.mark.parametrize("n_phases", [2, 3])
def test_a_fitted_head_reads_as_probabilities_where_the_network_was_too_sure(n_phases: int) -> None:
    rng = np.random.default_rng(3)

    def draw(count: int) -> HeadSample:
        logits = rng.normal(0, 1.5, (count, n_phases))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        phases = (rng.random((count, 1)) > p.cumsum(1)).sum(1) + 1
        sure = 4 * logits
        sure -= np.log(np.exp(sure).sum(1, keepdims=True))
        rest = rng.normal(0, 1, (count, 1 + 10))
        return HeadSample(np.hstack((np.maximum(sure, -8), rest)).astype(np.float32), phases.astype(np.uint8))

    fitted = fit_head([draw(4000), draw(4000)], n_phases)
    assert fitted is not None
    fresh = draw(4000)

    def loss(scores: np.ndarray) -> float:
        scores = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        return -float(scores[np.arange(len(scores)), fresh.phases - 1].mean())

    after = fresh.inputs @ np.array(fitted.weights).T + fitted.bias
    assert loss(after) < 0.7 * loss(fresh.inputs[:, :n_phases])


def test_no_head_where_a_phase_was_never_seen() -> None:
    one = HeadSample(np.zeros((5, 14), dtype=np.float32), np.ones(5, dtype=np.uint8))
    assert fit_head([one], 3) is None and fit_head([], 3) is None
