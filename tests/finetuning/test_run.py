"""The fine-tuning generator on real pixels and on tiny networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.control import Control
from phaseguide.datasets.samples import open_sample
from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.finetuning.cost_estimate import plan
from phaseguide.finetuning.events import FinetuneResult, Preview, PreviewField
from phaseguide.finetuning.learner import Learner
from phaseguide.finetuning.new_model import new_model
from phaseguide.finetuning.resuming import read_interrupted
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import Source
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.zoo import open_model
from phaseguide.phases import PhaseScheme
from phaseguide.training.events import EpochDone
from tiny_models import NAMES, tiny_image, tiny_labels, tiny_model

QUICK = FinetuneConfig(epochs=3, crop=64, batch=2, threads=1, device="cpu", preview_seconds=0.5)
SHAPE = (128, 192)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models"), "plm"))


def strokes(step: int = 23) -> np.ndarray:
    truth, painted = tiny_labels(SHAPE), np.zeros(SHAPE, dtype=np.uint8)
    for row in range(4, SHAPE[0] - 6, step):
        painted[row : row + 6, 5:-5] = truth[row : row + 6, 5:-5]
    return painted


def source(name: str = "field", **more: Any) -> Source:
    told = {"labels": strokes(), "kind": "edits", **more}
    return Source(name, tiny_image(0, SHAPE), **told)


def run(events: Iterator[Any]) -> tuple[FinetuneResult, list[Any]]:
    seen = list(events)
    assert isinstance(seen[-1], Finished)
    return seen[-1].result, seen[:-1]


def weights(result: FinetuneResult) -> str:
    return tensors_sha256(result.model.segmenter.state_dict())


def test_the_loss_goes_down_on_a_real_micrograph_and_the_encoder_stays() -> None:
    sample, start = open_sample("uhcs0220"), open_model("uhcs")
    labels = np.zeros_like(sample.labels)
    labels[100:300:12, 60:400] = sample.labels[100:300:12, 60:400]
    config = FinetuneConfig(
        epochs=10, threads=1, device="cpu", learning_rate=1e-3, anchor_weight=0.0, validation_share=0.0,
        rehearsal=0.0,
    )  # fmt: skip
    before = start.segmenter.state_dict()["backbone.net.encoder.model.conv_stem.weight"].clone()
    result, events = run(finetune(start, [Source("uhcs0220", sample.image, labels, "edits")], config))
    losses = [e.loss for e in events if isinstance(e, EpochDone)]
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:2])
    after = result.model.segmenter.state_dict()["backbone.net.encoder.model.conv_stem.weight"]
    assert torch.equal(after, before), "the fast way leaves the encoder as it is"


def test_held_out_blocks_get_better_and_the_card_tells_everything(model: LoadedModel) -> None:
    config = QUICK.changed(epochs=12, learning_rate=3e-3, crossfit=0)
    result, events = run(finetune(model, [source()], config, name="mine"))
    assert result.before is not None and result.after is not None
    assert result.better is True
    assert result.after.dice_mean > result.before.dice_mean
    assert result.after.pixels == sum(p.pixels for p in result.after.phases) > 0
    card = result.model.card
    assert card.name == "mine"
    assert card.training["parent"] == model.card.name
    assert card.training["data_sha256"] == result.data_sha256
    assert card.training["config"] == config.to_dict()
    assert card.scores["validation blocks"]["dice_mean"] == result.after.dice_mean
    totals = {e.total for e in events if isinstance(e, Progress) and "Learning" in e.stage}
    assert len(totals) == 1


@pytest.mark.parametrize("parts", ["fast", "thorough"])
def test_the_same_run_gives_the_same_weights(model: LoadedModel, parts: str) -> None:
    config = QUICK.changed(parts=parts, epochs=2)
    first, _ = run(finetune(model, [source()], config))
    again, _ = run(finetune(model, [source()], config))
    other, _ = run(finetune(model, [source()], config.changed(seed=1)))
    assert weights(first) == weights(again) != weights(other)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock for previews that moves ten seconds with every look, however quick the run is."""
    ticks = itertools.count(step=10.0)
    monkeypatch.setattr("phaseguide.finetuning.preview.time", SimpleNamespace(monotonic=lambda: next(ticks)))


@pytest.mark.usefixtures("hurried")
def test_previews_change_nothing(model: LoadedModel) -> None:
    field = PreviewField(tiny_image(1, SHAPE), None, "a")
    config = QUICK.changed(epochs=6)
    plain, _ = run(finetune(model, [source()], config))
    watched, events = run(finetune(model, [source()], config, preview=lambda: field))
    shown = [e for e in events if isinstance(e, Preview)]
    assert shown and shown[0].labels.shape == SHAPE and shown[0].key == "a"
    assert set(np.unique(shown[0].labels)) <= {1, 2, 3}
    assert weights(plain) == weights(watched)


@pytest.mark.parametrize("parts", ["fast", "thorough"])
def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    model: LoadedModel, parts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseguide.finetuning.run.SAVE_S", 0.0)
    config = QUICK.changed(parts=parts, epochs=4)
    whole, _ = run(finetune(model, [source()], config))
    checkpoint = tmp_path / "run.safetensors"
    for event in finetune(model, [source()], config, name="mine", checkpoint=checkpoint):
        if isinstance(event, EpochDone) and event.epoch == 2:
            break
    told = read_interrupted(checkpoint)
    assert told is not None and (told.name, told.epoch, told.epochs) == ("mine", 2, 4)
    rest, events = run(finetune(model, [source()], config, checkpoint=checkpoint))
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [3, 4]
    assert weights(rest) == weights(whole)
    assert [h.loss for h in rest.history] == [h.loss for h in whole.history]


@pytest.mark.parametrize(
    ("change", "words"),
    [("labels", "other labels"), ("settings", "other settings"), ("model", "another model")],
)
def test_a_checkpoint_of_another_run_is_refused(
    model: LoadedModel, change: str, words: str, tmp_path: Path
) -> None:
    checkpoint, sources, config, start = tmp_path / "run.safetensors", [source()], QUICK, model
    run(finetune(model, sources, QUICK.changed(epochs=1), checkpoint=checkpoint))
    if change == "labels":
        sources, config = [source(labels=strokes(31))], QUICK.changed(epochs=1)
    elif change == "model":
        config = QUICK.changed(epochs=1)
        start = load_model(tiny_model(tmp_path, "plm", seed=3))
    with pytest.raises(TrainingError, match=words):
        run(finetune(start, sources, config, checkpoint=checkpoint))


def test_a_damaged_checkpoint_is_told_and_not_taken(model: LoadedModel, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.safetensors"
    whole, _ = run(finetune(model, [source()], QUICK, checkpoint=checkpoint))
    harmed = bytearray(checkpoint.read_bytes())
    harmed[-100] ^= 1
    checkpoint.write_bytes(harmed)
    assert read_interrupted(checkpoint) is None
    anew, events = run(finetune(model, [source()], QUICK, checkpoint=checkpoint))
    said = [e.message for e in events if isinstance(e, Notice)]
    assert any("damaged" in s and "run-unused.safetensors" in s for s in said)
    assert weights(anew) == weights(whole) and (tmp_path / "run-unused.safetensors").read_bytes() == harmed
    checkpoint.write_bytes(b"a letter")
    with pytest.raises(TrainingError, match="is no training checkpoint, so it stays"):
        run(finetune(model, [source()], QUICK, checkpoint=checkpoint))


def test_label_maps_that_count_from_zero_are_told_first_and_strokes_are_not(model: LoadedModel) -> None:
    from_zero = tiny_labels(SHAPE) - 1
    for kind, told in (("full", True), ("edits", False)):
        events = finetune(model, [source(labels=from_zero, kind=kind)], QUICK.changed(epochs=1))
        said = []
        for event in events:
            if isinstance(event, EpochDone):
                break
            said += [event.message] if isinstance(event, Notice) else []
        assert any("from 0, add 1" in s for s in said) is told


def test_stop_ends_with_the_best_so_far(model: LoadedModel) -> None:
    control = Control()
    seen = []
    for event in finetune(model, [source()], QUICK.changed(epochs=50), control=control):
        seen.append(event)
        if isinstance(event, EpochDone) and event.epoch == 2:
            control.stop()
    result = seen[-1].result
    assert result.ended == "stopped"
    assert len(result.history) == 2
    best = max(e.dice_mean for e in result.history)
    assert result.after.dice_mean == pytest.approx(best)


def test_pause_waits_with_the_state_on_disk(model: LoadedModel, tmp_path: Path) -> None:
    control, checkpoint, waited = Control(), tmp_path / "run.safetensors", 0
    events = finetune(model, [source()], QUICK, control=control, checkpoint=checkpoint)
    for event in events:
        if isinstance(event, EpochDone) and event.epoch == 1:
            control.pause()
        if isinstance(event, Progress) and event.stage == "Paused":
            waited += 1
            assert read_interrupted(checkpoint).epoch == 1
            if waited == 3:
                control.resume()
        last = event
    assert waited == 3
    assert len(last.result.history) == QUICK.epochs


def test_a_ratio_alone_moves_the_area_shares_towards_it(tmp_path: Path) -> None:
    model = load_model(tiny_model(tmp_path, "plm", encoder="tu-tf_efficientnet_lite0"))
    wanted = (0.7, None, None)
    alone = source(labels=None, kind="ratio", ratio=wanted, tolerance=0.05)
    config = QUICK.changed(epochs=10, learning_rate=3e-3, ratio_weight=1.0)

    def share(one: LoadedModel) -> float:
        field = PreviewField(alone.image, None, 0)
        from phaseguide.finetuning.preview import Previewer

        shown = Previewer(None, 0.0, torch.device("cpu")).predict(one.segmenter, field, 0, frozen=False)
        return float((shown.labels == 1).mean())

    result, events = run(finetune(model, [alone], config))
    assert abs(share(result.model) - 0.7) < 0.5 * abs(share(model) - 0.7)
    assert result.before is None and result.better is None
    losses = [e.loss for e in events if isinstance(e, EpochDone)]
    assert losses[-1] < losses[0]


def test_mixed_sources_learn_together(model: LoadedModel) -> None:
    full = source("full", labels=tiny_labels(SHAPE), kind="full")
    told = source("told", labels=None, kind="ratio", ratio=(0.3, 0.3, 0.4))
    result, _ = run(finetune(model, [source(), full, told], QUICK))
    assert [s["kind"] for s in result.record["sources"]] == ["edits", "full", "ratio"]
    before = dict(model.segmenter.guidance.named_parameters())
    after = dict(result.model.segmenter.guidance.named_parameters())
    assert any(not torch.equal(before[n], after[n]) for n in before), "full labels teach the guidance"


def test_a_model_for_my_steel_learns_phases_that_no_model_knew() -> None:
    start = new_model(PhaseScheme.from_names(NAMES), name="my steel")
    result, _ = run(finetune(start, [source()], QUICK.changed(epochs=8, crop=128)))
    losses = [epoch.loss for epoch in result.history]
    assert losses[-1] < losses[0]
    assert result.before is None and result.better is None, "before it had learnt anything there is no number"
    assert result.after is not None and result.after.dice_mean is not None
    assert result.model.card.scheme.names == NAMES
    assert result.model.card.training_ratio_mean != [1 / 3] * 3


def test_memory_that_runs_out_halves_the_batch_then_the_crop_then_gives_up(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Learner.step

    def short(limit: int):
        def step(self: Learner, number: int, batch: int, done: float) -> float:
            if batch * self.material.crops[0].labels.numel() > limit:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return real(self, number, batch, done)

        return step

    config = QUICK.changed(crop=128, epochs=1)
    monkeypatch.setattr(Learner, "step", short(64 * 64))
    result, events = run(finetune(model, [source()], config))
    told = [e.message for e in events if isinstance(e, Notice)]
    assert ["1 crops a step" in t or "64 px" in t for t in told] == [True, True]
    assert (result.record["batch"], result.record["crop"]) == (1, 64)
    monkeypatch.setattr(Learner, "step", short(0))
    with pytest.raises(TrainingError, match="Memory does not suffice"):
        run(finetune(model, [source()], config))


def test_an_error_that_is_not_memory_is_not_swallowed(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> float:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Learner, "step", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(finetune(model, [source()], QUICK))


@pytest.mark.parametrize(("bad_steps", "ended"), [({10}, "done"), ({10, 12}, "unstable")])
def test_a_loss_that_is_no_number_goes_back_once_then_ends_with_the_best(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, bad_steps: set[int], ended: str
) -> None:
    real, calls = Learner.step, []

    def step(self: Learner, number: int, batch: int, done: float) -> float:
        calls.append(number)
        loss = real(self, number, batch, done)
        return float("nan") if len(calls) in bad_steps else loss

    monkeypatch.setattr(Learner, "step", step)
    result, events = run(finetune(model, [source()], QUICK))
    assert result.ended == ended
    assert sum("left the numbers" in e.message for e in events if isinstance(e, Notice)) == len(bad_steps)
    assert all(t.isfinite().all() for t in result.model.segmenter.state_dict().values())


@pytest.mark.parametrize(
    ("sources", "config", "words"),
    [
        ([], QUICK, "nothing to learn from"),
        ([source(labels=None, kind="edits")], QUICK, "no label and no ratio"),
        ([Source("c", np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.uint8), "full")], QUICK, "3 channels"),
        ([source()], QUICK.changed(validation_fields=("x",)), "no source x"),
        ([source()], QUICK.changed(validation_fields=("field",)), "Every labelled source validates"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_before_anything_is_learnt(
    model: LoadedModel, sources: list[Source], config: FinetuneConfig, words: str
) -> None:
    with pytest.raises(TrainingError, match=words):
        run(finetune(model, sources, config))


def test_what_judged_never_teaches_the_descendants_and_what_taught_never_judges(model: LoadedModel) -> None:
    image = tiny_image(0, (384, 384))
    truth = tiny_labels((384, 384))
    first, more = np.zeros_like(truth), np.zeros_like(truth)
    first[20:200:24, 5:-5] = truth[20:200:24, 5:-5]
    more[:] = first
    more[220:370:24, 5:-5] = truth[220:370:24, 5:-5]
    config = QUICK.changed(epochs=1)
    one, _ = run(finetune(model, [Source("f", image, first, "edits")], config))
    two, _ = run(finetune(one.model, [Source("f", image, more, "edits")], config))
    (was,), (now,) = one.record["blocks"].values(), two.record["blocks"].values()
    assert was["held"] and all(block in now["held"] for block in was["held"])
    assert len(now["held"]) > len(was["held"]), "new paint gives new judges"
    for block in now["held"]:
        assert block not in was["taught"] and block not in now["taught"]


def test_a_pause_in_the_middle_of_an_epoch_goes_on_to_the_same_weights(
    model: LoadedModel, tmp_path: Path
) -> None:
    checkpoint, control = tmp_path / "run.safetensors", Control()
    whole, _ = run(finetune(model, [source()], QUICK))
    for event in finetune(model, [source()], QUICK, checkpoint=checkpoint, control=control):
        if isinstance(event, Progress) and "Learning" in event.stage and event.done == 11:
            control.pause()
        if isinstance(event, Progress) and event.stage == "Paused":
            break  # as if the program died now
    rest, _ = run(finetune(model, [source()], QUICK, checkpoint=checkpoint))
    assert weights(rest) == weights(whole)


def test_the_order_of_the_sources_and_other_draws_change_nothing(model: LoadedModel) -> None:
    a, b = source("a"), source("b", labels=strokes(31))
    start = new_model(PhaseScheme.from_names(NAMES))  # its decoder has dropout
    config = QUICK.changed(epochs=1)
    first, _ = run(finetune(start, [a, b], config))
    torch.manual_seed(1234)
    again, _ = run(finetune(start, [b, a], config))
    assert weights(first) == weights(again)


@pytest.mark.usefixtures("hurried")
def test_a_broken_preview_ends_the_previews_and_not_the_run(model: LoadedModel) -> None:
    def broken() -> PreviewField:
        raise OSError("the file is gone")

    config = QUICK.changed(epochs=6)
    result, events = run(finetune(model, [source()], config, preview=broken))
    told = [e.message for e in events if isinstance(e, Notice)]
    assert len(told) == 1 and "without previews" in told[0]
    assert result.ended == "done"


def test_threads_are_what_they_were_afterwards(model: LoadedModel) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        run(finetune(model, [source()], QUICK.changed(epochs=1)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_fields_of_a_specimen_meet_its_ratio_in_the_mean(model: LoadedModel) -> None:
    from phaseguide.finetuning.material import prepare

    told = {"labels": None, "kind": "ratio", "ratio": (0.5, None, None), "group": "specimen 4711"}
    own = source("c", labels=None, kind="ratio", ratio=(0.2, None, None))
    made = prepare(model, [source("a", **told), source("b", **told), own], [], QUICK, QUICK.crop)
    groups = made.material.fields
    assert len(groups) == 2
    assert len(groups["specimen 4711"][0]) == 2 * len(groups["field 2"][0])


def test_a_model_that_has_grown_a_phase_is_not_held_to_what_it_said(model: LoadedModel) -> None:
    from phaseguide.finetuning.learner import knows_its_phases
    from phaseguide.models.rephase import origin_by_name, rephase

    uhcs = open_model("uhcs")
    assert knows_its_phases(uhcs.card)
    assert not knows_its_phases(model.card), "nobody has trained the tiny one"
    scheme = PhaseScheme.from_names((*uhcs.card.scheme.names, "austenite"))
    grown = rephase(uhcs, scheme, origin_by_name(uhcs.card.scheme, scheme))
    assert not knows_its_phases(grown.card)


def test_the_plan_tells_what_the_run_then_does(model: LoadedModel) -> None:
    told = plan(model, [source()], QUICK)
    _, events = run(finetune(model, [source()], QUICK))
    steps = [e for e in events if isinstance(e, Progress) and "Learning" in e.stage]
    assert told.steps == steps[-1].total == len(steps)
    assert told.seconds > 0 and told.memory_bytes > 0
    assert told.rows[0].labelled == int((strokes() > 0).sum())


def test_gamma_and_delta_start_where_they_are_told(model: LoadedModel) -> None:
    config = QUICK.changed(epochs=1, guidance_start=0.5, learning_rate=1e-6)
    result, _ = run(finetune(model, [source(labels=tiny_labels(SHAPE), kind="full")], config))
    gauges = result.history[-1].gauges
    assert gauges and all(value == pytest.approx(0.5, abs=0.01) for value in gauges.values())


def test_settings_make_the_round_trip() -> None:
    for preset in PRESETS.values():
        assert FinetuneConfig.from_dict(preset.to_dict()) == preset
    with pytest.raises(TrainingError, match="Unknown fine-tuning setting speed"):
        FinetuneConfig.from_dict({"speed": 3})
