"""The warning about images that are unlike those of the training."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from phaseguide.errors import DatasetError
from phaseguide.segmentation.review.out_of_distribution import (
    NAMES,
    TrainingDomain,
    describe_image,
    scale_warning,
)

SHAPE = (192, 256)


def field(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Bright grains of some 8 px on a dark ground with a little noise, uint8; no two fields quite alike."""
    rng = np.random.default_rng(seed)
    grains = gaussian_filter(rng.standard_normal(shape), rng.uniform(1.8, 2.2)) > rng.uniform(0.12, 0.15)
    grey = 80 + 100 * gaussian_filter(grains.astype(float), 0.7) + rng.normal(0, rng.uniform(5, 7), shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def clip(grey: np.ndarray) -> np.ndarray:
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def familiar() -> TrainingDomain:
    return TrainingDomain.fit((field(seed) for seed in range(12)), source="12 fields", pixel_size_um=0.1)


@pytest.mark.parametrize("seed", range(20, 32))
def test_an_image_of_the_same_kind_is_familiar(familiar: TrainingDomain, seed: int) -> None:
    assert familiar.warning(field(seed)) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: clip(gaussian_filter(a.astype(float), 2)), "blurred or enlarged"),
        (lambda a: clip(a + np.random.default_rng(0).normal(0, 15, a.shape)), "more noise"),
        (lambda a: clip(zoom(a[:96, :128].astype(float), 2, order=1)), "blurred or enlarged"),
        (lambda a: 255 - a, "darker details on a brighter ground"),
        (lambda a: clip((a - 130.0) * 6 + 130), "fully black or white"),
        (lambda a: clip(a / 6.0), "less contrast"),
    ],
    ids=["blur", "noise", "enlarged", "inverted", "clipped", "flat"],
)
def test_an_unusual_image_is_told_by_what_is_unusual(
    familiar: TrainingDomain, change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    said = familiar.warning(change(field(20)))
    assert said is not None and words in said and "than any of them" in said


def test_coarser_and_finer_texture_are_told_without_resampling(familiar: TrainingDomain) -> None:
    def grains(size: float) -> np.ndarray:
        rng = np.random.default_rng(1)
        mask = gaussian_filter(rng.standard_normal(SHAPE), size) * size > 0.27
        return clip(80 + 100 * gaussian_filter(mask.astype(float), 0.7) + rng.normal(0, 6, SHAPE))

    assert familiar.warning(grains(2.0)) is None
    coarse, fine = (familiar.deviations(describe_image(grains(s))) for s in (8.0, 0.7))
    assert coarse[NAMES.index("fineness")] < 0 or coarse[NAMES.index("strength")] < 0
    assert fine[NAMES.index("fineness")] > 0
    assert familiar.warning(grains(8.0)) is not None


def test_an_inverted_image_is_familiar_when_the_model_gets_it_inverted(familiar: TrainingDomain) -> None:
    assert familiar.warning(255 - field(20), invert=True) is None


def test_a_known_scale_comes_first(familiar: TrainingDomain) -> None:
    assert familiar.warning(field(20), 0.12) is None
    said = familiar.warning(field(20), 0.2)
    assert said is not None and "2 times smaller" in said and "0.2 µm" in said
    assert "3 times larger" in str(scale_warning(0.3, 0.1))
    assert scale_warning(None, 0.1) is scale_warning(0.1, None) is None


@pytest.mark.parametrize(
    "same",
    [
        lambda a: a.astype(np.uint16) * 16,  # 12 bits in 16
        lambda a: a / np.float32(255),
        lambda a: np.stack([a, a, a], axis=-1),
    ],
    ids=["uint16", "float", "rgb"],
)
def test_the_data_type_says_nothing_about_an_image(same: Callable[[np.ndarray], np.ndarray]) -> None:
    image = field(3)
    assert describe_image(same(image)) == pytest.approx(describe_image(image), abs=0.02)


def test_floats_of_unknown_range_are_judged_by_all_but_their_contrast(familiar: TrainingDomain) -> None:
    properties = describe_image(field(3) * 1e4)
    assert np.isnan(properties).tolist() == [True] + [False] * (len(NAMES) - 1)
    assert familiar.distance(properties) == 0


def test_the_texture_has_no_direction() -> None:
    image = field(4, (160, 160))
    for other in (image.T, image[::-1], np.rot90(image)):
        assert describe_image(other) == pytest.approx(describe_image(image), abs=0.02)


def test_a_large_image_is_described_by_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image = field(5, (1500, 1500))
    assert describe_image(image) == pytest.approx(describe_image(image[:700, :700]), abs=0.3)


def test_a_tiny_image_is_not_judged(familiar: TrainingDomain) -> None:
    assert np.isnan(describe_image(field(0)[:40])).all()
    assert familiar.warning(field(0)[:40]) is None


def test_images_alike_by_chance_do_not_make_the_next_one_strange() -> None:
    familiar = TrainingDomain.fit([field(0)] * 5)
    assert familiar.warning(field(1)) is None


def test_an_outlier_in_training_widens_what_is_familiar() -> None:
    usual = np.array([describe_image(field(seed)) for seed in range(6)])
    outlier = describe_image(255 - field(9))
    wide = TrainingDomain.from_properties(np.vstack([usual, outlier]))
    assert wide.distance(outlier) == 0


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DatasetError, match="too few"):
        TrainingDomain.fit([field(0)] * 3)
    with pytest.raises(DatasetError, match=r"^3 images"):
        TrainingDomain.fit([field(0)] * 3 + [field(0)[:20]])


def test_it_survives_the_way_through_a_card(familiar: TrainingDomain) -> None:
    data = json.loads(json.dumps(familiar.to_dict()))
    again = TrainingDomain.from_dict(data, pixel_size_um=0.1)
    assert again.to_dict() == familiar.to_dict()
    image = 255 - field(20)
    assert again.warning(image) == familiar.warning(image)


def test_a_card_of_another_version_is_read_as_far_as_it_is_known(familiar: TrainingDomain) -> None:
    data = familiar.to_dict()
    data["names"] = ["sparkle" if name == "skew" else name for name in data["names"]]
    partly = TrainingDomain.from_dict(data)
    assert partly.distance(describe_image(field(20))) == familiar.distance(describe_image(field(20)))
    assert partly.deviations(describe_image(255 - field(20)))[NAMES.index("skew")] == 0
    assert "skew" not in partly.to_dict()["names"]
