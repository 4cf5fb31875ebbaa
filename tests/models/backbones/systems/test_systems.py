"""Published systems: cut where they say, any size, any width, guided, kept, looked into and exported like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.errors import ModelError
from phaseguide.models.architectures import OWN_ENCODER
from phaseguide.models.backbones.base import Backbone, BackboneOptions, pad_to_stride
from phaseguide.models.backbones.registry import BACKBONES, build_backbone
from phaseguide.models.bioimageio.export import trace_unguided
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.folding import folded
from phaseguide.models.model_file import load_model, save_model
from phaseguide.models.on_meta import on_meta
from phaseguide.models.onnx_graph import export_graph
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.option_values import ARCHITECTURE_NAMES, SYSTEMS
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.inside.activations import inner_pass

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "martensite"])
NARROW = 0.0625
RATIOS = [0.1, 0.2, 0.7], [0.7, 0.2, 0.1]
ABLATION = {
    "RE": {"use_spatial_awareness": False, "use_feature_aggregator": False},
    "SA": {"use_ratio_encoder": False, "use_feature_aggregator": False},
    "SA+FA": {"use_ratio_encoder": False},
    "RE+SA": {"use_feature_aggregator": False},
    "RE+SA+FA": {},
}
GUIDED: list[tuple[str, dict[str, Any]]] = [
    ("additive", {}),
    ("spatial", {"width": 8}),
    ("ccrm", {"delta": 1.0}),
    *(("plm", {"width": 8, "delta": 1.0, **parts}) for parts in ABLATION.values()),
]


def options(name: str, **decoder: Any) -> BackboneOptions:
    if name == "nnunet":
        pytest.importorskip("monai")
    return BackboneOptions(name, OWN_ENCODER, 1, {"width": NARROW, **decoder})


def narrow(name: str, n_phases: int = 3, **decoder: Any) -> Backbone:
    torch.manual_seed(0)
    return build_backbone(options(name, **decoder), n_phases).eval()


def guided(
    name: str, kind: str, kind_options: dict[str, Any] | None = None, scales: int = 1
) -> GuidedSegmenter:
    torch.manual_seed(0)
    guidance = GuidanceOptions(kind, kind_options or {}, scales)
    return GuidedSegmenter(options(name), guidance, SCHEME).eval()


def count(name: str, **decoder: Any) -> float:
    """Millions of parameters at full width, for one channel and four phases."""
    with on_meta():
        backbone = build_backbone(replace(options(name), decoder=decoder), 4)
    return sum(p.numel() for p in backbone.parameters()) / 1e6


def test_every_name_that_the_help_lists_has_a_class() -> None:
    assert set(BACKBONES) - {"pixels"} == set(ARCHITECTURE_NAMES), "pixels are fitted to strokes, not trained"


@pytest.mark.parametrize(
    ("name", "decoder", "millions"),
    [
        ("unet_2015", {}, 31.04),
        ("attention_unet", {}, 34.88),
        ("unet3plus", {}, 26.98),
        ("nnunet", {"stages": 6}, 20.61),
        ("nnunet", {"stages": 8}, 46.31),
        ("transunet", {}, 105.28),
        ("uctransnet", {}, 66.43),
        ("uctransnet", {"heads": 2, "layers": 2}, 33.85),
        ("uctransnet", {"layers": 1}, 30.70),
        ("elunet", {}, 0.65),
        ("elunet", {"channels": 28}, 7.90),
        ("elunet", {"channels": 64}, 41.24),
    ],
)
def test_counts_are_the_published_ones(name: str, decoder: dict[str, Any], millions: float) -> None:
    assert count(name, **decoder) == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("name", SYSTEMS)
def test_width_scales_all_channels(name: str) -> None:
    pytest.importorskip("monai" if name == "nnunet" else "torch")
    full, half, first = count(name), count(name, width=0.5), {"channels": 16} if name == "elunet" else {}
    assert 0.2 * full < half < 0.4 * full
    with on_meta():
        wide, slim = (
            build_backbone(BackboneOptions(name, OWN_ENCODER, 1, {"width": width, **first}), 3).channels
            for width in (1.0, 0.25)
        )
    assert slim == [c // 4 for c in wide]


@pytest.mark.parametrize("name", SYSTEMS)
def test_split_equals_plain_forward_for_odd_sizes(name: str) -> None:
    backbone = narrow(name)
    image = torch.randn(2, 1, 75, 101)
    with torch.inference_mode():
        features = backbone.encode(image)
        split = backbone.decode(features)
        plain = backbone.net(pad_to_stride(image, backbone.stride))[..., :75, :101]
        small = backbone.decode(backbone.encode(image[..., :2, :5]))
    assert split.shape == (2, 3, 75, 101) and small.shape == (2, 3, 2, 5)
    assert torch.equal(split, plain)
    assert torch.isfinite(split).all() and torch.isfinite(small).all()
    assert [m.shape[1] for m in features.maps] == backbone.channels


def test_nnunet_is_monais_network() -> None:
    backbone = narrow("nnunet", stages=5)
    from phaseguide.models.backbones.systems.nnunet import plain_network

    torch.manual_seed(0)
    plain = plain_network(1, 3, [4, 4, 8, 16, 32]).eval()
    image = torch.randn(1, 1, 64, 96)
    with torch.inference_mode():
        assert torch.equal(backbone.decode(backbone.encode(image)), plain(image))


def test_deep_nnunet_takes_images_that_end_as_one_pixel() -> None:
    backbone = narrow("nnunet", stages=8).train()
    assert backbone.stride == 128
    scores = backbone.decode(backbone.encode(torch.randn(1, 1, 40, 100)))
    assert scores.shape == (1, 3, 40, 100) and torch.isfinite(scores).all()


@pytest.mark.parametrize("name", SYSTEMS)
def test_guidance_acts_when_there_is_a_ratio_and_not_without(name: str) -> None:
    image = torch.randn(1, 1, 64, 64)
    for kind, kind_options in GUIDED:
        segmenter = guided(name, kind, kind_options)
        with torch.no_grad():
            for parameter in segmenter.guidance.parameters():
                parameter.normal_(std=0.3)  # as if learnt; some start at nothing
            features = segmenter.encode(image)
            without = segmenter.decode(features)
            told, other = (segmenter.decode(features, torch.tensor([ratio])) for ratio in RATIOS)
            plain = segmenter.backbone.net(image)
        knows = kind_options.get("use_ratio_encoder", True)
        assert torch.equal(told, other) is not knows, (kind, kind_options)
        # Without its ratio encoder the module is a part of the network like any other.
        assert torch.equal(without, plain) is knows, (kind, kind_options)
        assert torch.isfinite(told).all()


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", ["none", "refine"])
def test_what_does_not_act_on_features_leaves_them_alone(name: str, kind: str) -> None:
    segmenter = guided(name, kind)
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        told, plain = segmenter(image, torch.tensor([RATIOS[0]])), segmenter(image)
    assert torch.equal(told, plain)
    assert (segmenter.refinement is not None) == (kind == "refine")


@pytest.mark.parametrize("name", SYSTEMS)
def test_guidance_at_four_scales_learns(name: str) -> None:
    segmenter = guided(name, "ccrm", {"delta": 1.0}, scales=4).train()
    segmenter(torch.randn(2, 1, 64, 64), torch.tensor(RATIOS)).square().mean().backward()
    assert len(segmenter.guidance) == 4
    for module in segmenter.guidance:
        assert module.delta.grad is not None and float(module.delta.grad.abs()) > 0
    parts = {**segmenter.backbone.encoder_parts(), **segmenter.backbone.decoder_parts()}
    learning = [p for part in parts.values() for p in part.parameters()]
    assert {id(p) for p in learning} == {id(p) for p in segmenter.backbone.parameters()}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_file_gives_the_same_model_again(name: str, tmp_path: Path) -> None:
    segmenter = guided(name, "plm", {"width": 8, "delta": 1.0})
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.copy_(parameter.half())  # as a file holds them
    card = Card(
        name=name,
        phases=SCHEME.to_dict()["phases"],
        backbone=BackboneCard(architecture=name, encoder="resnet18", in_channels=1),
        guidance=GuidanceCard(kind="plm"),
        training_ratio_mean=[1 / 3] * 3,
        training_ratio_spread=[0.3] * 3,
        calibration=CalibrationCard(own_error=[0.3] * 3),
    )
    save_model(tmp_path / "one.safetensors", segmenter, card)
    again = load_model(tmp_path / "one.safetensors")
    assert again.card.backbone.encoder == OWN_ENCODER  # whatever was said
    assert again.card.backbone.decoder == {"width": NARROW}
    image, ratio = torch.randn(1, 1, 40, 70), torch.tensor([RATIOS[0]])
    with torch.inference_mode():
        assert torch.equal(again.segmenter.eval()(image, ratio), segmenter(image, ratio))


@pytest.mark.parametrize("name", SYSTEMS)
def test_exported_networks_give_the_same_scores_at_another_size(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    segmenter = guided(name, "none")
    image = torch.randn(1, 1, 128, 192)
    with torch.inference_mode():
        scores = segmenter(image)
    traced = trace_unguided(segmenter)
    with torch.no_grad():
        assert torch.allclose(traced(image), scores.softmax(1), atol=1e-5)
    graph = export_graph(segmenter, 1, segmenter.backbone.stride)
    network = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = network.run(["scores"], {"image": image.numpy()})[0]
    assert np.abs(found - scores.numpy()).max() < 1e-3 * float(scores.abs().max())


@pytest.mark.parametrize("name", SYSTEMS)
def test_folding_keeps_the_scores(name: str) -> None:
    segmenter = guided(name, "none")
    lean, image = folded(segmenter), torch.randn(1, 1, 96, 64)
    norms = [sum(isinstance(m, torch.nn.BatchNorm2d) for m in one.modules()) for one in (segmenter, lean)]
    assert norms[1] < norms[0] or not norms[0]
    with torch.inference_mode():
        scores = segmenter(image)
        assert torch.allclose(lean(image), scores, atol=1e-3 * float(scores.abs().max()))


@pytest.mark.parametrize("name", SYSTEMS)
def test_looking_inside_shows_every_map(name: str) -> None:
    backbone = narrow(name)
    blocks = list(inner_pass(backbone, torch.randn(1, 1, 64, 96), (60, 90)))
    assert [b.map.tokens.shape[2] for b in blocks if b.map is not None] == backbone.channels


def test_what_a_system_has_not_is_refused() -> None:
    for name, decoder, said in (
        ("unet_2015", {"width": 9}, "0.0625 to 4"),
        ("elunet", {"stages": 3}, "has no stages"),
        ("nnunet", {"stages": 2}, "3 to 11"),
    ):
        with pytest.raises(ModelError, match=said):
            build_backbone(BackboneOptions(name, OWN_ENCODER, 1, decoder), 3)
    with pytest.raises(ModelError, match="no pretrained weights for unet3plus"):
        narrow("unet3plus").load_pretrained()


def test_nnunet_without_monai_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.models.backbones.systems import nnunet

    monkeypatch.setattr(nnunet, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"needs the library MONAI.*napari-phaseguide\[systems\]"):
        build_backbone(BackboneOptions("nnunet", OWN_ENCODER, 1, {"width": NARROW}), 3)
