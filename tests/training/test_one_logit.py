"""Two phases from one channel: binary cross-entropy in training, and everything after it as for any model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from phaseguide.errors import ModelError, TrainingError
from phaseguide.events import Finished
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.one_logit import TwoScores
from phaseguide.models.backbones.registry import build_backbone
from phaseguide.models.model_file import load_model, save_model
from phaseguide.models.onnx_graph import export_graph
from phaseguide.models.rephase import rephase
from phaseguide.models.segmenter import normalise_image
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.training.building import build_model
from phaseguide.training.losses import segmentation_loss
from phaseguide.training.presets import training_config
from phaseguide.training.trainer import train
from textures import SCHEME, TINY, data

SMALL: dict[str, Any] = {
    "width": 0.0625, "crop": 32, "batch": 2, "epochs": 1, "threads": 1, "device": "cpu",
}  # fmt: skip


def test_the_loss_is_binary_cross_entropy_with_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn((2, 1, 8, 9), generator=generator).mul(9).requires_grad_()
    labels = torch.randint(1, 3, (2, 8, 9), generator=generator)
    loss = segmentation_loss(TwoScores()(logit), labels, dice_weight=0.0, composition_weight=0.0)
    expected = F.binary_cross_entropy_with_logits(logit[:, 0], (labels == 2).float())
    torch.testing.assert_close(loss, expected)
    (ours,) = torch.autograd.grad(loss, logit, retain_graph=True)
    (theirs,) = torch.autograd.grad(expected, logit)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("guidance", ["none", "plm"])
def test_one_channel_from_training_to_a_mask(guidance: str, tmp_path: Path) -> None:
    module = {"guidance_options": {"width": 8, "delta": 1.0}} if guidance == "plm" else {}
    told = {**SMALL, "guidance": guidance, "guidance_epochs": 1, "schedule": "staged", **module}
    *_, last = train(data(3), training_config("binary", told, "cpu"), name="islands")
    assert isinstance(last, Finished)
    assert last.result.card.backbone.decoder == {"width": 0.0625, "one_logit": True}
    save_model(tmp_path / "one.safetensors", last.result.segmenter, last.result.card)
    model = load_model(tmp_path / "one.safetensors")
    head = model.segmenter.backbone.net.segmentation_head
    assert head[0].out_channels == 1

    image = np.random.default_rng(0).integers(0, 255, (64, 96), dtype=np.uint8)
    with torch.inference_mode():
        scores = model.segmenter(torch.from_numpy(normalise_image(image))[None])
    assert scores.shape == (1, 2, 64, 96) and not scores[:, 0].any()
    session = Session(model, image, device="cpu", flips=False)
    made = run_to_end(session.segment(Request()))
    alike = (made.own_labels == 2) == (torch.sigmoid(scores[0, 1]) > 0.5).numpy()
    assert alike.mean() > 0.99
    asked = run_to_end(session.segment(Request(asked=np.array([0.7, 0.3]), uncertainty=0.0)))
    assert (asked.labels == 2).mean() == pytest.approx(0.3, abs=1e-3)

    named = rephase(model, PhaseScheme.from_names(["matrix", "M/A"]), {1: (1,), 2: (2,)})
    torch.testing.assert_close(named.segmenter.state_dict(), model.segmenter.state_dict())
    with pytest.raises(ModelError, match="of one channel, so they can be renamed, but not added to"):
        rephase(model, PhaseScheme.from_names(["a", "b", "c"]), {1: (1,), 2: (2,)})
    with pytest.raises(ModelError, match="reordered"):
        rephase(model, PhaseScheme.from_names(["rough", "smooth"]), {1: (2,), 2: (1,)})


@pytest.mark.parametrize("architecture", ["unet", "fpn", "fpn-fine"])
def test_the_decoders_of_the_library_take_it_too(architecture: str) -> None:
    decoder = (
        TINY
        if architecture == "unet"
        else {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32}
    )
    options = BackboneOptions(architecture, "tu-test_efficientnet", 1, {**decoder, "one_logit": True})
    backbone = build_backbone(options, 2).eval()
    scores = backbone.decode(backbone.encode(torch.zeros(1, 1, 50, 70)))
    assert scores.shape == (1, 2, 50, 70) and not scores[:, 0].any()
    assert backbone.options == options


def test_what_one_channel_cannot_be_is_said() -> None:
    three = PhaseScheme.from_names(["a", "b", "c"])
    with pytest.raises(ModelError, match="two phases of one channel, but there are 3"):
        build_model(training_config("binary", SMALL, "cpu"), three, 1)
    with pytest.raises(TrainingError, match="one_logit is true, but the decoder of sam"):
        training_config("sam", {"one_logit": True}, "cpu")
    with pytest.raises(ModelError, match="one_logit is False; it must be one of True"):
        build_backbone(BackboneOptions("unet_2015", "own", 1, {"one_logit": False}), 2)


def test_the_preset_is_the_published_binary_run() -> None:
    config = training_config("binary", {}, "cpu")
    assert (config.architecture, config.one_logit, config.optimiser) == ("unet_2015", True, "adam")
    assert (config.learning_rate, config.batch, config.crop, config.dice_weight) == (1e-4, 16, 768, 0.0)
    model = build_model(config.changed(width=0.0625), SCHEME, 1)
    assert model.backbone.decode(model.encode(torch.zeros(1, 1, 32, 32))).shape == (1, 2, 32, 32)


def test_the_graph_for_onnx_runtime_gives_the_same_scores() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = build_model(training_config("binary", SMALL, "cpu"), SCHEME, 1).eval()
    image = torch.randn((1, 1, 64, 96), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(image).numpy()
    graph = export_graph(model, 1, model.backbone.stride)
    network = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = network.run(["scores"], {"image": image.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-3 * float(np.abs(expected).max()))
