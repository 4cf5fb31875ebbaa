"""Cross-fitting in a run: what judges a place has not learnt from it, and the model has learnt from all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.datasets.samples import open_sample
from phaseguide.events import Finished
from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.finetuning.cost_estimate import plan
from phaseguide.finetuning.judging.judge import Judge, untrained_phases
from phaseguide.finetuning.learner import Learner
from phaseguide.finetuning.material import prepare
from phaseguide.finetuning.new_model import new_model
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import Source
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.rephase import origin_by_name, rephase
from phaseguide.models.zoo import open_model
from phaseguide.phases import PhaseScheme
from phaseguide.training.events import EpochDone
from tiny_models import NAMES, tiny_image, tiny_labels, tiny_model

QUICK = FinetuneConfig(epochs=2, crop=64, batch=2, threads=1, device="cpu", learning_rate=3e-3)
SHAPE = (128, 192)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models"), "plm"))


def dabs() -> np.ndarray:
    """Small separate strokes over the three bands."""
    truth, painted = tiny_labels(SHAPE), np.zeros(SHAPE, dtype=np.uint8)
    for row in range(4, 120, 30):
        for column in range(8, 180, 32):
            painted[row : row + 8, column : column + 16] = truth[row : row + 8, column : column + 16]
    return painted


def source() -> Source:
    return Source("field", tiny_image(0, SHAPE), dabs(), "edits")


def run(*args: Any, **more: Any) -> Any:
    (last,) = [e for e in finetune(*args, **more) if isinstance(e, Finished)]
    return last.result


def test_no_crop_of_a_fold_teaches_what_it_judges(model: LoadedModel) -> None:
    prepared = prepare(model, [source()], [], QUICK, 64)
    folds = torch.tensor(prepared.split.folds)
    assert len(prepared.folds) == 2
    for number, fold in enumerate(prepared.folds):
        mine = folds == number
        for crop in fold.material.crops:
            assert crop.places is not None
            assert not (mine[crop.places.long()] & (crop.labels > 0) & (crop.labels < 255)).any()
        judged = sum(int(((c.labels > 0) & (c.labels < 255)).sum()) for c in fold.judged)
        labels, places = prepared.split.judge[0], prepared.split.places[0]
        assert judged == int((mine.numpy()[places] & (labels > 0)).sum()) > 0


def test_all_painted_pixels_judge_and_the_model_learns_as_it_would_without_a_judge(
    model: LoadedModel,
) -> None:
    config = QUICK.changed(epochs=1)
    judged, alone = (
        run(model, [source()], config),
        run(model, [source()], config.changed(validation_share=0.0)),
    )
    assert judged.after is not None and alone.after is None
    assert judged.after.pixels == int((dabs() > 0).sum()) and judged.record["crossfit"] == 2
    assert "validation strokes" in judged.model.card.scores
    first, second = (r.model.segmenter.state_dict() for r in (judged, alone))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_that_was_killed_goes_on_to_the_same_verdict(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseguide.finetuning.run.SAVE_S", 0.0)
    whole = run(model, [source()], QUICK)
    checkpoint = tmp_path / "run.safetensors"
    for event in finetune(model, [source()], QUICK, checkpoint=checkpoint):
        if isinstance(event, EpochDone):
            break
    rest = run(model, [source()], QUICK, checkpoint=checkpoint)
    assert rest.after == whole.after and rest.changed == whole.changed
    assert [h.dice_range for h in rest.history] == [h.dice_range for h in whole.history]


def test_each_fold_is_judged_at_the_epoch_that_the_others_choose(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(model, [source()], [], QUICK, 64)
    learner = Learner(model.segmenter, prepared.material, QUICK, torch.device("cpu"), anchored=False)
    judge = Judge(prepared, learner, NAMES, "none", frozenset())

    def matrix(right: int) -> np.ndarray:
        found = np.zeros((3, 4), dtype=np.int64)
        found[0, 0], found[0, 1] = right, 10 - right
        return found

    # Fold 1 is best in the first epoch and fold 2 in the second: each is judged where the other is best.
    told = iter([{1: matrix(9)}, {2: matrix(2)}, {1: matrix(1)}, {2: matrix(8)}])
    monkeypatch.setattr(judge, "_counted", lambda *_: next(told))
    judge.epoch(), judge.epoch()
    after = judge.after()
    assert after is not None and after.pixels == 20
    assert judge.changed() is None  # nothing was judged before
    assert after.dice_mean == pytest.approx(2 * (1 + 2) / (20 + 3))


def test_before_of_a_new_head_and_of_a_new_phase_is_no_number(model: LoadedModel) -> None:
    scheme = PhaseScheme.from_names(NAMES)
    fresh = new_model(scheme, name="my steel")
    assert untrained_phases(fresh) == set(NAMES) and untrained_phases(model) == set()
    learnt = run(model, [source()], QUICK.changed(epochs=1, crossfit=0)).model
    grown = PhaseScheme.from_names((*NAMES, "graphite"))
    more = rephase(learnt, grown, origin_by_name(learnt.card.scheme, grown))
    assert untrained_phases(more) == {"graphite"}
    result = run(fresh, [source()], QUICK.changed(epochs=1))
    assert result.before is None and result.after is not None and result.better is None


def test_the_plan_counts_the_fits_that_judge(model: LoadedModel) -> None:
    short, judged = plan(model, [source()], QUICK.changed(crossfit=0)), plan(model, [source()], QUICK)
    assert judged.memory_bytes > short.memory_bytes and "2 fits" in judged.validation


def test_strokes_on_the_one_wrong_place_are_learnt_and_all_of_them_judge() -> None:
    """The seen case: ten strokes on a place that the model takes for something else, and few elsewhere."""
    sample, start = open_sample("uhcs0220"), open_model("uhcs")
    labels = np.zeros_like(sample.labels)
    rows, columns = np.nonzero(sample.labels[:400, :560] == 3)
    middle = (int(np.median(rows)), int(np.median(columns)))
    for number in range(10):
        row, column = middle[0] - 60 + 24 * (number // 2), middle[1] - 60 + 60 * (number % 2)
        labels[row : row + 7, column : column + 40] = 1
    config = PRESETS["fast"].changed(
        epochs=3, crop=128, threads=1, device="cpu", learning_rate=5e-3, anchor_weight=0.0, rehearsal=0.0
    )
    result = run(start, [Source("uhcs0220", sample.image, labels, "edits")], config)
    losses = [h.loss for h in result.history]
    assert losses[-1] < losses[0]
    assert result.after.pixels == int((labels > 0).sum()) and result.after.places == 10
    assert result.record["crossfit"] == 2 and result.changed is not None
