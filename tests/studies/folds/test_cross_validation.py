"""Cross-validation: one model a fold, resumable, and guidance added to the models of an earlier run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import TrainingError
from phaseguide.events import Notice, Progress
from phaseguide.models.model_file import load_model
from phaseguide.segmentation.session import run_to_end
from phaseguide.studies.folds.cross_validation import cross_validate
from phaseguide.training.crossfit.fold_models import FoldTrained
from textures import SCHEME, config, field, write_fields

FOLDS = {"A": ("f0",), "B": ("f1",), "C": ("f2",)}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset(write_fields(tmp_path / "data"))


def test_every_fold_gets_a_model_that_never_saw_its_test_images(dataset: Dataset, tmp_path: Path) -> None:
    plain = config(epochs=1, guidance="none")
    trained: list[FoldTrained] = run_to_end(cross_validate(dataset, SCHEME, FOLDS, plain, tmp_path / "plain"))
    assert [t.fold for t in trained] == ["A", "B", "C"]
    for fold in trained:
        images = load_model(fold.path).card.training["images"]
        assert not set(fold.test) & {*images["train"], *images["validation"]}
    again = list(cross_validate(dataset, SCHEME, FOLDS, plain, tmp_path / "plain"))
    assert sum("trained before" in e.message for e in again if isinstance(e, Notice)) == 3
    with pytest.raises(TrainingError, match="other settings"):
        run_to_end(
            cross_validate(dataset, SCHEME, FOLDS, config(epochs=2, guidance="none"), tmp_path / "plain")
        )

    swapped = {"A": ("f1",), "B": ("f0",), "C": ("f2",)}
    with pytest.raises(TrainingError, match="other images"):
        run_to_end(cross_validate(dataset, SCHEME, swapped, plain, tmp_path / "plain"))

    added = config(guidance="ccrm", guidance_scales=2, schedule="guidance", guidance_epochs=1)
    events = cross_validate(dataset, SCHEME, FOLDS, added, tmp_path / "guided", starts=tmp_path / "plain")
    guided = run_to_end(events)
    with pytest.raises(TrainingError, match="which this fold is tested on"):
        run_to_end(
            cross_validate(dataset, SCHEME, swapped, added, tmp_path / "leak", starts=tmp_path / "plain")
        )
    for before, after in zip(trained, guided, strict=True):
        a, b = load_model(before.path).segmenter, load_model(after.path).segmenter
        assert b.guidance_options.kind == "ccrm" and len(b.guidance) == 2
        image = field(7).image[None]
        with torch.inference_mode():
            assert torch.equal(a(image), b(image)), "a missing ratio costs nothing"


def test_an_image_without_a_label_is_told_before_any_fold_is_trained(
    dataset: Dataset, tmp_path: Path
) -> None:
    labels = dataset.items[2].label_path
    assert labels is not None
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(labels)
    events = cross_validate(dataset, SCHEME, FOLDS, config(epochs=1, guidance="none"), tmp_path / "x")
    with pytest.raises(TrainingError, match="no pixel of f2 carries a phase"):
        for event in events:
            assert isinstance(event, Progress)
    assert not list((tmp_path / "x").iterdir())


def test_folds_in_folds_are_refused_and_changed_labels_are_noticed(dataset: Dataset, tmp_path: Path) -> None:
    plain = config(epochs=1, guidance="none")
    with pytest.raises(TrainingError, match="crossfit is 3, but here the folds are given"):
        run_to_end(cross_validate(dataset, SCHEME, FOLDS, plain.changed(crossfit=3), tmp_path / "x"))
    run_to_end(cross_validate(dataset, SCHEME, FOLDS, plain, tmp_path / "x"))
    labels = dataset.items[0].label_path
    assert labels is not None
    Image.fromarray(np.full((64, 64), 2, dtype=np.uint8)).save(labels)
    with pytest.raises(TrainingError, match="changed since"):
        run_to_end(cross_validate(dataset, SCHEME, FOLDS, plain, tmp_path / "x"))


def test_guidance_alone_needs_a_model_to_start_from(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="needs a trained model"):
        run_to_end(cross_validate(dataset, SCHEME, FOLDS, config(schedule="guidance"), tmp_path / "x"))
    with pytest.raises(TrainingError, match="guidance is 'none'"):
        config(schedule="guidance", guidance="none")
