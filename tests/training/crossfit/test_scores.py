"""Out-of-fold scores of images that are not metal all over, by models that are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.evaluation.evaluate import open_session
from phaseguide.models.model_file import load_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import run_to_end
from phaseguide.training.crossfit.calibrate import calibrate_on
from phaseguide.training.crossfit.fold_models import FoldTrained
from phaseguide.training.crossfit.parts import Parts, parts_of
from phaseguide.training.crossfit.scores import CrossfitImage, out_of_fold
from tiny_models import tiny_dataset, tiny_image, tiny_labels, tiny_model

SHAPE = (96, 128)


def scored(dataset: Dataset, fold: FoldTrained, parts: Parts) -> list[CrossfitImage]:
    events = out_of_fold(dataset, [fold], parts, device="cpu")
    while True:
        try:
            next(events)
        except StopIteration as end:
            return list(end.value)


def test_what_is_no_metal_is_in_no_score_and_unlabelled_pixels_are_judged_by_none(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "data", count=1, shape=SHAPE)
    alpha = np.full(SHAPE, 255, dtype=np.uint8)
    alpha[:16] = 0  # transparent: a whole strip, and a hole
    alpha[30:40, 30:40] = 0
    picture = np.stack([tiny_image(3, SHAPE), alpha], axis=2)
    Image.fromarray(picture, mode="LA").save(data / "images" / "field1.png")
    labels = tiny_labels(SHAPE)
    labels[80:] = 0
    labels[78:80] = 255
    Image.fromarray(labels).save(data / "labels" / "field1.png")
    dataset = open_dataset(data)
    fold = FoldTrained("A", tiny_model(tmp_path), ("field0", "field1"))
    plain, image = scored(dataset, fold, Parts(tmp_path))
    assert plain.excluded is None and plain.labels.shape == SHAPE

    session = open_session(dataset.items[1], load_model(fold.path), device="cpu")
    seen = run_to_end(session.segment(Request()))
    assert image.scores.shape == (3, 80, 128) and image.grey.shape == (80, 128)
    excluded = image.excluded
    assert excluded is not None and np.array_equal(excluded, session.metal.excluded)
    assert excluded[14:24, 30:40].all() and (image.labels[excluded] == 255).all()
    np.testing.assert_allclose(np.exp(image.scores).sum(0), 1, atol=5e-3)
    assert np.allclose(image.own, seen.own)
    known = (image.labels > 0) & (image.labels < 255)
    shares = [np.mean(image.labels[known] == k) for k in (1, 2, 3)]
    assert image.true.tolist() == shares and image.confusion.sum() == known.sum()
    expected = [np.mean(seen.own_labels[16:][known] == k) for k in (1, 2, 3)]
    assert np.allclose(image.own_labelled, expected)

    events = calibrate_on([plain, image], 3)
    while True:
        try:
            next(events)
        except StopIteration as end:
            card = end.value
            break
    assert card.head is not None and len(card.head.bias) == 3
    assert card.own_variation is not None and 0 < card.own_variation <= 1


def test_names_of_any_letters_have_files_of_their_own(tmp_path: Path) -> None:
    parts = parts_of(tmp_path / "run.safetensors")
    assert parts.folder == tmp_path / "run.safetensors.parts"
    stems = ["a b", "a_b", "Ä", "x" * 250, "x" * 251, "a.b"]
    names = {parts.scores(stem).name for stem in stems}
    assert len(names) == len(stems) and all(len(name) < 80 and name.isascii() for name in names)
