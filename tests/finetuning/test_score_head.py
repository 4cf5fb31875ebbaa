"""The preset *score head*: the network stays, corrections are learnt, and nobody learns to contradict the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import TrainingError
from phaseguide.events import Finished
from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.finetuning.cost_estimate import plan
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import Source
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel, load_model, save_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.training.crossfit.score_refit import HeadPixels, neutral_head, refitted_head, said
from tiny_models import tiny_model

QUICK: FinetuneConfig = PRESETS["score head"].changed(device="cpu", threads=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models"), "none"))


def field() -> tuple[np.ndarray, np.ndarray]:
    """A dark and a bright half, which grey values alone tell apart, and true labels of both."""
    rng = np.random.default_rng(0)
    truth = np.ones((192, 288), dtype=np.uint8)
    truth[:, 144:] = 2
    return (80 * truth + rng.normal(0, 6, truth.shape)).clip(0, 255).astype(np.uint8), truth


def source(labels: np.ndarray, **more: Any) -> Source:
    return Source("field", field()[0], labels, "edits", **more)


def strokes() -> np.ndarray:
    truth, labels = field()[1], np.zeros((192, 288), dtype=np.uint8)
    labels[::24, ::2] = truth[::24, ::2]
    return labels


def learnt(model: LoadedModel, labels: np.ndarray, **more: Any) -> Any:
    config = QUICK.changed(**more)
    (last,) = [e for e in finetune(model, [source(labels)], config) if isinstance(e, Finished)]
    return last.result


def right(model: LoadedModel) -> float:
    image, truth = field()
    found = run_to_end(Session(model, image, device="cpu", embeddings="off").segment(Request()))
    return float((found.labels == truth).mean())


def test_the_network_stays_and_the_map_without_a_ratio_gets_better(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny network has learnt nothing that would be worth holding the head to.
    monkeypatch.setattr("phaseguide.training.crossfit.score_refit.PAINTED_SHARE", 0.9)
    monkeypatch.setattr("phaseguide.training.crossfit.score_refit.RIDGE", 1e-3)
    result = learnt(model, strokes())
    assert tensors_sha256(result.model.segmenter.state_dict()) == tensors_sha256(model.segmenter.state_dict())
    assert right(result.model) > max(0.9, right(model))
    assert result.before is not None and result.after is not None
    assert result.better and result.after.dice_mean > result.before.dice_mean


def test_the_head_is_kept_in_the_file_and_by_the_next_round(model: LoadedModel, tmp_path: Path) -> None:
    result = learnt(model, strokes(), crossfit=0)
    path = tmp_path / "refitted.safetensors"
    save_model(path, result.model.segmenter, result.model.card)
    again = load_model(path)
    assert again.card.calibration.head == result.model.card.calibration.head
    assert again.card.calibration.head is not None and again.card.calibration.head.alone
    held = result.record["blocks"]
    next_round = learnt(again, strokes(), crossfit=0)
    assert next_round.record["blocks"] == held
    assert next_round.before == result.after, "a second round starts where the first one ended"


def test_little_paint_is_judged_by_heads_that_did_not_learn_from_it(model: LoadedModel) -> None:
    result = learnt(model, strokes())
    assert result.after.pixels == int((strokes() > 0).sum()) and result.record["crossfit"] == 2
    assert "by one of 2 fits" in result.after.source


def test_corrections_alone_do_not_teach_to_contradict_the_model() -> None:
    """All painted pixels correct the model; far from them it is right, and is to stay so."""
    rng = np.random.default_rng(0)
    head = neutral_head(2)
    far = rng.normal(0, 1, (2000, len(head.weights[0])))
    far[:, 0] = np.where(rng.random(2000) < 0.5, -0.05, -3.0)
    far[:, 1] = np.log(1 - np.exp(far[:, 0]))
    before = np.exp(far[:, :2])
    painted = far[:200]
    wrong = 1 - np.eye(2)[before[:200].argmax(1)]
    fitted = refitted_head(head, [HeadPixels(painted, wrong, far, before)])
    kept = (said(fitted, far).argmax(1) == before.argmax(1)).mean()
    assert kept > 0.95
    alone = refitted_head(head, [HeadPixels(painted, wrong, far[:0], before[:0])])
    assert (said(alone, far).argmax(1) == before.argmax(1)).mean() < 0.5


def test_nothing_painted_leaves_the_head() -> None:
    head = neutral_head(3)
    none = np.zeros((0, len(head.weights[0])))
    assert refitted_head(head, [HeadPixels(none, np.zeros((0, 3)), none, np.zeros((0, 3)))]) == head


def test_a_ratio_alone_is_refused(model: LoadedModel) -> None:
    told = Source("field", field()[0], None, "ratio", ratio=(0.5, 0.3, 0.2))
    with pytest.raises(TrainingError, match="learns from labels"):
        list(finetune(model, [told], QUICK))


def test_the_plan_counts_images_and_no_steps(model: LoadedModel) -> None:
    found = plan(model, [source(strokes())], QUICK)
    assert (found.crops, found.steps) == (1, 0)
    assert found.seconds > 0


@pytest.mark.parametrize(("anchor", "kept"), [(3.0, True), (0.0, False)])
def test_a_network_that_was_held_to_what_it_said_keeps_its_head(
    model: LoadedModel, anchor: float, kept: bool
) -> None:
    head = neutral_head(len(model.card.scheme))
    calibration = model.card.calibration.model_copy(update={"head": head})
    parent = replace(model, card=model.card.model_copy(update={"calibration": calibration}))
    how = FinetuneConfig(epochs=1, crop=64, batch=2, device="cpu", threads=1, anchor_weight=anchor)
    (last,) = [e for e in finetune(parent, [source(strokes())], how) if isinstance(e, Finished)]
    assert last.result.model.card.calibration.head == (head if kept else None)


def test_in_rehearsed_images_it_says_what_it_said() -> None:
    rng = np.random.default_rng(0)
    head = neutral_head(2)
    inputs = rng.normal(0, 1, (900, len(head.weights[0])))
    before = np.exp(said(head, inputs))
    before /= before.sum(1, keepdims=True)
    none, no_phase = inputs[:0], before[:0]
    painted = HeadPixels(inputs[:300], np.tile([1.0, 0.0], (300, 1)), none, no_phase)
    known = HeadPixels(none, no_phase, inputs[300:], before[300:])

    def moved(fitted: Any) -> float:
        return float(np.abs(said(fitted, inputs[300:]) - said(head, inputs[300:])).mean())

    assert moved(refitted_head(head, [painted], [known])) < 0.5 * moved(refitted_head(head, [painted]))
