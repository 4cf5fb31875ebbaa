"""Fine-tuning as published, item by item; and guidance that is exchanged."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice
from phaseguide.finetuning import learner as learner_module
from phaseguide.finetuning.config import PRESETS, FinetuneConfig, find_departures
from phaseguide.finetuning.cost_estimate import plan
from phaseguide.finetuning.crops import label_crops
from phaseguide.finetuning.events import FinetuneResult
from phaseguide.finetuning.judging import judge as judge_module
from phaseguide.finetuning.learner import Learner
from phaseguide.finetuning.losses import label_loss, squared_window_loss
from phaseguide.finetuning.material import prepare
from phaseguide.finetuning.new_guidance import with_asked_guidance
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import Source
from phaseguide.jobs.finetune_start import make_config
from phaseguide.models.guidance.plm import PhaseLearningModule
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.training.events import EpochDone
from tiny_models import tiny_image, tiny_labels, tiny_model

SHAPE = (128, 192)
CPU = torch.device("cpu")
PUBLISHED = PRESETS["as published"].changed(
    epochs=2, crop=64, batch=2, threads=1, device="cpu", preview_seconds=0.5,
    guidance_options={"width": 8, "coordinates": True, "gamma": 0.5, "delta": 0.5},
)  # fmt: skip


@pytest.fixture(scope="module", params=["ccrm", "none"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models"), request.param))


@pytest.fixture(scope="module")
def ccrm(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models"), "ccrm"))


@pytest.fixture(scope="module")
def plm(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("models"), "plm"))


def labelled(name: str = "field", seed: int = 0) -> Source:
    return Source(name, tiny_image(seed, SHAPE), tiny_labels(SHAPE), "full")


def painted() -> Source:
    strokes = np.zeros(SHAPE, dtype=np.uint8)
    strokes[10:110:20, 5:-5] = tiny_labels(SHAPE)[10:110:20, 5:-5]
    return Source("painted", tiny_image(0, SHAPE), strokes, "edits")


def run(events: Iterator[Any]) -> tuple[FinetuneResult, list[str]]:
    seen = list(events)
    assert isinstance(seen[-1], Finished)
    return seen[-1].result, [e.message for e in seen if isinstance(e, Notice)]


def made(model: LoadedModel, config: FinetuneConfig, *sources: Source) -> Learner:
    begun, config, _ = with_asked_guidance(model, config)
    material = prepare(model, sources or (labelled(),), (), config, config.crop).material
    return Learner(begun.segmenter, material, config, CPU, anchored=False)


def test_a_fresh_phase_learning_module_takes_the_place_of_other_guidance(model: LoadedModel) -> None:
    had = model.segmenter.guidance_options.kind
    before = copy.deepcopy(model.segmenter.state_dict())
    result, said = run(finetune(model, [labelled(), labelled("other", 1)], PUBLISHED))
    words = (
        "has no guidance; 'plm' begins as a fresh module"
        if had == "none"
        else f"({had}, scales: 1) is dropped"
    )
    assert any(words in text for text in said)
    segmenter, card = result.model.segmenter, result.model.card
    assert len(segmenter.guidance) == 1 and isinstance(segmenter.guidance[0], PhaseLearningModule)
    assert segmenter.guidance[0].channels == segmenter.backbone.channels[-1]
    assert card.guidance.kind == "plm" and card.guidance.options["gamma"] == 0.5
    assert words in card.training["guidance_exchanged"]
    after = model.segmenter.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items()), (
        "the start is not changed"
    )
    gauges = result.history[-1].gauges
    assert len(gauges) == 2 and all(value == pytest.approx(0.5, abs=0.01) for value in gauges.values())


def test_a_module_of_the_same_form_is_kept_with_gamma_and_delta_at_a_half(plm: LoadedModel) -> None:
    config = PUBLISHED.changed(guidance_options={"width": 16, "gamma": 0.5, "delta": 0.5})
    begun, same, told = with_asked_guidance(plm, config)
    assert begun is plm and same is config and not told
    module = made(plm, config).model.guidance[0]
    assert module.gamma.item() == module.delta.item() == 0.5
    assert torch.equal(
        module.spatial_awareness[0].weight, plm.segmenter.guidance[0].spatial_awareness[0].weight
    )
    assert with_asked_guidance(plm, PUBLISHED)[2], "of another width it is another module"
    assert with_asked_guidance(plm, FinetuneConfig()) == (plm, FinetuneConfig(), "")
    bare, _, told = with_asked_guidance(plm, FinetuneConfig(guidance="none"))
    assert bare.card.guidance.kind == "none" and "goes on without any" in told


def test_the_preset_is_wide_and_has_coordinates_at_one_scale() -> None:
    preset = PRESETS["as published"]
    options = {
        name: value for name, value in preset.guidance_options.items() if name not in ("gamma", "delta")
    }
    assert (preset.guidance, preset.guidance_scales, options) == (
        "plm",
        1,
        {"width": 256, "coordinates": True},
    )
    assert (preset.learning_rate, preset.batch, preset.epochs, preset.parts) == (1e-5, 8, 40, "thorough")


def test_the_same_seed_begins_with_the_same_module(ccrm: LoadedModel) -> None:
    first, again, other = (
        with_asked_guidance(ccrm, PUBLISHED.changed(seed=seed))[0].segmenter.guidance.state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_adam_at_a_constant_rate_without_a_limit_to_the_gradient(ccrm: LoadedModel) -> None:
    learner = made(ccrm, PUBLISHED)
    assert type(learner.optimiser) is torch.optim.Adam
    for done in (0.0, 0.5, 0.99):
        learner.step(0, 2, done)
        assert {group["lr"] for group in learner.optimiser.param_groups} == {1e-5}
    norm = sum(float(p.grad.square().sum()) for p in learner.model.parameters() if p.grad is not None) ** 0.5
    limited = made(ccrm, PUBLISHED.changed(clip_gradient=1e-3))
    limited.step(0, 2, 0.5)
    cut = sum(float(p.grad.square().sum()) for p in limited.model.parameters() if p.grad is not None) ** 0.5
    assert cut == pytest.approx(1e-3, rel=0.01) and norm > 2e-3


def test_windows_are_shown_their_exact_ratio(ccrm: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    decode = learner_module.decode_shown

    def watched(model: Any, features: Any, given: Any, labels: Any, *rest: Any) -> Any:
        shown.append(given)
        return decode(model, features, given, labels, *rest)

    monkeypatch.setattr(learner_module, "decode_shown", watched)
    for changes, exact in (({}, True), ({"ratio_noise": 0.5}, False), ({"ratio_dropout": 1.0}, False)):
        shown.clear()
        learner = made(ccrm, PUBLISHED.changed(validation_share=0.0, **changes))
        for number in range(4):
            learner.step(number, 2, 0.5)
        true = [crop.ratio(3).tolist() for crop in learner.material.crops]
        same = [given is not None and all(row in true for row in given.tolist()) for given in shown]
        assert len(same) == 4 and (all(same) if exact else not any(same)), changes


def test_windows_with_held_out_pixels_are_told_what_is_known_of_them(ccrm: LoadedModel) -> None:
    """With blocks held out, by the labels that teach alone hardly a window would have a ratio."""
    learner = made(ccrm, PUBLISHED)
    picks = [(i, 3) for i in range(learner.material.taught)]
    ratios = learner._ratios(learner._batch(picks))
    known = torch.stack([learner.material.crops[i].ratio(3) for i, _ in picks])
    assert torch.equal(ratios, known)
    assert not bool(torch.isnan(ratios).any())
    taught = made(plm_of(ccrm), PUBLISHED.changed(ratio_from="taught", guidance="", guidance_options={}))
    assert bool(torch.isnan(taught._ratios(taught._batch(picks))).any())


def plm_of(model: LoadedModel) -> LoadedModel:
    return with_asked_guidance(model, PUBLISHED)[0]


def test_crops_are_only_turned(ccrm: LoadedModel) -> None:
    learner = made(ccrm, PUBLISHED.changed(validation_share=0.0))
    for symmetry in range(8):
        crop = learner.material.crops[0]
        pixels, labels, _ = learner._augmented(crop, symmetry)
        assert torch.equal(pixels.flatten().sort().values, crop.pixels.flatten().sort().values)
        assert torch.equal(labels.flatten().sort().values, crop.labels.flatten().sort().values)


def test_the_error_of_the_ratio_is_that_of_each_window() -> None:
    labels = torch.ones(2, 2, 2, dtype=torch.long)
    labels[1] = 2
    even = torch.zeros(2, 2, 2, 2)  # a half of each phase in each window, which pooled would be right
    assert float(squared_window_loss(even, labels)) == pytest.approx(0.25)
    labels[1] = 0
    assert float(squared_window_loss(even, labels)) == pytest.approx(0.25), (
        "a window without a label has no say"
    )
    right = (
        torch.nn.functional.one_hot(torch.tensor([[[0, 0], [0, 0]], [[1, 1], [1, 1]]]), 2).movedim(-1, 1)
        * 50.0
    )
    labels[1] = 2
    assert float(squared_window_loss(right, labels)) == pytest.approx(0, abs=1e-6)


def test_pixels_count_alike() -> None:
    logits, labels = torch.randn(1, 2, 4, 4), torch.ones(1, 4, 4, dtype=torch.long)
    labels[0, 0, 0] = 2
    loss = label_loss(
        logits, labels, torch.tensor([15.0, 1.0]), cross_entropy_weight=0.7, dice_weight=0.0, balance=1.0
    )
    assert float(loss) == pytest.approx(
        0.7 * float(torch.nn.functional.cross_entropy(logits, labels - 1)), rel=1e-5
    )


def test_a_window_knows_its_ratio_by_all_labels_of_its_field() -> None:
    source = labelled()
    half = tiny_labels(SHAPE)
    half[:, 30:] = 0
    (crop,) = label_crops([source], [half], 64, (1.0,))[:1]
    assert bool((crop.labels == 0).any()), "some of it is held out"
    shares = crop.ratio(3)
    assert float(shares.sum()) == pytest.approx(1) and not bool(torch.isnan(shares).any())
    (stroke, *_) = label_crops([painted()], [painted().labels], 64, (1.0,))
    assert bool(torch.isnan(stroke.ratio(3)).all())


def test_it_is_judged_with_the_true_ratio_and_then_run_so(
    ccrm: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    judge = judge_module.count_crops

    def watched(*arguments: Any) -> Any:
        ways.append(arguments[-1])
        return judge(*arguments)

    monkeypatch.setattr(judge_module, "count_crops", watched)
    result, said = run(finetune(ccrm, [labelled()], PUBLISHED))
    assert set(ways) == {"true"} and len(ways) == 4
    assert result.after is not None and result.after.source.endswith("told its true ratio")
    assert result.model.card.inference.mode == "conditioned"
    assert not any("judged without one" in text for text in said)
    ways.clear()
    deaf = PUBLISHED.changed(
        epochs=1, guidance_options={**PUBLISHED.guidance_options, "use_ratio_encoder": False}
    )
    result, said = run(finetune(ccrm, [labelled()], deaf))
    assert set(ways) == {"none"} and result.model.card.inference.mode == "matched"
    assert not any("judged without one" in text for text in said), (
        "its blocks have a ratio, and nothing takes it"
    )


def test_held_out_strokes_have_no_ratio_which_is_said(ccrm: LoadedModel) -> None:
    sources = [painted(), Source("told", tiny_image(1, SHAPE), None, "ratio", (0.3, 0.3, 0.4))]
    result, said = run(finetune(ccrm, sources, PUBLISHED.changed(epochs=1)))
    assert any("judged without one" in text for text in said)
    assert result.model.card.inference.mode == "matched"


@pytest.mark.parametrize("numbers", [(0, 2), (0, 1)])
def test_a_field_with_only_a_ratio_is_always_told(
    ccrm: LoadedModel, numbers: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source("told", tiny_image(1, SHAPE), None, "ratio", (0.3, 0.3, 0.4))
    learner = made(ccrm, PUBLISHED, source)
    told: list[Any] = []
    decode = learner.model.decode
    monkeypatch.setattr(
        learner.model, "decode", lambda features, ratio: told.append(ratio) or decode(features, ratio)
    )
    for number in numbers:
        learner.step(number, 2, 0.5)
    assert len(told) == 2 and all(one is not None for one in told)


def test_fresh_guidance_without_a_ratio_is_refused_at_once(ccrm: LoadedModel, plm: LoadedModel) -> None:
    for ask in (
        lambda: list(finetune(ccrm, [painted()], PUBLISHED)),
        lambda: plan(ccrm, [painted()], PUBLISHED),
    ):
        with pytest.raises(TrainingError, match=r"no window of 64 px is labelled all over.*another preset"):
            ask()
    kept = PUBLISHED.changed(guidance_options={"width": 16}, epochs=1)
    assert run(finetune(plm, [painted()], kept))[0].history, "guidance that is kept may rest"
    assert run(
        finetune(ccrm, [painted()], PUBLISHED.changed(guidance="none", guidance_options={}, epochs=1))
    )[0].history


def test_the_plan_tells_that_guidance_is_exchanged(ccrm: LoadedModel) -> None:
    assert any("is dropped" in note for note in plan(ccrm, [labelled()], PUBLISHED).notes)
    assert not any("dropped" in note for note in plan(ccrm, [labelled()], replace_guidance(PUBLISHED)).notes)


def test_what_differs_from_the_publication_is_said_and_stands_in_the_record(ccrm: LoadedModel) -> None:
    assert find_departures(PRESETS["as published"]) == {} == find_departures(FinetuneConfig(epochs=3))
    events = list(finetune(ccrm, [labelled()], PUBLISHED.changed(epochs=1, average=0.5)))
    assert [e.stage for e in events if isinstance(e, EpochDone)] == ["as published"]
    result, said = run(iter(events))
    (told,) = (text for text in said if "not quite as published" in text)
    assert "epochs 1 instead of 40" in told and "average" not in told, "what is not stated there is not told"
    departures = result.model.card.training["departures"]
    assert departures["guidance_options"] == {"published": {"width": 256}, "here": {"width": 8}}
    assert any("not quite as published" in note for note in plan(ccrm, [labelled()], PUBLISHED).notes)


def test_options_of_the_preset_belong_to_its_kind_of_guidance() -> None:
    other = make_config("as published", {"guidance": "ccrm"})
    assert (other.guidance, other.guidance_options, other.guidance_scales) == ("ccrm", {}, 0)
    assert make_config("as published", {"guidance": "plm"}) == PRESETS["as published"]
    own = make_config("as published", {"guidance": "ccrm", "guidance_options": {"delta": 0.5}})
    assert own.guidance_options == {"delta": 0.5}


def replace_guidance(config: FinetuneConfig) -> FinetuneConfig:
    return config.changed(guidance="", guidance_options={}, guidance_scales=0)


def test_a_stopped_run_goes_on_to_the_same_weights(ccrm: LoadedModel, tmp_path: Path) -> None:
    config = PUBLISHED.changed(learning_rate=1e-3)
    whole, _ = run(finetune(ccrm, [labelled()], config))
    path = tmp_path / "run.safetensors"
    again, _ = run(finetune(ccrm, [labelled()], config, checkpoint=path))
    resumed, said = run(finetune(ccrm, [labelled()], config, checkpoint=path))
    assert any("Going on" in text for text in said)
    for other in (again, resumed):
        pairs = zip(
            whole.model.segmenter.state_dict().values(),
            other.model.segmenter.state_dict().values(),
            strict=True,
        )
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_checkpoint_from_before_these_settings_is_gone_on_from(ccrm: LoadedModel, tmp_path: Path) -> None:
    from phaseguide.finetuning.resuming import load_position
    from phaseguide.training import checkpoint as checkpoint_module

    config = FinetuneConfig(epochs=1, crop=64, batch=2, threads=1, device="cpu")
    path = tmp_path / "run.safetensors"
    run(finetune(ccrm, [labelled()], config, checkpoint=path))
    tensors, state = checkpoint_module.load_checkpoint(path)
    new = ("protocol", "guidance", "balance", "rate_schedule", "ratio_noise", "validation_ratio")
    old = {name: value for name, value in state["config"].items() if name not in new}
    identity = {key: state[key] for key in ("config", "model", "data")}
    state["config"] = old

    def read(_: Path) -> Any:
        return tensors, state

    import phaseguide.finetuning.resuming as resuming

    original = resuming.load_checkpoint
    try:
        resuming.load_checkpoint = read  # type: ignore[assignment]
        assert load_position(path, identity)["model"] == identity["model"]
        with pytest.raises(TrainingError, match="other settings"):
            load_position(path, {**identity, "config": {**identity["config"], "balance": 1.0}})
    finally:
        resuming.load_checkpoint = original


def test_guidance_on_scores_is_left_out_of_a_model_that_learns_on_and_that_is_told(tmp_path: Path) -> None:
    start = load_model(tiny_model(tmp_path, "refine"))
    both = start.card.inference.model_copy(update={"mode": "both"})
    start = replace(start, card=start.card.model_copy(update={"inference": both}))
    settings = FinetuneConfig(epochs=1, crop=64, batch=2, threads=1, device="cpu")
    events = list(finetune(start, [labelled()], settings, name="new"))
    told = [e.message for e in events if isinstance(e, Notice)]
    assert any("guidance on scores (refine) of the model to start from" in message for message in told)
    new = events[-1].result.model
    assert new.card.guidance.kind == "none" and new.segmenter.refinement is None
    assert new.card.inference.mode == "matched"
