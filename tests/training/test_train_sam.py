"""Segment Anything models are trained as any other: every guidance, real steel, stopping and going on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from phaseguide.errors import ModelError, TrainingError
from phaseguide.events import Finished
from phaseguide.models.architectures import check_backbone
from phaseguide.models.model_file import load_model, save_model
from phaseguide.training.adapters import encoded, is_checkpointing
from phaseguide.training.config import TrainingConfig
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.presets import TRAINING_PRESETS, training_config
from phaseguide.training.trainer import _Run, train
from phaseguide.training.validation import validate
from sam_files import offer_base
from sam_steel import uhcs_data
from textures import config as unet_config
from textures import data


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return offer_base(monkeypatch, tmp_path)


def config(base: str, **changes: Any) -> TrainingConfig:
    settings: dict[str, Any] = {
        "encoder": "vit_tiny", "adapter": {"rank": 4, "base": base}, "epochs": 2, "guidance_epochs": 1, "crop": 64,
        "batch": 2, "validate_every": 1, "patience": 0, "threads": 1, "device": "cpu",
    }  # fmt: skip
    if changes.get("guidance", "plm") == "plm":
        settings["guidance_options"] = {"width": 8, "coordinates": False, "delta": 1.0}
    return training_config("sam", {**settings, **changes}, "cpu")


def run(cfg: TrainingConfig, images: Any = None, **kwargs: Any) -> tuple[list[EpochDone], TrainingResult]:
    events = list(train(images or data(), cfg, **kwargs))
    assert isinstance(events[-1], Finished)
    return [e for e in events if isinstance(e, EpochDone)], events[-1].result


def weights(result: TrainingResult) -> dict[str, torch.Tensor]:
    return result.segmenter.state_dict()


def same(a: TrainingResult, b: TrainingResult) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


@pytest.mark.parametrize("schedule", ["staged", "joint"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("none", {}),
        ("additive", {}),
        ("ccrm", {}),
        ("ccrm", {"coordinates": True, "use_gate": False}),
        ("plm", {"width": 8, "use_spatial_awareness": False, "use_feature_aggregator": False}),
        ("plm", {"width": 8, "use_ratio_encoder": False, "use_feature_aggregator": False}),
        ("plm", {"width": 8, "use_ratio_encoder": False}),
        ("plm", {"width": 8, "use_feature_aggregator": False}),
        ("plm", {"width": 8, "gamma": 0.5, "delta": 0.5}),
    ],
)
def test_every_guidance_learns_a_step(base: str, kind: str, options: dict[str, Any], schedule: str) -> None:
    cfg = config(base, guidance=kind, guidance_options=options, schedule=schedule, ratio_dropout=0.0)
    run_ = _Run(data(), cfg, "model", None, None)
    before = {n: t.clone() for n, t in run_.model.state_dict().items()}
    frozen = {n: t.clone() for n, t in run_.model.backbone.base.encoder.items()}
    from phaseguide.training.stages import prepare

    for stage in run_.stages:
        optimiser = prepare(run_.model, stage, cfg)
        assert 0 < run_._step(stage, optimiser) < 100
    moved = {n for n, t in run_.model.state_dict().items() if not torch.equal(t, before[n])}
    assert any(".lora_B." in n for n in moved) and any("decoder" in n for n in moved)
    assert all("lora_" in n for n in moved if n.startswith("backbone.encoder."))
    if kind != "none":
        assert any(n.startswith("guidance.") for n in moved)
    assert all(torch.equal(t, frozen[n]) for n, t in run_.model.backbone.base.encoder.items())


def test_real_steel_is_learnt_and_other_crops_of_it_gain(base: str) -> None:
    """Crops of ultrahigh carbon steel on random base weights: adapters, decoder and guidance find the phases."""
    images = uhcs_data(slice(0, 6), slice(6, 9))
    cfg = config(
        base, crop=128, epochs=8, guidance_epochs=1, validate_every=8, learning_rate=5e-3, degrade=0.0,
        augment_scale=0.0, average=0.9, adapter={"rank": 16, "base": base},
    )  # fmt: skip
    untrained = _Run(images, cfg, "model", None, None).model
    start = validate(untrained, images.validation, torch.device("cpu")).scores
    epochs, result = run(cfg, images)
    learning = [e.loss for e in epochs if e.stage == "backbone"]
    assert learning[-1] < 0.85 * learning[0]
    now = validate(result.segmenter, images.validation, torch.device("cpu")).scores
    assert now.dice_mean > start.dice_mean + 0.06
    assert result.card.scores["validation"]["dice_mean"] == pytest.approx(now.dice_mean)


def test_guidance_stage_leaves_adapters_and_decoder_untouched(base: str) -> None:
    _, staged = run(config(base, epochs=1, guidance_epochs=2))
    _, plain = run(config(base, epochs=1, guidance="none"))
    ours = {n: t for n, t in weights(staged).items() if n.startswith("backbone.")}
    theirs = {n: t for n, t in weights(plain).items() if n.startswith("backbone.")}
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_a_stopped_run_goes_on_to_the_same_weights(base: str, tmp_path: Path) -> None:
    cfg = config(base, epochs=2, guidance_epochs=2)
    _, whole = run(cfg)
    path = tmp_path / "run.ckpt"
    for stop_after in (1, 3):
        events = train(data(), cfg, checkpoint=path)
        done = 0
        for event in events:
            done += isinstance(event, EpochDone)
            if done == stop_after:
                events.close()
                break
        _, resumed = run(cfg, checkpoint=path)
        assert same(whole, resumed), stop_after
        path.unlink()


def test_the_model_is_small_names_its_base_and_runs_when_it_is_read(base: str, tmp_path: Path) -> None:
    _, result = run(config(base))
    path = tmp_path / "sam.safetensors"
    card = save_model(path, result.segmenter, result.card)
    assert card.backbone.adapter == {"rank": 4, "blocks": 0, "base": base, "merged": False}
    learnt = sum(p.numel() for p in result.segmenter.parameters())
    weighs = sum(t.numel() for t in result.segmenter.backbone.base.encoder.values())
    assert path.stat().st_size < 2 * learnt + 40_000 and learnt < weighs
    image = data().train[0].image[None]
    with torch.no_grad():
        read = load_model(path).segmenter(image)
        assert torch.allclose(read, result.segmenter(image), atol=0.05)


def test_computing_blocks_twice_gives_the_same_model(base: str) -> None:
    (_, plain), (_, checkpointing) = run(config(base)), run(config(base, checkpointing=True))
    assert all(
        torch.allclose(a, b, atol=1e-5)
        for a, b in zip(weights(plain).values(), weights(checkpointing).values(), strict=True)
    )
    assert is_checkpointing(_Run(data(), config(base, checkpointing=True), "model", None, None).model)


def test_copies_of_the_model_share_its_base(base: str) -> None:
    started = _Run(data(), config(base), "model", None, None)
    list(started.events())
    models = (started.model, started.average, started.best)
    with torch.no_grad():
        for model in models:
            model.encode(torch.zeros(1, 1, 32, 32))
    encoders = [model.backbone.encoder for model in models]
    assert len({e.pos_embed.data_ptr() for e in encoders}) == 1
    assert len({e.blocks[0].mlp.fc1.weight.data_ptr() for e in encoders}) == 1
    assert len({e.blocks[0].attn.qkv.q.lora_A["default"].weight.data_ptr() for e in encoders}) == 3


def test_on_the_cpu_encoding_for_learning_changes_no_bit(base: str) -> None:
    model = _Run(data(), config(base), "model", None, None).model
    image = data().train[0].image[None]
    assert torch.equal(encoded(model, model.encode, image).maps[0], model.encode(image).maps[0])


def test_the_preset_fits_the_device_and_what_is_given_wins() -> None:
    cpu, gpu = training_config("sam", {}, "cpu"), training_config("sam", {}, "cuda")
    assert (cpu.crop, cpu.checkpointing, gpu.crop, gpu.checkpointing) == (512, False, 1024, True)
    assert cpu.guidance == "plm" and cpu.guidance_options["width"] == 256 and cpu.guidance_scales == 1
    assert cpu.encoder_rate == 1.0, "adapters learn at the full rate"
    by_name = training_config(None, {"architecture": "sam", "crop": 256}, "cpu")
    assert by_name == cpu.changed(crop=256)
    assert training_config(None, {}, "cuda") == TrainingConfig(), "other networks are trained as ever"
    assert training_config("sam", {"guidance": "ccrm"}, "cpu").guidance_options == {}
    for preset in TRAINING_PRESETS:
        training_config(preset, {}, "cpu")
    with pytest.raises(TrainingError, match="no preset 'fast'"):
        training_config("fast", {}, "cpu")
    with pytest.raises(TrainingError, match="not architecture 'fpn'"):
        training_config("sam", {"architecture": "fpn"}, "cpu")


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus", "deeplabv3plus", "segformer", "sam"])
def test_only_pyramids_have_options_of_a_decoder_that_nobody_gave(architecture: str) -> None:
    assert TrainingConfig(architecture=architecture).decoder == {}
    check_backbone(
        architecture, "resnet18", training_config(None, {"architecture": architecture}, "cpu").decoder, {}
    )
    pyramid = {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}
    assert TrainingConfig().decoder == TrainingConfig(architecture="fpn-fine").decoder == pyramid
    assert TrainingConfig(decoder={}).decoder == {}
    assert TrainingConfig().is_recorded_as({**TrainingConfig().to_dict(), "decoder": pyramid})


def test_records_from_before_adapters_are_still_the_same_settings() -> None:
    old = TrainingConfig().to_dict()
    del old["adapter"], old["checkpointing"]
    assert TrainingConfig().is_recorded_as(old)
    assert not TrainingConfig(seed=1).is_recorded_as(old) and not TrainingConfig().is_recorded_as({})


def test_what_cannot_work_is_said(base: str) -> None:
    from textures import config as unet

    for cfg, error, words in [
        (config(base, guidance_scales=4), ModelError, "1 maps to guide"),
        (config("0" * 64), ModelError, "000000"),
        (config(""), ModelError, "no official weights of vit_tiny"),
        (config(base, encoder="vit_b"), ModelError, "vit_b"),
        (unet().changed(checkpointing=True), TrainingError, "checkpointing is true, but a unet"),
        (unet().changed(adapter={"rank": 4}), ModelError, "takes no adapters"),
    ]:
        with pytest.raises(error, match=words):
            next(train(data(), cfg))


def test_a_large_field_is_validated_in_the_tiles_it_is_segmented_in(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.models.backbones.sam import SamBackbone
    from phaseguide.training.tiled import decode_field, encode_field

    model = _Run(data(), config(base), "model", None, None).model.eval()
    image = data().train[0].image[None]  # 96 x 112 px
    with torch.no_grad():
        whole = decode_field(model, image, encode_field(model, image))
        assert torch.equal(torch.from_numpy(whole), model(image)[0])
        monkeypatch.setattr(SamBackbone, "preferred_tile", lambda self, kind: 64)
        monkeypatch.setattr(SamBackbone, "preferred_overlap", lambda self, tile: 32)
        features = encode_field(model, image)
        assert len(features) == 2 * 3 and max(f.width for f in features) <= 64
        tiled = decode_field(model, image, features)
    assert tiled.shape == whole.shape and abs(tiled - whole).mean() < abs(whole).std()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_memory_that_runs_out_names_what_takes_less(
    base: str, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    told = _told_without_memory(monkeypatch, config(base, checkpointing=checkpointing))
    assert "2 crops of 64 px" in told and "--batch 1" in told and "--crop 32" in told
    assert ("--set checkpointing=true" in told) is not checkpointing


def test_a_network_without_blocks_is_offered_no_checkpointing(monkeypatch: pytest.MonkeyPatch) -> None:
    told = _told_without_memory(monkeypatch, unet_config(batch=4))
    assert "--batch 2" in told and "checkpointing" not in told


def test_other_faults_of_a_step_are_not_called_memory(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Run, "_step", _raises(RuntimeError("shapes do not fit")))
    with pytest.raises(TrainingError, match=r"first try of the stage backbone failed \(shapes do not fit\)"):
        run(config(base))


def _told_without_memory(monkeypatch: pytest.MonkeyPatch, cfg: TrainingConfig) -> str:
    monkeypatch.setattr(_Run, "_step", _raises(torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(TrainingError) as caught:
        run(cfg)
    return str(caught.value)


def _raises(error: Exception) -> Callable[..., float]:
    def fail(*_: Any) -> float:
        raise error

    return fail


def test_lora_sam_is_trained_as_published(base: str) -> None:
    """All of it at once, on windows, told and judged with their ratios; the frozen base stays."""
    given = {
        "architecture": "sam", "encoder": "vit_tiny", "adapter": {"rank": 4, "base": base}, "crop": 64, "epochs": 1,
        "batch": 2, "threads": 1, "device": "cpu", "learning_rate": 1e-3,
        "guidance_options": {"width": 8, "coordinates": True, "gamma": 0.5, "delta": 0.5},
    }  # fmt: skip
    cfg = training_config("published", given, "cpu")
    start = {n: t.clone() for n, t in _Run(data(), cfg, "model", None, None).model.state_dict().items()}
    (epoch,), result = run(cfg)
    moved = {n for n, t in weights(result).items() if not torch.equal(t, start[n])}
    for part in (
        "lora_B",
        "decoder",
        "spatial_awareness",
        "ratio_encoder",
        "feature_aggregator",
        "gamma",
        "delta",
    ):
        assert any(part in name for name in moved), part
    assert epoch.stage == "joint" and epoch.miou is not None
    assert "validation windows, true ratio" in result.card.scores
