"""Crops around labels."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phaseguide.finetuning.crops import covering_windows, field_crops, label_crops
from phaseguide.finetuning.sources import Source
from phaseguide.training.augmentation import turned


def source(labels: np.ndarray | None, shape: tuple[int, int] = (150, 210), **more) -> Source:
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    return Source("a", image, labels, "edits", **more)


@settings(max_examples=40)
@given(mask=hnp.arrays(np.bool_, (90, 130), elements=st.booleans(), fill=st.just(False)))
def test_windows_hold_the_whole_mask(mask: np.ndarray) -> None:
    covered = np.zeros_like(mask)
    for top, left in covering_windows(mask, 64):
        assert 0 <= top <= 90 - 64 and 0 <= left <= 130 - 64
        covered[top : top + 64, left : left + 64] = True
    assert not (mask & ~covered).any()


def test_one_stroke_takes_one_window_with_surroundings_on_all_sides() -> None:
    mask = np.zeros((400, 400), dtype=bool)
    mask[195:205, 180:220] = True
    ((top, left),) = covering_windows(mask, 128)
    assert 20 < 195 - top < 98 and 20 < 180 - left < 68


def test_every_label_lies_in_exactly_one_crop_of_a_zoom() -> None:
    labels = np.zeros((150, 210), dtype=np.uint8)
    labels[::7, ::5] = 2
    crops = label_crops([source(labels)], [labels], 64, [1.0])
    found = sum(int((c.labels == 2).sum()) for c in crops)
    assert found == int((labels == 2).sum())
    assert all(c.pixels.shape == (1, 64, 64) for c in crops)


def test_a_small_image_is_mirrored_but_its_labels_are_not() -> None:
    labels = np.full((40, 50), 3, dtype=np.uint8)
    (crop,) = label_crops([source(labels, (40, 50))], [labels], 64, [1.0])
    assert int((crop.labels == 3).sum()) == 40 * 50
    assert int((crop.labels == 255).sum()) == 64 * 64 - 40 * 50
    assert not torch.all(crop.pixels[0, 40:] == 0)


def test_far_is_unlabelled_and_not_near_a_label() -> None:
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[10, 10] = 1
    (crop,) = label_crops([source(labels, (64, 64))], [labels], 64, [1.0])
    assert not crop.far[10:27, 10:27].any()
    assert crop.far[28, 10] and crop.far[60, 60]


def test_tiles_of_a_field_cover_it() -> None:
    crops = field_crops([source(None, ratio=(0.2, None))], 64)
    assert len(crops) == 3 * 4
    assert all(c.ratio_of == 0 and not (c.labels > 0).any() for c in crops)


def test_the_eight_symmetries_are_eight() -> None:
    square = torch.arange(9).reshape(3, 3)
    seen = {tuple(turned(square, s).flatten().tolist()) for s in range(8)}
    assert len(seen) == 8
    assert torch.equal(turned(square, 0), square)


def test_what_is_excluded_at_the_border_changes_no_crop() -> None:
    rng = np.random.default_rng(1)
    alone, labels = rng.integers(90, 140, (150, 210)).astype(np.uint8), np.zeros((150, 210), np.uint8)
    labels[20:30, 40:60], labels[100:110, 150:170] = 1, 2
    image, marks = np.zeros((190, 230), np.uint8), np.full((190, 230), 255, np.uint8)
    image[:, ::3] = 255
    image[:150, 20:], marks[:150, 20:] = alone, labels
    sources = [
        Source("a", image, marks, "edits", (0.5, 0.5)),
        Source("a", alone, labels, "edits", (0.5, 0.5)),
    ]
    for cut in (
        lambda one: label_crops([one], [one.labels], 64, [1.0, 0.5]),
        lambda one: field_crops([one], 64),
    ):
        ours, theirs = (cut(one) for one in sources)
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one.pixels, other.pixels) and torch.equal(one.labels, other.labels)
            assert torch.equal(one.far, other.far) and one.area == other.area
