"""Crops: labels stay what they are, place and image agree, draws repeat with their seed."""

from __future__ import annotations

import torch

from phaseguide.training.augmentation import jitter_brightness, random_grid, sample_crop, some_inverted
from phaseguide.training.config import TrainingConfig
from phaseguide.training.drawing import vary_appearance


def test_image_and_labels_are_resampled_alike_and_no_label_is_invented() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([1, 3, 255], dtype=torch.uint8)[torch.randint(3, (12, 14))]
    labels = labels.repeat_interleave(10, 0).repeat_interleave(10, 1)
    image = labels.float()[None]
    for _ in range(10):
        grid = random_grid(120, 140, 64, 0.25, generator)
        pixels, marks = sample_crop(image, labels, grid)
        assert pixels.shape == (1, 64, 64) and marks.shape == (64, 64)
        assert set(marks.unique().tolist()) <= {1, 3, 255}
        agree = (pixels[0] - marks).abs() < 1e-3
        assert float(agree.float().mean()) > 0.7, "only borders between blocks may differ"


def test_images_smaller_than_a_crop_are_mirrored() -> None:
    grid = random_grid(20, 30, 64, 0.0, torch.Generator().manual_seed(1))
    pixels, marks = sample_crop(torch.ones(1, 20, 30), torch.ones(20, 30, dtype=torch.uint8), grid)
    assert bool((marks == 1).all()) and bool(torch.isfinite(pixels).all())


def test_same_seed_same_crops_other_seed_others() -> None:
    def draw(seed: int) -> torch.Tensor:
        g = torch.Generator().manual_seed(seed)
        return jitter_brightness(torch.linspace(-1, 1, 2 * 32 * 32).reshape(2, 1, 32, 32), 0.5, g)

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))
    assert bool(torch.isfinite(draw(3)).all())


def test_a_share_of_the_crops_is_inverted_and_none_of_the_others_changes() -> None:
    images = torch.rand(200, 1, 2, 2) - 0.5
    shown = some_inverted(images, 0.3, torch.Generator().manual_seed(0))
    inverted = (shown == -images).all((1, 2, 3))
    assert 40 < int(inverted.sum()) < 80
    assert torch.equal(shown[~inverted], images[~inverted])


def test_bright_is_dark_only_where_the_settings_say_so() -> None:
    images = torch.linspace(-1, 1, 64).expand(4, 1, 64, 64)

    def rising(inverted: float) -> bool:
        config = TrainingConfig(inverted=inverted)
        shown = vary_appearance(images, config, 0.0, torch.Generator().manual_seed(3))
        return bool((shown[..., -8:].mean() > shown[..., :8].mean()).item())

    assert rising(0.0)
    assert not rising(1.0)
