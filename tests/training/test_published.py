"""Trained as published: item by item what differs from the usual schedule, and that the usual one is what it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from phaseguide.errors import RatioError, TrainingError
from phaseguide.events import Notice
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import validate_ratio
from phaseguide.training import trainer
from phaseguide.training.augmentation import jitter_brightness
from phaseguide.training.building import build_model
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, TrainingImage, split_images
from phaseguide.training.drawing import draw_crops
from phaseguide.training.dropout import own_draws, own_dropout
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.losses import crop_ratios, segmentation_loss
from phaseguide.training.presets import find_departures, training_config
from phaseguide.training.stages import noisy_ratios, plan_stages, prepare, set_modes, set_rate, update_average
from phaseguide.training.tiled import decode_field, encode_field
from phaseguide.training.trainer import _Run, train
from phaseguide.training.validation import judged_by, validate
from phaseguide.training.windows import SlidingWindows, feed_for, plan_windows
from textures import SCHEME, TINY, config, data, field

CPU = torch.device("cpu")


def published(**changes: Any) -> TrainingConfig:
    """The preset, on a tiny network and few, large steps."""
    small = {
        "encoder": "tu-test_efficientnet", "decoder": TINY, "encoder_weights": "none", "crop": 64, "epochs": 2,
        "threads": 1, "device": "cpu", "learning_rate": 1e-3, "batch": 4,
        "guidance_options": {"width": 8, "coordinates": True, "gamma": 0.5, "delta": 0.5},
    }  # fmt: skip
    return training_config("published", {**small, **changes}, "cpu")


def outcome(images: TrainingData, cfg: TrainingConfig, **more: Any) -> tuple[list[str], TrainingResult]:
    events = list(train(images, cfg, **more))
    return [e.message for e in events if isinstance(e, Notice)], events[-1].result  # type: ignore[union-attr]


def test_the_usual_schedule_is_bit_for_bit_what_it_is_written_out() -> None:
    """Crops at random, AdamW with warm-up and half cosine, norm clipped at 1, cross-entropy + Dice + 0.1 of L1."""
    cfg, images = config(epochs=1, guidance_epochs=1), data()
    _, result = outcome(images, cfg)
    generator = torch.Generator().manual_seed(cfg.seed)
    with torch.random.fork_rng():
        model = build_model(cfg, images.scheme, 1).to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    own_dropout(model, generator)
    steps = max(1, round(sum(i.labels.numel() for i in images.train) / (cfg.crop**2 * cfg.batch)))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for stage in plan_stages(cfg):
        if stage.name == "guidance":
            model.load_state_dict(average.state_dict())
        optimiser = prepare(model, stage, cfg)
        assert type(optimiser) is torch.optim.AdamW
        for step in range(steps):
            set_rate(optimiser, step, steps)
            set_modes(model, stage, cfg)
            redraws = 20 if stage.name == "guidance" else 0
            pixels, labels, ratios = draw_crops(images, cfg, generator, redraws=redraws)
            shown = jitter_brightness(pixels, stage.degrade, generator)
            given = noisy_ratios(ratios, stage.ratio_dropout, 0.5, generator)
            with own_draws(generator, CPU):
                with torch.set_grad_enabled(stage.name != "guidance"):
                    features = model.encode(shown.to(memory_format=torch.channels_last))
                logits = model.decode(features, given)
            loss = segmentation_loss(
                logits, labels, dice_weight=1.0, composition_weight=stage.composition_weight, asked=given
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            update_average(average, model, cfg.average, step)
    torch.set_num_threads(before)
    learnt = result.segmenter.state_dict()
    assert all(torch.equal(learnt[name], tensor) for name, tensor in average.state_dict().items())


# -- what is learnt, and by which loss --------------------------------------------------------------


def test_one_module_of_width_256_with_coordinates_at_the_encoder_output() -> None:
    cfg = training_config("published", {"device": "cpu"}, "cpu")
    assert [s.name for s in plan_stages(cfg)] == ["joint"], "all learns at once"
    with torch.device("meta"):
        backbone = BackboneOptions(cfg.architecture, cfg.encoder, 1, dict(cfg.decoder))
        guidance = GuidanceOptions(cfg.guidance, dict(cfg.guidance_options), cfg.guidance_scales)
        model = GuidedSegmenter(backbone, guidance, PhaseScheme.from_names(["a", "b", "c"]))
    assert len(model.guidance) == 1 and model.guidance[0].channels == model.backbone.channels[-1]
    assert sum(p.numel() for p in model.guidance[0].ratio_encoder.parameters()) == 33_536
    assert sum(p.numel() for p in model.guidance[0].spatial_awareness.parameters()) == 21_504


def test_gamma_and_delta_begin_at_a_half() -> None:
    _, result = outcome(data(), published(epochs=1, learning_rate=1e-8))
    gauges = result.record["gauges"][-1]
    assert gauges and all(value == pytest.approx(0.5, abs=1e-3) for value in gauges.values())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("given", [{"architecture": "sam"}, {"architecture": "sam", "encoder": "vit_l"}])
def test_lora_sam_takes_the_preset_with_coordinates(given: dict[str, Any], device: str) -> None:
    cfg = training_config("published", given, device)
    assert cfg.encoder == given.get("encoder", "vit_b") and cfg.adapter == {"rank": 512}
    assert cfg.checkpointing == (device == "cuda") and cfg.learning_rate == 1e-5
    with torch.device("meta"):
        backbone = BackboneOptions("sam", cfg.encoder, 1, dict(cfg.decoder), dict(cfg.adapter))
        guidance = GuidanceOptions(cfg.guidance, dict(cfg.guidance_options), cfg.guidance_scales)
        model = GuidedSegmenter(backbone, guidance, PhaseScheme.from_names(["a", "b", "c"]))
    module = model.guidance[0]
    assert sum(p.numel() for p in module.spatial_awareness.parameters()) == 21_504
    assert sum(p.numel() for p in module.feature_aggregator.mix.parameters()) == 1_179_904


def test_adam_at_one_constant_rate_for_all_parts() -> None:
    cfg = published(learning_rate=1e-5)
    run = _Run(data(), cfg, "model", None, None)
    optimiser = prepare(run.model, run.stages[0], cfg)
    assert type(optimiser) is torch.optim.Adam
    for step in (0, 5, 9):
        set_rate(optimiser, step, 10, cfg.rate_schedule)
        assert {group["lr"] for group in optimiser.param_groups} == {1e-5}
    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.0}
    learning = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert learning == {id(p) for p in run.model.parameters()}


@pytest.mark.parametrize(("batch", "moving"), [(8, True), (4, False)])
def test_batch_norms_move_with_the_published_batch(batch: int, moving: bool) -> None:
    run = _Run(data(), published(batch=batch), "model", None, None)
    set_modes(run.model, run.stages[0], run.config)
    norms = [
        m
        for part in run.model.backbone.encoder_parts().values()
        for m in part.modules()
        if isinstance(m, torch.nn.BatchNorm2d)
    ]
    assert norms and all(m.training == moving for m in norms)


@pytest.mark.parametrize("limit", [0.0, 1e-3])
def test_the_norm_of_the_gradient_is_cut_only_where_it_is_asked(limit: float) -> None:
    run = _Run(data(), published(clip_gradient=limit), "model", None, None)
    assert run._step(run.stages[0], prepare(run.model, run.stages[0], run.config)) is not None
    norm = (
        float(sum(float(p.grad.square().sum()) for p in run.model.parameters() if p.grad is not None)) ** 0.5
    )
    assert norm == pytest.approx(1e-3, rel=1e-3) if limit else norm > 1e-2


def test_nothing_is_averaged() -> None:
    run = _Run(data(), published(), "model", None, None)
    for event in run.events():
        if isinstance(event, EpochDone):
            pairs = zip(run.average.state_dict().values(), run.model.state_dict().values(), strict=True)
            assert all(torch.equal(a, m) for a, m in pairs)


def test_the_loss_of_a_batch_made_by_hand() -> None:
    """Two windows of 4 px, two phases, every probability 1/2: 0.7 (Dice + ln 2) + 0.3 mean squared error."""
    labels = torch.ones(2, 2, 2, dtype=torch.long)
    labels[1, 0] = 2  # shares (1, 0) and (1/2, 1/2)
    cfg = training_config("published", {}, "cpu")
    loss = segmentation_loss(
        torch.zeros(2, 2, 2, 2),
        labels,
        dice_weight=cfg.dice_weight,
        composition_weight=cfg.composition_weight,
        cross_entropy_weight=cfg.cross_entropy_weight,
        composition_loss=cfg.composition_loss,
    )
    dice = 1 - ((2 * 3 + 1) / (4 + 6 + 1) + (2 * 1 + 1) / (4 + 2 + 1)) / 2
    squared = ((0.5**2 + 0.5**2) / 2 + 0.0) / 2  # windows apart; of the pooled shares it would be 1/16
    assert float(loss) == pytest.approx(0.7 * (dice + 0.6931472) + 0.3 * squared, abs=1e-6)


# -- what is shown ---------------------------------------------------------------------------------


def test_every_window_of_the_grid_is_shown_once_an_epoch_in_another_order() -> None:
    images = replace(data(), train=tuple(field(i, 160, 200) for i in (1, 2)))
    cfg = published(batch=3)
    feed = feed_for(images, cfg)
    assert isinstance(feed, SlidingWindows)
    planned = plan_windows(images.train, 64, 0.5)
    places = {(w.image.stem, w.top, w.left) for w in planned}
    assert len(places) == len(planned) == 2 * 4 * 6 == len(feed.order) and feed.steps == 16
    for image in images.train:
        covered = torch.zeros_like(image.labels)
        for w in planned:
            if w.image is image:
                covered[w.top : w.top + 64, w.left : w.left + 64] += 1
        assert int(covered.min()) >= 1 and int(covered.max()) >= 4, "windows overlap"
    generator = torch.Generator().manual_seed(0)
    orders = []
    for _ in range(2):
        feed.begin_epoch(generator)
        orders.append(list(feed.order))
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == list(range(48))


def test_the_ratio_of_a_window_is_that_of_its_pixels_which_are_only_turned() -> None:
    images = replace(data(), train=(field(1, 100, 150),))
    feed = SlidingWindows(images, published(batch=1))
    generator = torch.Generator().manual_seed(0)
    turned = 0
    for step, window in enumerate(feed.windows):
        pixels, labels, ratios = feed.draw(step, generator, 0)
        one = window.cut()
        assert torch.allclose(ratios[0], crop_ratios(one.labels[None], 2)[0])
        assert torch.equal(
            pixels[0].flatten().sort().values, one.image.flatten().sort().values
        ) or torch.allclose(pixels[0].flatten().sort().values, one.image.flatten().sort().values, atol=1e-3)
        turned += not torch.equal(labels[0], one.labels.long())
    assert turned > 0


def test_light_alone_is_varied_beside() -> None:
    run = _Run(data(), published(), "model", None, None)
    seen: list[Tensor] = []
    run.model.encode = lambda image: seen.append(image) or GuidedSegmenter.encode(run.model, image)  # type: ignore
    optimiser = prepare(run.model, run.stages[0], run.config)
    state = run.generator.get_state()
    assert run._step(run.stages[0], optimiser) is not None
    run.generator.set_state(state)
    pixels, _, _ = run.feed.draw(0, run.generator, 0)
    for shown, plain in zip(seen[0], pixels, strict=True):
        gain = (shown.std() / plain.std()).item()
        assert 0.79 < gain < 1.21
        assert torch.allclose(shown - gain * plain, (shown - gain * plain).mean(), atol=1e-3)


def test_every_crop_is_shown_its_exact_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros stay zeros, and none is left out; a noise that is asked for changes them."""
    shown: list[Any] = []
    decode = trainer.decode_shown

    def watched(model: Any, features: Any, given: Any, labels: Any, *rest: Any) -> Any:
        shown.append((given, crop_ratios(labels, 2)))
        return decode(model, features, given, labels, *rest)

    monkeypatch.setattr(trainer, "decode_shown", watched)
    outcome(data(), published(epochs=1))
    assert shown and all(torch.equal(given, true) for given, true in shown)
    assert any(bool((given == 0).any()) for given, _ in shown)
    shown.clear()
    outcome(data(), published(epochs=1, ratio_noise=0.5))
    assert not any(torch.equal(given, true) for given, true in shown)


# -- by what it is judged ---------------------------------------------------------------------------


class Obedient(GuidedSegmenter):
    """Answers with the phase that it is told most of; without a ratio, with the first."""

    def decode(self, features: Any, ratio: Tensor | None = None, prompts: Any = None) -> Tensor:
        logits = super().decode(features, None) * 0
        told = torch.tensor([[0.6, 0.4]]) if ratio is None else ratio
        return logits + told[:, :, None, None]


def test_each_window_is_judged_with_its_own_ratio() -> None:
    images = (field(3, 64, 128),)
    run = _Run(data(), published(), "model", None, None)
    model = run.model
    model.__class__ = Obedient
    windows = judged_by(images, published(), 2)
    assert len(windows) == 2 and all(w.labels.shape == (64, 64) for w in windows)
    told, untold = (validate(model, windows, CPU, way) for way in ("true", "none"))  # type: ignore[arg-type]
    true = [crop_ratios(w.labels[None], 2)[0] for w in windows]
    assert [int(own.argmax()) for own in told.own] == [int(t.argmax()) for t in true] == [0, 1]
    assert [int(own.argmax()) for own in untold.own] == [0, 0]


def test_the_best_epoch_is_the_one_that_answers_best_to_the_true_ratio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways: list[str] = []
    scores = iter([0.2, 0.9, 0.5])
    judge = trainer.validate

    def judged(segmenter: Any, images: Any, device: Any, ratio: str = "none") -> Any:
        found = judge(segmenter, images, device, ratio)  # type: ignore[arg-type]
        if len(images) == 1:  # the first try
            return found
        ways.append(ratio)
        return replace(found, scores=Fixed(found.scores, next(scores)))

    monkeypatch.setattr(trainer, "validate", judged)
    images = replace(data(), validation=(field(0, 96, 160),))
    kept = []
    for event in train(images, published(epochs=3)):
        if isinstance(event, EpochDone):
            kept.append(event.best)
    assert ways == ["true"] * 3 and kept == [True, True, False]


class Fixed:
    """Scores with a mean IoU of our choice."""

    def __init__(self, scores: Any, miou: float) -> None:
        self._scores, self.miou = scores, miou

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scores, name)


def test_what_is_told_of_the_finished_model() -> None:
    """On fields and windows, with and without the ratio, on validation and test images, and how it is to be run."""
    images = split_images([field(i) for i in range(6)], SCHEME, share=0.2, test_share=0.1)
    cfg = published(epochs=1)
    _, result = outcome(images, cfg)
    sides = [f"{side}{words}" for side in ("validation", "test") for words in
             ("", " windows", ", true ratio", " windows, true ratio")]  # fmt: skip
    assert list(result.card.scores) == sides
    assert result.card.inference.mode == "conditioned"
    whole = validate(result.segmenter, images.test, CPU, "true").scores
    assert result.card.scores["test, true ratio"]["dice_mean"] == pytest.approx(whole.dice_mean)
    _, deaf = outcome(
        images, cfg.changed(guidance_options={**cfg.guidance_options, "use_ratio_encoder": False})
    )
    assert list(deaf.card.scores) == [side for side in sides if "ratio" not in side], (
        "the same four numbers again"
    )
    assert deaf.card.inference.mode == "matched"
    plain, usual = outcome(data(), config(epochs=1, guidance="none"))
    assert list(usual.card.scores) == ["validation"] and usual.card.inference.mode == "matched" and not plain


def test_windows_that_are_partly_labelled_judge_nothing_with_a_ratio() -> None:
    one = field(0)
    one.labels[::3] = 0
    with pytest.raises(TrainingError, match=r"f0 is labelled all over.*validation_ratio=none"):
        _Run(replace(data(), validation=(one,)), published(), "model", None, None)
    without = _Run(replace(data(), validation=(one,)), published(validation_ratio="none"), "m", None, None)
    assert len(without.judging) == 4
    half = field(0)
    half.labels[:, :60] = 0
    assert len(_Run(replace(data(), validation=(half,)), published(crop=32), "m", None, None).judging) == 3


# -- the split --------------------------------------------------------------------------------------


def test_seventy_twenty_ten() -> None:
    cfg = training_config("published", {}, "cpu")
    images = [field(i, 32, 40) for i in range(20)]
    split = split_images(images, SCHEME, share=cfg.validation_share, test_share=cfg.test_share)
    assert [len(side) for side in (split.train, split.validation, split.test)] == [14, 4, 2]
    assert len({i.stem for side in (split.train, split.validation, split.test) for i in side}) == 20
    three = split_images(images[:3], SCHEME, share=0.2, test_share=0.1)
    assert [len(side) for side in (three.train, three.validation, three.test)] == [1, 1, 1]
    with pytest.raises(TrainingError, match="at least 3 labelled images"):
        split_images(images[:2], SCHEME, share=0.2, test_share=0.1)
    assert len(split_images(images[:2], SCHEME, share=0.0, test_share=0.5).train) == 1
    for words, shares in (
        ("Of 8 labelled .* 7 would test .* Lower test_share .now 0.9", {"share": 0.2, "test_share": 0.9}),
        (
            "Of 8 labelled .* 4 validate, .* Lower validation_share .now 0.9",
            {"share": 0.9, "test_share": 0.5},
        ),
    ):
        with pytest.raises(TrainingError, match=words):
            split_images(images[:8], SCHEME, **shares)
    named = split_images(images, SCHEME, validation=["f3"], test=["f4"])
    assert [i.stem for i in named.test] == ["f4"] and len(named.train) == 18
    with pytest.raises(TrainingError, match="Test image f99 is not among"):
        split_images(images, SCHEME, test=["f99"])


def test_test_images_change_nothing_of_what_is_learnt() -> None:
    images = replace(data(), test=(field(7),))
    _, with_test = outcome(images, published(epochs=1))
    _, without = outcome(data(), published(epochs=1))
    pairs = zip(
        with_test.segmenter.state_dict().values(), without.segmenter.state_dict().values(), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)
    assert with_test.record["images"]["test"] == ["f7"] and "test" not in without.record["images"]
    with pytest.raises(TrainingError, match="Test images that also train or validate: f1"):
        replace(data(), test=(field(1),))


# -- what is said -----------------------------------------------------------------------------------


def test_what_differs_from_the_publication_is_said_and_stands_in_the_record() -> None:
    exact = training_config(
        "published", {"device": "cpu", "crop": 64, "encoder": "tu-test_efficientnet"}, "cpu"
    )
    assert find_departures(exact) == {}
    assert find_departures(exact.changed(protocol="", epochs=3)) == {}
    ablation = {"width": 256, "gamma": 0.5, "delta": 0.5, "use_ratio_encoder": False}
    assert find_departures(exact.changed(guidance_options=ablation)) == {
        "guidance_options": {"published": {"use_ratio_encoder": True}, "here": {"use_ratio_encoder": False}}
    }, "coordinates are on in both"
    said, result = outcome(data(), published())
    told = next(text for text in said if "not quite as published" in text)
    assert "learning_rate 0.001 instead of 1e-05" in told and "epochs 2 instead of 40" in told
    assert result.card.training["departures"]["epochs"] == {"published": 40, "here": 2}
    assert "crop" not in result.card.training["departures"], "nothing is said of the side of the windows"


def test_another_guidance_than_the_start_has_begins_anew_and_is_told() -> None:
    _, start = outcome(data(), config(epochs=1, guidance="ccrm", guidance_epochs=1))
    said, result = outcome(data(), published(epochs=1), start=start.segmenter)
    assert any("(ccrm, scales: 1) is dropped; a fresh module (plm" in text for text in said)
    assert result.card.guidance.kind == "plm" and result.card.guidance.options["width"] == 8
    again, _ = outcome(data(), published(epochs=1), start=result.segmenter)
    assert not any("dropped" in text for text in again)
    wider = published(epochs=1, guidance_options={"width": 16})
    assert any("dropped" in text for text in outcome(data(), wider, start=result.segmenter)[0])
    none, _ = outcome(data(), config(epochs=1, guidance="none", guidance_options={}))
    bare, _ = outcome(data(), config(epochs=1, guidance="none"), start=result.segmenter)
    assert not none and any("goes on without any" in text for text in bare)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Any) -> None:
    cfg, path = published(epochs=3), tmp_path / "run.ckpt"
    _, whole = outcome(data(), cfg)
    events = train(data(), cfg, checkpoint=path)
    next(e for e in events if isinstance(e, EpochDone))
    events.close()  # type: ignore[attr-defined]
    _, resumed = outcome(data(), cfg, checkpoint=path)
    pairs = zip(whole.segmenter.state_dict().values(), resumed.segmenter.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


# -- studies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [[0.0, 0.0], [0.6, 1.4]])
def test_a_study_may_tell_the_network_what_no_user_may(told: list[float]) -> None:
    _, result = outcome(data(), published(epochs=1))
    image = field(9).image[None]
    with torch.inference_mode():
        features = encode_field(result.segmenter, image)
        usual, odd = (
            decode_field(result.segmenter, image, features, torch.tensor(r)) for r in ([0.3, 0.7], told)
        )
    assert odd.shape == usual.shape and bool(torch.isfinite(torch.from_numpy(odd)).all())
    assert abs(odd - usual).max() > 1e-6
    with pytest.raises(RatioError):
        validate_ratio(told, SCHEME)


def test_a_window_that_is_smaller_than_the_crop_is_the_image() -> None:
    small = TrainingImage("small", torch.zeros(1, 20, 30), torch.ones(20, 30, dtype=torch.uint8))
    windows = plan_windows([small], 64, 0.5)
    assert [(w.top, w.left, w.height, w.width) for w in windows] == [(0, 0, 20, 30)]
    blank = replace(small, labels=torch.zeros_like(small.labels))
    assert not plan_windows([blank], 64, 0.5)
