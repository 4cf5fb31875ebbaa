from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics

from phaseguide.errors import SchemeError
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.phases import PhaseScheme


def maps(seed: int = 0, n_phases: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(1, n_phases + 1, (30, 40)).astype(np.uint8)
    predicted = np.where(rng.random(true.shape) < 0.7, true, rng.integers(1, n_phases + 1, true.shape))
    return true, predicted.astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed):
    true, predicted = maps(seed)
    t, p, labels = true.ravel(), predicted.ravel(), [1, 2, 3, 4]
    table = confusion_matrix(true, predicted, 4)
    assert table.dtype == np.int64 and table.shape == (4, 5)
    np.testing.assert_array_equal(table[:, :4], metrics.confusion_matrix(t, p, labels=labels))
    assert not table[:, 4].any()
    scores = scores_from_confusion(table)
    np.testing.assert_allclose(scores.dice, metrics.f1_score(t, p, labels=labels, average=None))
    np.testing.assert_allclose(scores.iou, metrics.jaccard_score(t, p, labels=labels, average=None))
    assert scores.dice_mean == pytest.approx(metrics.f1_score(t, p, average="macro"))
    assert scores.miou == pytest.approx(metrics.jaccard_score(t, p, average="macro"))
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(t, p))
    assert scores.micro_iou == pytest.approx(metrics.jaccard_score(t, p, average="micro"))
    share = [np.mean(p == k) - np.mean(t == k) for k in labels]
    np.testing.assert_allclose(scores.fraction_error, share, atol=1e-12)
    assert scores.fraction_mae == pytest.approx(np.mean(np.abs(share)))
    assert scores.total_variation == pytest.approx(np.sum(np.abs(share)) / 2)


def test_unlabelled_and_excluded_pixels_are_ignored():
    true = np.uint8([[1, 2, 0, 255]])
    predicted = np.uint8([[1, 2, 1, 2]])
    table = confusion_matrix(true, predicted, 2)
    np.testing.assert_array_equal(table, [[1, 0, 0], [0, 1, 0]])


def test_predicting_nothing_is_wrong():
    true = np.uint8([[1, 1, 1, 2]])
    predicted = np.uint8([[1, 0, 255, 2]])
    table = confusion_matrix(true, predicted, 2)
    np.testing.assert_array_equal(table, [[1, 0, 2], [0, 1, 0]])
    scores = scores_from_confusion(table)
    assert scores.accuracy == 0.5
    np.testing.assert_allclose(scores.iou, [1 / 3, 1])
    np.testing.assert_allclose(scores.fraction_error, [-0.5, 0])
    assert scores.total_variation == 0.5


def test_absent_phases_have_no_score_but_false_ones_have():
    true, predicted = np.full((4, 4), 1, np.uint8), np.full((4, 4), 1, np.uint8)
    predicted[0] = 3
    scores = scores_from_confusion(confusion_matrix(true, predicted, 3))
    assert math.isnan(scores.dice[1]) and math.isnan(scores.iou[1])
    assert scores.dice[2] == 0
    assert scores.dice_mean == pytest.approx((2 * 12 / 28 + 0) / 2)


def test_pooling_is_adding():
    pairs = [maps(1), maps(2)]
    total = sum(confusion_matrix(t, p, 4) for t, p in pairs)
    both = confusion_matrix(*(np.concatenate(x) for x in zip(*pairs, strict=True)), 4)
    np.testing.assert_array_equal(total, both)


def test_nothing_labelled_gives_no_numbers():
    blank = np.zeros((3, 3), np.uint8)
    scores = scores_from_confusion(confusion_matrix(blank, blank, 2))
    numbers = scores.to_dict(PhaseScheme.from_names(["a", "b"]))
    assert numbers["accuracy"] is None and numbers["miou"] is None and numbers["total_variation"] is None


def test_dictionary_is_named_and_json_without_nan():
    true, predicted = np.full((4, 4), 1, np.uint8), np.full((4, 4), 1, np.uint8)
    predicted[0] = 2
    scheme = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])
    numbers = scores_from_confusion(confusion_matrix(true, predicted, 3)).to_dict(scheme)
    assert numbers["dice"] == {"ferrite": pytest.approx(24 / 28), "pearlite": 0.0, "carbide": None}
    assert numbers["fraction_error_pp"]["ferrite"] == pytest.approx(-25)
    assert numbers["fraction_mae_pp"] == pytest.approx(50 / 3)
    json.dumps(numbers, allow_nan=False)


def test_maps_that_do_not_fit():
    true, predicted = maps()
    with pytest.raises(SchemeError, match="shape"):
        confusion_matrix(true, predicted[1:], 4)
    with pytest.raises(SchemeError, match="label 4"):
        confusion_matrix(true, np.minimum(predicted, 3), 3)
    with pytest.raises(SchemeError, match="outside"):
        confusion_matrix(true, predicted.astype(int) + 300, 4)


def test_pixels_predicted_as_none_are_in_the_union_once():
    rng = np.random.default_rng(0)
    true, predicted = maps()
    predicted = np.where(rng.random(true.shape) < 0.2, rng.choice([0, 255], true.shape), predicted)
    scores = scores_from_confusion(confusion_matrix(true, predicted.astype(np.uint8), 4))
    hit = sum(((true == k) & (predicted == k)).sum() for k in range(1, 5))
    union = sum(((true == k) | (predicted == k)).sum() for k in range(1, 5))
    assert scores.micro_iou == pytest.approx(hit / union)
