"""Boosted trees: the term of the area shares pulls the map to them, has the gradient it says, and repeats itself."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.errors import PhaseguideError
from phaseguide.ratios import ratio_from_labels
from phaseguide.studies.finetune.random_forest import Features, pixel_features
from phaseguide.studies.finetune.simulated_user import first_strokes
from phaseguide.studies.named.peers.boosted import BoostedTrees, BoostingOptions, _share_term, _softmax

QUICK = BoostingOptions(rounds=20, depth=3, pixels=2000)


@pytest.fixture(scope="module")
def blurred() -> tuple[Features, np.ndarray, np.ndarray]:
    """Features, strokes and truth of an image whose brightness grows from left to right, so that no border shows."""
    rng = np.random.default_rng(0)
    truth = np.ones((64, 96), np.uint8)
    truth[:, 72:] = 2
    image = np.clip(np.linspace(60, 200, 96) + rng.normal(0, 8, truth.shape), 0, 255).astype(np.uint8)
    marks = np.zeros_like(truth)
    marks[10:20, 4:24], marks[10:20, 74:94] = 1, 2
    return pixel_features(image), marks, truth


def shares(features: Features, marks: np.ndarray, wanted: list[float], weight: float = 10.0) -> np.ndarray:
    trees = BoostedTrees(2, QUICK, weight=weight)
    trees.fit(features, marks, np.array(wanted))
    found = ratio_from_labels(trees.predict(features), 2)
    assert found is not None
    return found


def test_the_map_follows_the_stated_shares(blurred: tuple[Features, np.ndarray, np.ndarray]) -> None:
    features, marks, _ = blurred
    few, many = (shares(features, marks, [1 - s, s])[1] for s in (0.25, 0.75))
    assert abs(few - 0.25) < 0.1 and abs(many - 0.75) < 0.1


def test_the_true_shares_make_the_map_better(blurred: tuple[Features, np.ndarray, np.ndarray]) -> None:
    features, marks, truth = blurred
    right = []
    for wanted in (None, ratio_from_labels(truth, 2)):
        trees = BoostedTrees(2, QUICK, weight=10.0)
        trees.fit(features, marks, wanted)
        right.append((trees.predict(features) == truth).mean())
    assert right[1] > right[0]


def test_the_gradient_is_that_of_the_term() -> None:
    scores, wanted = np.random.default_rng(0).normal(size=(7, 3)), np.array([0.5, 0.3, 0.2])

    def term(z: np.ndarray) -> float:
        return float(4.0 * ((_softmax(z).mean(0) - wanted) ** 2).sum())

    gradient, curvature = _share_term(_softmax(scores), wanted, 4.0)
    assert (curvature > 0).all()
    for index in np.ndindex(scores.shape):
        step = np.zeros_like(scores)
        step[index] = 1e-5
        slope = (term(scores + step) - term(scores - step)) / 2e-5
        assert gradient[index] == pytest.approx(slope, abs=1e-8)


def test_a_seed_repeats_it_and_strokes_are_learnt(blurred: tuple[Features, np.ndarray, np.ndarray]) -> None:
    features, _, truth = blurred
    marks = first_strokes(truth, 2, 300, np.random.default_rng(0))
    maps = []
    for _ in range(2):
        trees = BoostedTrees(2, QUICK, seed=3)
        trees.fit(features, marks)
        maps.append(trees.predict(features))
    assert np.array_equal(maps[0], maps[1])
    known = marks > 0
    assert (maps[0] == marks)[known].mean() > 0.98


def test_what_it_cannot_learn_from_is_said(blurred: tuple[Features, np.ndarray, np.ndarray]) -> None:
    features, marks, _ = blurred
    with pytest.raises(PhaseguideError, match="every phase"):
        BoostedTrees(2, QUICK).fit(features, marks, np.array([0.3, np.nan]))
    with pytest.raises(PhaseguideError, match="Paint some"):
        BoostedTrees(2, QUICK).fit(features, np.zeros_like(marks))
    with pytest.raises(PhaseguideError, match="Fit them"):
        BoostedTrees(2, QUICK).predict(features)
