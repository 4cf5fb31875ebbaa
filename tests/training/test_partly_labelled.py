"""Images of which little is labelled, or none: they train on every path, and what they cannot teach is told first."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.datasets.label_gaps import count_all, counts_from_zero, describe_gaps, describe_training_gaps
from phaseguide.errors import TrainingError
from phaseguide.events import Notice
from phaseguide.phases import PhaseScheme
from phaseguide.training.data import TrainingData, split_images
from phaseguide.training.drawing import draw_crop, draw_crops, grid_drawer
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.trainer import train
from textures import SCHEME, config, data, field


def blank(images: TrainingData, keep: Any) -> TrainingData:
    """Take the labels away but those at ``keep``, in each image."""
    images = copy.deepcopy(images)
    for item in (*images.train, *images.validation):
        kept = torch.zeros_like(item.labels)
        kept[keep] = item.labels[keep]
        item.labels.copy_(kept)
    return images


def outcome(images: TrainingData, **changes: Any) -> tuple[list[str], list[EpochDone], TrainingResult]:
    events = list(train(images, config(**changes)))
    said = [e.message for e in events if isinstance(e, Notice)]
    return said, [e for e in events if isinstance(e, EpochDone)], events[-1].result  # type: ignore[union-attr]


@pytest.mark.parametrize("schedule", ["staged", "joint"])
@pytest.mark.parametrize("keep", [np.s_[::7], np.s_[40, ::9]], ids=["lines", "a few pixels"])
def test_without_any_whole_crop_there_is_a_model_without_guidance(schedule: str, keep: Any) -> None:
    said, epochs, result = outcome(blank(data(), keep), epochs=2, guidance_epochs=1, schedule=schedule)
    assert any("No crop of 64 px is labelled all over" in s and "without guidance" in s for s in said)
    assert {e.stage for e in epochs} == {"backbone"} and all(
        np.isfinite(e.loss) and e.loss > 0 for e in epochs
    )
    assert result.card.guidance.kind == "none" and result.card.training["config"]["guidance"] == "plm"
    assert all(bool(torch.isfinite(t).all()) for t in result.segmenter.state_dict().values())
    assert np.isfinite(result.card.calibration.own_error).all()


def test_guidance_that_takes_no_ratio_is_learnt_where_there_is_none() -> None:
    options = {"width": 8, "use_ratio_encoder": False}
    said, epochs, result = outcome(
        blank(data(), np.s_[::7]), epochs=1, guidance_epochs=1, guidance_options=options
    )
    assert not any("without guidance" in s for s in said)
    assert epochs[-1].stage == "guidance" and epochs[-1].loss > 0
    assert result.card.guidance.kind == "plm"


def test_guidance_alone_is_refused_where_no_crop_has_a_ratio() -> None:
    _, _, start = outcome(data(), epochs=1, guidance="none")
    with pytest.raises(TrainingError, match=r"No crop of 64 px .* There is nothing to learn"):
        list(train(blank(data(), np.s_[::7]), config(schedule="guidance"), start=start.segmenter))


def test_guidance_learns_from_the_crops_that_are_whole() -> None:
    images = data()
    for item in images.train[1:]:
        item.labels[::5] = 0
    said, epochs, result = outcome(images, epochs=1, guidance_epochs=2)
    assert not said and result.card.guidance.kind == "plm"
    assert all(e.loss > 0 for e in epochs if e.stage == "guidance")
    drawn = draw_crops(images, config(), torch.Generator().manual_seed(0), redraws=50)
    assert not bool(torch.isnan(drawn[2]).any()), "crops are drawn again for one that has a ratio"


def test_every_crop_holds_a_label_however_few_there_are() -> None:
    one = field(0, 300, 400)
    labels = torch.zeros_like(one.labels)
    labels[7, 391] = 2
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        _, drawn = draw_crop([type(one)("one", one.image, labels)], 64, grid_drawer(config()), generator)
        assert bool((drawn == 2).any())


def test_images_without_labels_teach_nothing_and_judge_nothing() -> None:
    images, empty = data(), [field(n) for n in (10, 11)]
    for item in empty:
        item.labels.zero_()
    more = TrainingData((*images.train, empty[0]), (empty[1], *images.validation), SCHEME)
    told, ours, with_empty = outcome(more, epochs=1, guidance_epochs=1)
    silent, theirs, without = outcome(images, epochs=1, guidance_epochs=1)
    sentence = f"No pixel of {empty[0].stem}, {empty[1].stem} carries a phase"
    assert any(sentence in text for text in told) and not any("carries a phase" in text for text in silent)
    assert [e.loss for e in ours] == [e.loss for e in theirs]
    assert with_empty.card.scores == without.card.scores


def test_the_drawn_validation_image_has_labels() -> None:
    images = [field(n, 32, 40) for n in range(8)]
    for item in images[2:]:
        item.labels.zero_()
    for seed in range(6):
        split = split_images(images, SCHEME, seed=seed)
        assert split.taught and split.judging


def test_gaps_of_label_maps_are_told() -> None:
    scheme = PhaseScheme.from_names(["ferrite", "bainite", "martensite"])
    from_zero = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    told = describe_gaps(count_all([from_zero, from_zero]), scheme)
    assert len(told) == 2 and "martensite (label 3) has no pixel" in told[0] and "from 0, add 1" in told[1]
    for sound in ([0, 1, 2, 3], [1, 2], [0, 1], [0, 2, 3]):
        assert not counts_from_zero(count_all([np.array(sound, dtype=np.uint8)]), scheme)
    assert not describe_gaps(count_all([np.array([0, 1, 2, 3], dtype=np.uint8)]), scheme)


def test_a_phase_that_only_validates_is_told() -> None:
    scheme = PhaseScheme.from_names(["ferrite", "bainite"])
    one, both = np.array([1, 1], np.uint8), np.array([1, 2], np.uint8)
    (told,) = describe_training_gaps({"a": one}, {"b": both}, scheme)
    assert told.startswith("bainite (label 2)") and "is not learnt" in told
    assert not describe_training_gaps({"a": both}, {"b": one}, scheme)
    assert "in any label map" in describe_training_gaps({"a": one}, {"b": one}, scheme)[0]
