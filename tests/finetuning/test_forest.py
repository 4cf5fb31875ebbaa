"""The random-forest baseline learns a texture from strokes, and says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.errors import PhaseguideError
from phaseguide.studies.finetune.random_forest import PixelForest, pixel_features
from phaseguide.studies.finetune.simulated_user import first_strokes

pytest.importorskip("skimage")


def two_textures() -> tuple[np.ndarray, np.ndarray]:
    """Same mean brightness left and right; smooth left, coarse right."""
    rng = np.random.default_rng(0)
    truth = np.ones((64, 128), np.uint8)
    truth[:, 64:] = 2
    noise = np.where(truth == 1, rng.normal(0, 3, truth.shape), rng.normal(0, 40, truth.shape))
    return np.clip(120 + noise, 0, 255).astype(np.uint8), truth


def test_it_tells_textures_apart_from_one_stroke_each() -> None:
    image, truth = two_textures()
    features = pixel_features(image)
    painted = first_strokes(truth, 2, 400, np.random.default_rng(0))
    forest = PixelForest(2)
    forest.fit({"a": features}, {"a": painted})
    assert (forest.predict(features) == truth).mean() > 0.85


def test_a_seed_repeats_it() -> None:
    image, truth = two_textures()
    features = pixel_features(image)
    painted = first_strokes(truth, 2, 200, np.random.default_rng(1))
    maps = []
    for _ in range(2):
        forest = PixelForest(2, seed=3)
        forest.fit({"a": features}, {"a": painted})
        maps.append(forest.predict(features))
    assert np.array_equal(*maps)


def test_features_do_not_depend_on_exposure() -> None:
    image, _ = two_textures()
    darker = (image.astype(np.uint16) * 200).astype(np.uint16)
    assert np.allclose(pixel_features(image), pixel_features(darker), atol=1e-4)


def test_colour_images_have_features_of_every_channel() -> None:
    image, _ = two_textures()
    assert pixel_features(np.stack([image] * 3, -1)).shape[-1] == 3 * pixel_features(image).shape[-1]


def test_nothing_labelled_and_nothing_learnt_are_said() -> None:
    features = pixel_features(two_textures()[0])
    with pytest.raises(PhaseguideError, match="nothing to learn"):
        PixelForest(2).fit({"a": features}, {"a": np.full(features.shape[:2], 255, np.uint8)})
    with pytest.raises(PhaseguideError, match="Fit it"):
        PixelForest(2).predict(features)
