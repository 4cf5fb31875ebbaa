"""Published systems in training: what their settings become, nnU-Net's plan, and every one from images to a mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.errors import ModelError, PhaseguideError, TrainingError
from phaseguide.events import Notice
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import Source
from phaseguide.models.architectures import OWN_ENCODER
from phaseguide.models.backbones.systems import transunet
from phaseguide.models.model_file import load_model, save_model
from phaseguide.option_values import SYSTEMS
from phaseguide.segmentation.inside.base_encoder import find_base
from phaseguide.segmentation.inside.views import look_inside
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.training.building import build_model
from phaseguide.training.config import TrainingConfig
from phaseguide.training.planning import plan_for, tell_plan
from phaseguide.training.presets import training_config
from phaseguide.training.trainer import train
from textures import SCHEME, data

SHAPE = (64, 96)


def settings(name: str, **more: Any) -> TrainingConfig:
    if name == "nnunet":
        pytest.importorskip("monai")
    few: dict[str, Any] = {
        "width": 0.0625, "crop": 32, "batch": 2, "epochs": 1, "guidance_epochs": 1, "validate_every": 1, "threads": 1,
        "device": "cpu", "guidance": "plm", "guidance_options": {"width": 8, "delta": 1.0}, "guidance_scales": 1,
    }  # fmt: skip
    return training_config(None, {"architecture": name, **few, **more}, "cpu")


def last(events: Iterator[Any]) -> tuple[Any, list[str]]:
    seen = list(events)
    return seen[-1].result, [e.message for e in seen if isinstance(e, Notice)]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_goes_all_the_way(name: str, tmp_path: Path) -> None:
    trained, _ = last(train(data(3), settings(name), name=name))
    assert trained.card.backbone.architecture == name and trained.card.backbone.encoder == OWN_ENCODER
    assert trained.card.backbone.decoder["width"] == 0.0625
    assert trained.card.training["config"]["encoder_weights"] == "none"
    save_model(tmp_path / "one.safetensors", trained.segmenter, trained.card)
    model = load_model(tmp_path / "one.safetensors")

    rng = np.random.default_rng(0)
    image, labels = rng.integers(0, 255, SHAPE, dtype=np.uint8), np.ones(SHAPE, dtype=np.uint8)
    labels[:, 40:] = 2
    few = FinetuneConfig(epochs=1, crop=32, batch=2, threads=1, device="cpu", preview_seconds=0.5)
    tuned, _ = last(finetune(model, [Source("field", image, labels, "full")], few))
    before, after = model.segmenter.backbone.state_dict(), tuned.model.segmenter.backbone.state_dict()
    moved = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"decoder", "segmentation_head"}

    session = Session(tuned.model, image, device="cpu")
    run_to_end(session.segment(Request()))
    assert session.scores is not None and session.scores.shape == (2, *SHAPE)
    views, _ = last(look_inside(tuned.model, image, ratio=np.array([0.3, 0.7]), device="cpu"))
    stages = [view.name for view in views if view.name.startswith("stage ")]
    assert len(stages) == len(model.segmenter.backbone.channels) < len(views)
    assert find_base(model) is None


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("preset", ["standard", "published"])
def test_every_preset_takes_every_system(name: str, preset: str) -> None:
    cfg = training_config(preset, {"architecture": name, "device": "cpu"}, "cpu")
    assert (cfg.encoder, cfg.encoder_weights, cfg.decoder, cfg.width) == (OWN_ENCODER, "none", {}, 1.0)
    assert cfg.crop == (0 if name == "nnunet" else 256)
    assert TrainingConfig.from_dict(cfg.to_dict()) == cfg


@pytest.mark.parametrize(
    ("architecture", "imagenet", "weights"),
    [
        ("fpn", True, "imagenet"), ("fpn", False, "none"), ("unet3plus", False, "none"),
        ("transunet", True, "imagenet"), ("sam", True, "base"), ("sam", False, "none"),
    ],
)  # fmt: skip
def test_older_records_say_imagenet(architecture: str, imagenet: bool, weights: str) -> None:
    cfg = TrainingConfig(architecture=architecture, encoder_weights=weights)
    record = cfg.to_dict()
    del record["encoder_weights"]
    assert cfg.is_recorded_as({**record, "imagenet": imagenet})
    assert TrainingConfig.from_dict({**record, "imagenet": imagenet}) == cfg
    assert not cfg.is_recorded_as({**record, "imagenet": not imagenet})


def test_the_older_name_beside_the_present_one_is_refused() -> None:
    with pytest.raises(PhaseguideError, match="imagenet is an older name of encoder_weights"):
        TrainingConfig().changed(imagenet=False)


def test_options_of_another_decoder_are_not_taken_over() -> None:
    assert TrainingConfig().decoder == TrainingConfig(architecture="fpn-fine").decoder != {}
    assert TrainingConfig(architecture="segformer").decoder == {}
    given = {"decoder_segmentation_channels": 32}
    assert TrainingConfig(architecture="segformer", decoder=given).decoder == given


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architecture": "unet3plus", "encoder": "resnet34"}, "unet3plus has an encoder of its own"),
        ({"architecture": "unet", "width": 0.5}, "width is 0.5, but unet takes its channels"),
        ({"architecture": "elunet", "width": 0.01}, "width is 0.01; it must lie between 0.0625 and 4"),
        ({"architecture": "elunet", "crop": 0}, "crop is 0, which only nnunet plans"),
        ({"architecture": "nnunet", "crop": 16}, "crop is 16"),
    ],
)
def test_what_does_not_go_together_is_told(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        training_config(None, wrong, "cpu")


def test_nnunet_plans_what_is_not_given() -> None:
    images = data(3)  # fields of 96 x 112 px
    free = TrainingConfig(architecture="nnunet")
    planned = plan_for(images, free)
    assert (planned.crop, planned.decoder) == (96, {"stages": 5})
    assert tell_plan(planned, free) == "nnU-Net's plan for these images: crops of 96 px, 5 resolutions."
    assert plan_for(images, planned) == planned and not tell_plan(planned, planned)
    narrow = plan_for(images, free.changed(crop=32))
    assert (narrow.crop, narrow.decoder) == (32, {"stages": 4})
    deep = plan_for(images, free.changed(decoder={"stages": 3}))
    assert (deep.crop, deep.decoder) == (96, {"stages": 3})
    other = TrainingConfig()
    assert plan_for(images, other) is other


def test_the_plan_is_told_and_recorded() -> None:
    trained, said = last(train(data(3), settings("nnunet", crop=0, guidance="none", guidance_options={})))
    assert any("crops of 96 px, 5 resolutions" in text for text in said)
    assert trained.card.backbone.decoder == {"width": 0.0625, "stages": 5}
    assert trained.card.training["config"]["crop"] == 96


def test_transunet_starts_from_the_weights_of_its_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create = timm.create_model
    monkeypatch.setattr(transunet, "BLOCKS", (1, 1, 1))
    monkeypatch.setattr(transunet, "LAYERS", 1)
    asked: list[str] = []

    def downloaded(name: str, pretrained: bool) -> torch.nn.Module:
        asked.append(name)
        whole = create("vit_base_r50_s16_224", pretrained=False, depth=1)
        stages = whole.patch_embed.backbone.stages
        for stage in stages:
            stage.blocks = stage.blocks[:1]
        return whole

    monkeypatch.setattr(timm, "create_model", downloaded)
    cfg = TrainingConfig(architecture="transunet", encoder_weights="imagenet", guidance="none")
    model = build_model(cfg, SCHEME, 1)
    assert asked == [transunet.WEIGHTS]
    places = model.backbone.net.encoder.positions.map
    assert places.shape == (1, 768, 14, 14) and float(places.detach().std()) > 0
    with pytest.raises(ModelError, match=r"are for width 1, not 0\.5"):
        build_model(cfg.changed(width=0.5), SCHEME, 1)

    def refused(name: str, pretrained: bool) -> torch.nn.Module:
        raise OSError("no\nconnection")

    monkeypatch.setattr(timm, "create_model", refused)
    with pytest.raises(ModelError, match=r"could not be downloaded \(no connection\)"):
        build_model(cfg, SCHEME, 1)
