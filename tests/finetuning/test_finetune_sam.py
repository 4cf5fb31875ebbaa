"""Fine-tuning Segment Anything models: adapters, guidance and decoder learn, what is frozen is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.errors import ModelError, TrainingError
from phaseguide.events import Finished, Notice
from phaseguide.finetuning import cost_estimate as plan_module
from phaseguide.finetuning import memory
from phaseguide.finetuning.config import PRESETS, FinetuneConfig, preset_for
from phaseguide.finetuning.cost_estimate import plan
from phaseguide.finetuning.events import FinetuneResult
from phaseguide.finetuning.feature_cache import FeatureCache, cache_for
from phaseguide.finetuning.learner import Learner
from phaseguide.finetuning.material import prepare
from phaseguide.finetuning.new_model import new_model
from phaseguide.finetuning.resuming import read_interrupted
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import Source
from phaseguide.jobs.keep_model import keep
from phaseguide.models.backbones.base import BackboneOptions, Features
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.network.embeddings import MEMORY
from phaseguide.training.adapters import is_checkpointing
from phaseguide.training.events import EpochDone
from sam_files import offer_base
from sam_steel import experienced_sam, fresh_sam, uhcs_sources
from tiny_models import NAMES, tiny_image, tiny_labels, tiny_model

QUICK = FinetuneConfig(parts="adapters", epochs=3, crop=64, batch=2, threads=1, device="cpu")
SHAPE = (128, 192)
SCHEME = PhaseScheme.from_names(NAMES)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return offer_base(monkeypatch, tmp_path)


def source(name: str = "field", seed: int = 0, **more: Any) -> Source:
    truth, painted = tiny_labels(SHAPE), np.zeros(SHAPE, dtype=np.uint8)
    for row in range(4, SHAPE[0] - 6, 23):
        painted[row : row + 6, 5:-5] = truth[row : row + 6, 5:-5]
    return Source(name, tiny_image(seed, SHAPE), **{"labels": painted, "kind": "edits", **more})


def run(events: Iterator[Any]) -> tuple[FinetuneResult, list[Any]]:
    seen = list(events)
    assert isinstance(seen[-1], Finished)
    return seen[-1].result, seen[:-1]


def weights(result: FinetuneResult) -> str:
    return tensors_sha256(result.model.segmenter.state_dict())


def moved(result: FinetuneResult, start: LoadedModel) -> set[str]:
    """Parts of the model that are not what they were."""
    old, new = start.segmenter.state_dict(), result.model.segmenter.state_dict()
    names = {n for n in old if not torch.equal(old[n], new[n])}
    return {
        part
        for part, mark in {"adapters": ".lora_", "decoder": ".decoder.", "guidance": "guidance."}.items()
        if any(mark in n for n in names)
    }


def make_learner(start: LoadedModel, config: FinetuneConfig, *, anchored: bool = True) -> Learner:
    material = prepare(start, [source()], [], config, config.crop).material
    return Learner(start.segmenter, material, config, torch.device("cpu"), anchored=anchored)


@pytest.mark.parametrize(
    ("parts", "learning"),
    [
        ("fast", {"decoder", "guidance"}),
        ("adapters", {"adapters", "decoder", "guidance"}),
        ("thorough", {"adapters", "decoder", "guidance"}),
    ],
)
def test_what_learns(base: str, parts: str, learning: set[str]) -> None:
    start = experienced_sam(base, SCHEME, guidance="additive")
    frozen = {n: t.clone() for n, t in start.segmenter.backbone.base.encoder.items()}
    config = QUICK.changed(parts=parts, validation_share=0.0)
    result, _ = run(finetune(start, [source(labels=tiny_labels(SHAPE), kind="full")], config))
    assert moved(result, start) == learning
    assert all(torch.equal(t, frozen[n]) for n, t in start.segmenter.backbone.base.encoder.items())


@pytest.mark.parametrize("blocks", [0, 1])
def test_real_steel_is_learnt_and_the_card_tells_of_what(base: str, blocks: int) -> None:
    (field,), scheme = uhcs_sources(slice(0, 1))
    start = fresh_sam(base, scheme, blocks=blocks, rank=16)
    config = PRESETS["adapters"].changed(
        epochs=6, crop=128, batch=2, learning_rate=5e-3, threads=1, device="cpu", patience=0,
        average=0.9,
    )  # fmt: skip
    result, events = run(finetune(start, [field], config, name="mine"))
    losses = [e.loss for e in events if isinstance(e, EpochDone)]
    assert losses[-1] < 0.85 * losses[0]
    assert result.before is None and result.better is None, "a head that has learnt nothing has no score"
    assert result.after is not None and result.after.dice_mean is not None
    card = result.model.card
    assert card.backbone.adapter == {"rank": 16, "blocks": blocks, "base": base, "merged": False}
    assert card.training["parent"] == "sam" and card.training["data_sha256"] == result.data_sha256
    assert card.training["config"]["parts"] == "adapters"


@pytest.mark.parametrize(
    ("parts", "blocks"), [("adapters", 0), ("adapters", 1), ("fast", 0), ("thorough", 1)]
)
def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    base: str, parts: str, blocks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseguide.finetuning.run.SAVE_S", 0.0)
    start = experienced_sam(base, SCHEME, blocks=blocks)
    config = QUICK.changed(parts=parts, epochs=2)
    known = [source("seen before", seed=3)]
    whole, _ = run(finetune(start, [source()], config, rehearsal=known))
    path = tmp_path / "run.checkpoint.safetensors"
    events = finetune(start, [source()], config, rehearsal=known, checkpoint=path)
    for event in events:
        if isinstance(event, EpochDone) and event.epoch == 1:
            break
    events.close()
    position = read_interrupted(path)
    assert position is not None and position.epoch == 1
    again = experienced_sam(base, SCHEME, blocks=blocks)  # as after a restart
    resumed, seen = run(finetune(again, [source()], config, rehearsal=known, checkpoint=path))
    assert weights(resumed) == weights(whole)
    assert any("Going on after epoch 1" in e.message for e in seen if isinstance(e, Notice))
    other = offer_base(monkeypatch, tmp_path / "other", seed=4)
    foreign = experienced_sam(other, SCHEME, blocks=blocks)
    with pytest.raises(TrainingError, match="another model to start from"):
        run(finetune(foreign, [source()], config, rehearsal=known, checkpoint=path))


def test_frozen_blocks_run_once_a_crop_and_symmetry(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.models.backbones.sam import SamBackbone

    count = {"encode_frozen": 0, "encode_adapted": 0}
    for name in count:
        original = getattr(SamBackbone, name)

        def counted(self: Any, value: Any, name: str = name, original: Any = original) -> Any:
            count[name] += len(value) if isinstance(value, torch.Tensor) else len(value.maps[0])
            return original(self, value)

        monkeypatch.setattr(SamBackbone, name, counted)
    learner = make_learner(experienced_sam(base, SCHEME, blocks=1), QUICK, anchored=False)
    crops, steps = learner.material.taught, 60
    for number in range(steps):
        learner.step(number, 2, 0.1)
    assert crops < count["encode_frozen"] <= 8 * crops < 2 * steps
    assert count["encode_adapted"] == 2 * steps


def test_keeping_tokens_changes_no_bit(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In full precision: learning on kept tokens is learning on tokens that are computed each time."""
    start = experienced_sam(base, SCHEME, blocks=1)
    kept, fresh = (make_learner(start, QUICK) for _ in range(2))
    assert kept.cache is not None and fresh.cache is not None
    losses = [kept.step(number, 2, 0.1) for number in range(6)]
    monkeypatch.setattr("phaseguide.finetuning.feature_cache.BUDGET", 1)
    assert [fresh.step(number, 2, 0.1) for number in range(6)] == losses
    assert tensors_sha256(kept.model.state_dict()) == tensors_sha256(fresh.model.state_dict())
    assert fresh.cache.encoded > kept.cache.encoded


def test_kept_tokens_complete_to_the_features_of_the_whole_encoder(base: str) -> None:
    start = experienced_sam(base, SCHEME, blocks=1)
    cache = cache_for("adapters", start.segmenter, torch.device("cpu"), 0)
    assert cache is not None and cache_for("thorough", start.segmenter, torch.device("cpu"), 0) is None
    material = prepare(start, [source()], [], QUICK, 64).material
    with torch.no_grad():
        ours = cache.completed(start.segmenter, cache.features(material.crops, [(0, 0)]))
        whole = start.segmenter.encode(material.crops[0].pixels[None])
    assert torch.equal(ours.maps[0], whole.maps[0])
    assert cache_for("adapters", fresh_sam(base, SCHEME).segmenter, torch.device("cpu"), 0) is None, (
        "nothing comes before the first adapted block"
    )
    assert isinstance(cache_for("fast", start.segmenter, torch.device("cpu"), 0), FeatureCache)


@pytest.mark.parametrize("blocks", [0, 1])
def test_the_anchor_is_the_model_before(base: str, blocks: int) -> None:
    """Before the first step it says what the model says; its own adapters stay where they were."""
    learner = make_learner(experienced_sam(base, SCHEME, blocks=blocks), QUICK)
    assert learner.anchor is not None
    drawn = learner._batch([(0, 3), (1, 0)])
    before = learner._features_of(learner.anchor, drawn).maps[0].clone()
    assert torch.allclose(before, drawn.features.maps[0], atol=2e-3)  # half precision
    for number in range(8):
        learner.step(number, 2, 0.1)
    drawn = learner._batch([(0, 3), (1, 0)])
    assert torch.equal(learner._features_of(learner.anchor, drawn).maps[0], before)
    assert not torch.allclose(before, drawn.features.maps[0], atol=2e-3)


def test_all_copies_share_the_base_in_memory(base: str) -> None:
    start = experienced_sam(base, SCHEME)
    learner = make_learner(start, QUICK)
    learner.step(0, 2, 0.1)
    models = [learner.model, learner.average, learner.best, learner.anchor]
    with torch.no_grad():
        for model in models:
            model.encode(torch.zeros(1, 1, 64, 64))
    weights_at = {m.backbone.encoder.blocks[1].mlp.fc1.weight.data_ptr() for m in models}
    assert weights_at == {start.segmenter.backbone.base.encoder["blocks.1.mlp.fc1.weight"].data_ptr()}
    random = GuidedSegmenter(BackboneOptions("sam", "vit_tiny", 1), GuidanceOptions("none"), SCHEME)
    loaded = LoadedModel(random, start.card, Path())
    one = make_learner(loaded, QUICK)
    assert one.model.backbone.base is one.average.backbone.base, "random weights are drawn once"


def test_adapters_learn_at_the_full_rate(base: str) -> None:
    learner = make_learner(experienced_sam(base, SCHEME), QUICK)
    assert {g["peak"] for g in learner.optimiser.param_groups} == {QUICK.learning_rate}


def test_a_network_without_adapters_is_refused(tmp_path: Path, base: str) -> None:
    unet = load_model(tiny_model(tmp_path, "plm"))
    for call in (lambda: run(finetune(unet, [source()], QUICK)), lambda: plan(unet, [source()], QUICK)):
        with pytest.raises(TrainingError, match=r"tiny-plm.*has no adapters.*fast or thorough"):
            call()
    bare = fresh_sam(base, SCHEME, rank=0)
    with pytest.raises(TrainingError, match="has no adapters"):
        run(finetune(bare, [source()], QUICK))
    assert preset_for(bare.card.backbone.adapter) == preset_for(unet.card.backbone.adapter) == "fast"
    assert preset_for(fresh_sam(base, SCHEME).card.backbone.adapter) == "adapters"
    assert preset_for({"rank": 0, "merged": True}) == "fast"


def test_memory_that_runs_out_is_saved_step_by_step(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step, tried = Learner.step, []

    def failing(self: Learner, number: int, batch: int, done: float) -> float:
        tried.append((batch, self.material.crops[0].labels.shape[0], is_checkpointing(self.model)))
        if len(tried) < 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return step(self, number, batch, done)

    monkeypatch.setattr(Learner, "step", failing)
    config = QUICK.changed(crop=128, epochs=1)
    result, events = run(finetune(experienced_sam(base, SCHEME), [source()], config))
    assert tried[:4] == [(2, 128, False), (2, 128, True), (1, 128, True), (1, 64, True)]
    told = [e.message for e in events if isinstance(e, Notice)]
    assert "computed twice" in told[0] and "1 crops a step" in told[1] and "crops of 64 px" in told[2]
    assert result.ended == "done"


def test_little_memory_is_seen_before_the_first_step(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = experienced_sam(base, SCHEME)
    config = QUICK.changed(epochs=1)
    plenty = plan(start, [source()], config)
    assert memory.SAVING not in plenty.notes
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    told = plan(start, [source()], config)
    assert memory.SAVING in told.notes and told.memory_bytes <= plenty.memory_bytes
    _, events = run(finetune(start, [source()], config))
    assert [e.message for e in events if isinstance(e, Notice)] == [memory.SAVING]
    _, fast = run(finetune(start, [source()], config.changed(parts="fast")))
    assert not [e for e in fast if isinstance(e, Notice)], "nothing is computed twice where nothing is kept"


def test_kept_embeddings_make_way_for_learning(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step, held = Learner.step, []
    MEMORY.put(("image", "features", "cpu"), Features([torch.zeros(8)], 64, 64), room=1_000)

    def failing(self: Learner, number: int, batch: int, done: float) -> float:
        held.append(MEMORY.held("image"))
        if len(held) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return step(self, number, batch, done)

    monkeypatch.setattr(Learner, "step", failing)
    run(finetune(experienced_sam(base, SCHEME), [source()], QUICK.changed(epochs=1)))
    assert held[0] > 0 and held[1] == 0


def test_another_stroke_is_only_counted_again(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = experienced_sam(base, SCHEME)
    config = QUICK.changed(learning_rate=1e-3, epochs=50, crossfit=0)
    first = plan(start, [source()], config)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a learner was built")

    monkeypatch.setattr(plan_module, "Learner", forbidden)
    assert plan(start, [source()], config) == first
    more = plan(start, [source(), source("another", 1), source("third", 2)], config)
    assert more.crops > first.crops and more.steps > first.steps
    assert more.seconds / more.steps == pytest.approx(first.seconds / first.steps, rel=0.5)
    for change in ({"crop": 96}, {"batch": 3}, {"parts": "fast"}, {"threads": 2}):
        with pytest.raises(AssertionError, match="a learner was built"):
            plan(start, [source()], config.changed(**change))


def test_the_estimate_counts_the_base_once_and_grows_with_what_learns(base: str) -> None:
    start = fresh_sam(base, SCHEME)
    segmenter = start.segmenter
    own = sum(p.numel() * 4 for p in segmenter.parameters())
    frozen = sum(t.numel() * 4 for t in segmenter.backbone.base.encoder.values())
    held = memory.held_bytes(segmenter)
    assert frozen + 7 * own <= held < 2 * frozen + 7 * own
    fast, all_blocks = (memory.step_bytes(segmenter, parts, 256, 2) for parts in ("fast", "adapters"))
    one = memory.step_bytes(fresh_sam(base, SCHEME, blocks=1).segmenter, "adapters", 256, 2)
    assert fast < one < all_blocks


@pytest.mark.parametrize(
    ("crop", "blocks", "again", "measured"),
    [
        (256, 0, False, 8497),
        (512, 0, False, 6842),
        (256, 4, False, 2796),
        (256, 0, True, 3522),
        (512, 0, True, 2715),
    ],
)
def test_the_estimate_of_vit_b_is_near_what_was_measured(
    crop: int, blocks: int, again: bool, measured: int
) -> None:
    """Bytes a pixel; see `phaseguide.finetuning.memory` for where they come from."""
    with torch.device("meta"):
        segmenter = GuidedSegmenter(
            BackboneOptions("sam", "vit_b", 1, {}, {"rank": 16, "blocks": blocks}),
            GuidanceOptions("none"),
            SCHEME,
        )
    segmenter.backbone.use_checkpointing(again)
    assert memory.step_bytes(segmenter, "adapters", crop, 1) / crop**2 == pytest.approx(measured, rel=0.2)


def test_a_kept_version_is_small_and_runs_as_it_was_judged(base: str, tmp_path: Path) -> None:
    start = experienced_sam(base, SCHEME)
    result, _ = run(finetune(start, [source()], QUICK.changed(epochs=1), name="mine"))
    path, card = keep(result.model, tmp_path / "models", "mine")
    own = sum(p.numel() for p in result.model.segmenter.parameters())
    assert path.stat().st_size < 2 * own + 40_000
    assert (
        card.backbone.adapter["base"] == base and card.training["parent_sha256"] == start.card.tensors_sha256
    )
    image = torch.from_numpy(tiny_image(0, (64, 64))).float()[None, None] / 127.5 - 1
    with torch.no_grad():
        assert torch.allclose(load_model(path).segmenter(image), result.model.segmenter(image), atol=0.05)


def test_a_new_model_needs_its_base_and_says_how_to_get_it(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"phase {i}" for i in range(5)]  # more than SAM has masks: fresh numbers are drawn
    one, two = (fresh_sam(base, PhaseScheme.from_names(names)) for _ in range(2))
    assert tensors_sha256(one.segmenter.state_dict()) == tensors_sha256(two.segmenter.state_dict())
    assert one.segmenter.guidance_options.scales == 1
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"sam_vit_b_01ec64\.pth"):
        new_model(SCHEME, sam="vit_b")
    with pytest.raises(ModelError, match="no Segment Anything encoder 'vit_x'"):
        new_model(SCHEME, sam="vit_x")
    assert new_model(SCHEME).card.backbone.architecture == "fpn", (
        "ImageNet stays what a new model starts from"
    )
    assert new_model(SCHEME).card.guidance.kind == "ccrm"
