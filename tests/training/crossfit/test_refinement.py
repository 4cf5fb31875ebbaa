"""Guidance on scores is learnt on images that the networks had not seen, kept, and put on the last model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import PhaseguideError, TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.card import CalibrationCard
from phaseguide.models.model_file import load_model, save_model
from phaseguide.ratios import draw_statement
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit import refinement as learning
from phaseguide.training.crossfit.parts import Parts
from phaseguide.training.crossfit.run import train_crossfitted
from phaseguide.training.crossfit.scores import CrossfitImage
from phaseguide.training.data import load_images, split_images
from phaseguide.training.events import TrainingResult
from phaseguide.training.trainer import train
from textures import SCHEME, config, data, write_fields

RUN = config(epochs=1, guidance="refine", guidance_options={"width": 8, "levels": 2}, crossfit=3)


def run(dataset: Dataset, parts: Parts | None, settings: TrainingConfig = RUN, **more: Any) -> list[Any]:
    images = list(load_images(dataset, SCHEME))
    split = split_images(images, SCHEME, seed=settings.seed)
    return list(train_crossfitted(dataset, images, split, settings, parts=parts, **more))


class Unsure(CrossfitImage):
    """A made-up image: a bright and a dark half, and scores that say so, but prefer phase 1 everywhere too much."""

    def __init__(self, seed: int, excluded: bool = False, blank: bool = False) -> None:
        rng = np.random.default_rng(seed)
        labels = np.ones((96, 96), dtype=np.uint8)
        labels[:, rng.integers(30, 66) :] = 2
        evidence = np.where(labels == 2, 0.3, -0.3) + rng.normal(0, 0.5, labels.shape) - 0.6
        scores = np.stack([-np.log1p(np.exp(evidence)), -np.log1p(np.exp(-evidence))]).astype(np.float32)
        grey = (np.where(labels == 2, 0.5, -0.5) + rng.normal(0, 0.05, labels.shape)).astype(np.float32)
        if blank:
            labels[:10] = 0
        mask = np.zeros(labels.shape, dtype=bool)
        mask[:8] = excluded
        labels[mask] = 255
        made = {"scores": scores, "grey": grey, "labels": labels, "excluded": mask}
        object.__setattr__(self, "made", made)
        counted = labels[(labels > 0) & (labels < 255)]
        own = np.bincount(scores.argmax(0)[~mask], minlength=2) / (~mask).sum()
        confusion = np.zeros((2, 3), dtype=np.int64)
        for truth, said in zip(labels[labels < 3], scores.argmax(0)[labels < 3], strict=True):
            if truth:
                confusion[truth - 1, said] += 1
        super().__init__(f"made{seed}", "1", Path(), own, confusion)
        assert counted.size

    def _read(self, name: str) -> Any:
        return self.made[name]  # type: ignore[attr-defined]


CALIBRATION = CalibrationCard(own_error=[0.5, 0.5])


def learn(images: list[Unsure], steps: int = 30, seed: int = 0) -> Any:
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "STEPS", steps)
        events = learning.learn_refinement(images, CALIBRATION, 2, {"width": 8, "levels": 2}, seed=seed)
        while True:
            try:
                told.append(next(events))
            except StopIteration as end:
                return end.value, told


def loss_of(module: Any, images: list[Unsure]) -> float:
    fields = [learning._field(image, CALIBRATION, 2) for image in images]
    rng = np.random.default_rng(5)
    with torch.inference_mode():
        crops = [learning._draw([f for f in fields if f], np.array([0.5, 0.5]), rng) for _ in range(16)]
        return float(learning._loss(module, crops, 2))


def test_what_is_learnt_helps_on_an_image_that_it_has_not_seen() -> None:
    from phaseguide.models.refinement import ScoreRefinement

    module, told = learn([Unsure(i) for i in range(4)], steps=60)
    new = [Unsure(9)]
    matching = ScoreRefinement(2, 8, 2).eval()
    assert loss_of(module, new) < 0.85 * loss_of(matching, new)
    assert told[-1] == Progress("Learning where ratios help", 60, 60)
    assert not module.training


def test_the_same_images_and_seed_give_the_same_weights_and_leave_the_process_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, _ = learn([Unsure(1), Unsure(2, excluded=True)], steps=3)
    assert torch.equal(before, torch.get_rng_state())
    again, _ = learn([Unsure(1), Unsure(2, excluded=True)], steps=3)
    other, _ = learn([Unsure(1), Unsure(2, excluded=True)], steps=3, seed=1)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (one, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_images_that_are_labelled_in_part_have_no_ratio() -> None:
    with pytest.raises(TrainingError, match="No image of the folds is labelled all over"):
        learn([Unsure(1, blank=True)])
    learn([Unsure(1, blank=True), Unsure(2)], steps=1)


def test_what_the_labels_exclude_is_no_part_of_a_ratio() -> None:
    image = Unsure(1)
    image.made["labels"][:10] = 255  # type: ignore[attr-defined]
    field = learning._field(image, CALIBRATION, 2)
    assert field is not None
    matched = field.matcher.match(np.array([0.3, 0.7]))
    assert (matched.labels[10:] != 255).all() and (matched.labels[:10] == 255).all()


def test_what_cannot_be_learnt_is_told_before_the_models_of_the_folds(tmp_path: Path) -> None:
    dataset = open_dataset(write_fields(tmp_path / "data"))
    with pytest.raises(PhaseguideError, match="Guidance 'refine' has no foo"):
        run(dataset, Parts(tmp_path / "a"), RUN.changed(guidance_options={"width": 8, "foo": 1}))
    for path in (tmp_path / "data" / "labels").iterdir():
        labels = np.array(Image.open(path))
        labels[:2] = 0
        Image.fromarray(labels).save(path)
    with pytest.raises(TrainingError, match="No image of the folds is labelled all over"):
        run(dataset, Parts(tmp_path / "b"))
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_it_is_learnt_anew_on_the_network_of_a_start_that_has_it(
    made: tuple[Dataset, Parts, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "STEPS", 2)
    result = outcome(made[2])
    elsewhere = {**result.card.training, "images": {"train": ["x"], "validation": ["y"]}}
    save_model(
        tmp_path / "s.safetensors", result.segmenter, result.card.model_copy(update={"training": elsewhere})
    )
    events = run(made[0], None, start=load_model(tmp_path / "s.safetensors"))
    assert outcome(events).card.guidance.kind == "refine"
    assert not [e.message for e in events if isinstance(e, Notice) and "the model to start from" in e.message]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Parts, list[Any]]:
    folder = tmp_path_factory.mktemp("refining")
    dataset, parts = open_dataset(write_fields(folder / "data")), Parts(folder / "run.parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "STEPS", 5)
        events = run(dataset, parts)
    return dataset, parts, events


def outcome(events: list[Any]) -> TrainingResult:
    assert isinstance(events[-1], Finished)
    return events[-1].result  # type: ignore[no-any-return]


def test_the_model_carries_it_and_says_so(made: tuple[Dataset, Parts, list[Any]], tmp_path: Path) -> None:
    dataset, _, events = made
    result = outcome(events)
    assert result.card.guidance.kind == "refine"
    assert result.card.training["config"]["guidance"] == "refine"
    save_model(tmp_path / "m.safetensors", result.segmenter, result.card)
    model = load_model(tmp_path / "m.safetensors")
    assert model.segmenter.refinement is not None
    image = dataset.items[0].read_image().data
    session = Session(model, image, device="cpu", embeddings="off")
    asked = np.array([0.4, 0.6])
    both = run_to_end(session.segment(Request(asked=asked, uncertainty=0.0, mode="both")))
    assert both.achieved == pytest.approx(asked, abs=1 / image.size)


def test_the_network_is_the_one_that_learns_without_it(made: tuple[Dataset, Parts, list[Any]]) -> None:
    dataset, _, events = made
    images = list(load_images(dataset, SCHEME))
    split = split_images(images, SCHEME, seed=RUN.seed)
    alone = outcome(list(train(split, RUN.changed(guidance="none", guidance_options={}, crossfit=0))))
    ours = outcome(events).segmenter.backbone.state_dict()
    for name, tensor in alone.segmenter.backbone.state_dict().items():
        assert torch.equal(tensor, ours[name]), name


def test_what_was_learnt_is_not_learnt_again_unless_something_differs(
    made: tuple[Dataset, Parts, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, parts, events = made
    monkeypatch.setattr(learning, "STEPS", 5)
    again = run(dataset, parts)
    stages = {e.stage for e in again if isinstance(e, Progress)}
    assert "Learning where ratios help" not in stages
    for ours, theirs in zip(
        outcome(again).segmenter.state_dict().values(),
        outcome(events).segmenter.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    monkeypatch.setattr(learning, "RATE", 1e-3)
    old = parts.refinement.read_bytes()
    told = [e.message for e in run(dataset, parts) if isinstance(e, Notice)]
    assert any("other scores or settings. It is kept as refinement-unused" in message for message in told)
    assert parts.refinement.with_name("refinement-unused.safetensors").read_bytes() == old


def test_without_folds_it_cannot_be_learnt() -> None:
    with pytest.raises(TrainingError, match=r"guidance is 'refine'.*--set crossfit=5"):
        list(train(data(), config(guidance="refine", guidance_options={})))
    with pytest.raises(TrainingError, match="learnt after the networks, but schedule is 'joint'"):
        config(guidance="refine", guidance_options={}, schedule="joint")


def test_statements_are_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    true = np.array([0.6, 0.3, 0.1])
    drawn = [draw_statement(true, rng) for _ in range(300)]
    assert any(u == 0 and np.array_equal(asked, true) for asked, u in drawn)
    assert any(u == 0 and not np.isnan(asked).any() and not np.allclose(asked, true) for asked, u in drawn)
    assert {0.05, 0.1, 0.2, 0.3, 0.5} <= {u for _, u in drawn}
    assert any(np.isnan(asked).sum() == 2 for asked, _ in drawn)
    assert all(np.nansum(asked) <= 1 + 1e-9 for asked, _ in drawn)
