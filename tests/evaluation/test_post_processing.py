"""What another threshold, and opening and closing, make of a map of two phases, and how that is judged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import Predicted
from phaseguide.evaluation.post_processing import PostProcessing, opened_and_closed, over_threshold
from phaseguide.evaluation.ratio_source import RatioSource
from phaseguide.phases import PhaseScheme
from tiny_models import NAMES

ISLANDS = PhaseScheme.from_names(["matrix", "island"])
NONE = RatioSource("none")


def predicted(labels: np.ndarray, repeat: int = 0, scores: np.ndarray | None = None) -> Predicted:
    made: Any = SimpleNamespace(labels=labels, scheme=ISLANDS)
    return Predicted("a", repeat, made, scores)


def test_opening_removes_specks_and_closing_fills_holes() -> None:
    labels = np.ones((60, 80), dtype=np.uint8)
    labels[20:45, 20:45] = 2
    labels[30, 30] = 1
    labels[5, 5:7] = 2
    labels[:, -10:] = 255
    mended = opened_and_closed(labels, 2)
    assert mended[30, 30] == 2 and not (mended[:12] == 2).any()
    assert (mended[:, -10:] == 255).all() and (labels[5, 5:7] == 2).all()
    np.testing.assert_array_equal(opened_and_closed(mended, 2), mended)
    full = np.full((20, 20), 2, dtype=np.uint8)
    np.testing.assert_array_equal(opened_and_closed(full, 3), full)


def test_the_map_after_opening_and_closing_is_judged() -> None:
    truth = np.ones((60, 80), dtype=np.uint8)
    truth[20:45, 20:45] = 2
    found = truth.copy()
    found[5, 5:7] = 2
    opening = PostProcessing(ISLANDS, NONE, radius_px=2)
    assert opening.to_dict() is None
    for repeat in (0, 0, 1, 1):
        opening.see(None, truth, predicted(found, repeat))  # type: ignore[arg-type]
    told = opening.to_dict()
    assert told is not None and told["fp"]["island"] == 0
    assert (told["radius_px"], told["threshold"]) == (2, None)
    mended = confusion_matrix(truth, opened_and_closed(found, 2), 2)
    assert told["tp"]["island"] == 2 * mended[1, 1]
    assert scores_from_confusion(confusion_matrix(truth, found, 2)).fp[1] == 2


def test_a_threshold_is_one_of_the_sigmoid() -> None:
    probability = np.array([[0.1, 0.29, 0.31, 0.5, 0.51, 0.9, 0.9]])
    logit = np.log(probability / (1 - probability))
    scores = np.stack([np.full_like(logit, 7), logit + 7]).astype(np.float32)  # only their difference counts
    labels = np.uint8([[1, 1, 1, 1, 2, 2, 255]])
    assert over_threshold(scores, labels, 0.3).tolist() == [[1, 1, 2, 2, 2, 2, 255]]
    assert over_threshold(scores, labels, 0.8).tolist() == [[1, 1, 1, 1, 1, 2, 255]]
    assert over_threshold(scores, labels, 0.505).tolist() == labels.tolist(), "the map itself"


def test_opening_and_closing_come_after_the_threshold() -> None:
    truth = np.ones((40, 40), dtype=np.uint8)
    truth[10:30, 10:30] = 2
    scores = np.zeros((2, 40, 40), dtype=np.float32)
    scores[1] = np.where(truth == 2, -0.5, -3.0)  # sigmoid 0.38 and 0.05
    scores[1, 3, 3] = 5.0
    map_itself = np.ones_like(truth)
    map_itself[3, 3] = 2
    both = PostProcessing(ISLANDS, NONE, 0.3, 2)
    both.see(None, truth, predicted(map_itself, scores=scores))  # type: ignore[arg-type]
    told = both.to_dict()
    assert told is not None and told["fp"]["island"] == 0 and told["tp"]["island"] > 0.95 * 400
    assert both.describe() == "After a threshold of 0.3 and opening and closing with a disk of radius 2 px"


def test_what_cannot_be_is_refused() -> None:
    steel = PhaseScheme.from_names(NAMES)
    with pytest.raises(PhaseguideError, match=r"Opening .*second of two phases, but the model has 3"):
        PostProcessing(steel, NONE, radius_px=2)
    with pytest.raises(PhaseguideError, match=r"A threshold .*second of two phases, but the model has 3"):
        PostProcessing(steel, NONE, 0.3)
    with pytest.raises(PhaseguideError, match=r"the ratio is expert:0\.1, which moves the threshold itself"):
        PostProcessing(ISLANDS, RatioSource("expert", 0.1), 0.3)
