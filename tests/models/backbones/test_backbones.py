"""Backbones: split equals plain forward, any size, guidance in between, offline ImageNet start."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from phaseguide.errors import ModelError
from phaseguide.models import architectures
from phaseguide.models.architectures import ARCHITECTURES, FINE
from phaseguide.models.backbones import registry
from phaseguide.models.backbones.base import Backbone, BackboneOptions, Features, pad_to_stride
from phaseguide.models.backbones.registry import build_backbone
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "martensite"])
ENCODER = "tu-tf_efficientnet_lite0"


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, FINE])
def test_split_equals_plain_forward_for_odd_sizes(architecture: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(BackboneOptions(architecture, ENCODER), 3).eval()
    image = torch.randn(1, 1, 75, 101)
    with torch.inference_mode():
        split = backbone.decode(backbone.encode(image))
        plain = backbone.net(pad_to_stride(image))[..., :75, :101]
    assert split.shape == (1, 3, 75, 101)
    assert torch.equal(split, plain)


@pytest.mark.parametrize("size", [(2, 2), (5, 64), (33, 31), (64, 64)])
def test_padding_works_for_any_size(size: tuple[int, int]) -> None:
    padded = pad_to_stride(torch.randn(1, 1, *size))
    assert padded.shape[-1] % 32 == 0 and padded.shape[-2] % 32 == 0
    assert padded.shape[-2] - size[0] < 32


def test_guided_segmenter_without_ratio_is_its_backbone() -> None:
    torch.manual_seed(0)
    segmenter = GuidedSegmenter(
        BackboneOptions("unet", ENCODER), GuidanceOptions("plm", {"width": 32}), SCHEME
    )
    segmenter.eval()
    with torch.no_grad():
        segmenter.guidance[0].delta.fill_(0.7)
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        features = segmenter.encode(image)
        without = segmenter.decode(features)
        with_ratio = segmenter.decode(features, torch.tensor([[0.1, 0.2, 0.7]]))
        other = segmenter.decode(features, torch.tensor([[0.7, 0.2, 0.1]]))
        plain = segmenter.backbone.net(image)
    assert torch.equal(without, plain)
    assert float((with_ratio - without).abs().max()) > 1e-4
    assert float((with_ratio - other).abs().max()) > 1e-5


@pytest.mark.parametrize("index", [0, 1, 2])
def test_imagenet_start_is_offline_and_grey_equals_repeated_grey(index: int) -> None:
    name = f"tu-tf_efficientnet_lite{index}"
    grey = build_backbone(BackboneOptions("unet", name, 1), 2).eval()
    colour = build_backbone(BackboneOptions("unet", name, 3), 2).eval()
    grey.load_pretrained()
    colour.load_pretrained()
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        a = grey.net.encoder(image)[1:]
        b = colour.net.encoder(image.repeat(1, 3, 1, 1))[1:]
    for one, three in zip(a, b, strict=True):
        assert torch.allclose(one, three, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, FINE])
def test_guidance_at_several_scales(architecture: str) -> None:
    torch.manual_seed(0)
    options = GuidanceOptions("ccrm", {"coordinates": False, "delta": 1.0}, scales=4)
    segmenter = GuidedSegmenter(BackboneOptions(architecture, ENCODER), options, SCHEME).eval()
    assert [m.channels for m in segmenter.guidance] == [320, 112, 40, 24]
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        a, b = (segmenter(image, torch.tensor([r])) for r in ([0.1, 0.2, 0.7], [0.7, 0.2, 0.1]))
        assert torch.equal(segmenter(image), segmenter.backbone.net(image))
    assert float((a - b).abs().max()) > 1e-5
    with pytest.raises(ModelError, match="5 maps to guide"):
        GuidedSegmenter(BackboneOptions(architecture, ENCODER), GuidanceOptions("ccrm", {}, scales=9), SCHEME)


def test_what_cannot_be_built_says_why() -> None:
    with pytest.raises(ModelError, match="Unknown architecture"):
        build_backbone(BackboneOptions("vnet", ENCODER), 3)
    with pytest.raises(ModelError, match="Cannot build the encoder"):
        build_backbone(BackboneOptions("unet", "no-such-encoder"), 3)
    with pytest.raises(ModelError, match="1 or 3 channels"):
        build_backbone(BackboneOptions("unet", ENCODER, 2), 3).load_pretrained()


def test_the_map_at_half_size_has_a_say_in_the_fine_pyramid() -> None:
    torch.manual_seed(0)
    options = BackboneOptions(FINE, ENCODER, decoder={"stem_channels": 8, "fine_channels": 16})
    backbone = build_backbone(options, 3).eval()
    assert backbone.channels == [16, 24, 40, 112, 320] and backbone.options is options
    backbone.load_pretrained()
    torch.nn.init.normal_(
        backbone.net.decoder.correction.weight
    )  # nothing is corrected before the first step
    features = backbone.encode(torch.randn(1, 1, 64, 64))
    changed = replace(features, maps=list(features.maps))
    changed.maps[1] = features.maps[1].clone()
    changed.maps[1][..., 16, 16] += 1.0
    with torch.inference_mode():
        moved = (backbone.decode(changed) - backbone.decode(features)).abs().amax((0, 1))
    assert moved.argmax() // 64 in range(28, 40) and moved.argmax() % 64 in range(28, 40)


@pytest.mark.parametrize(
    ("name", "value"), [("stem_channels", 12), ("fine_channels", 0), ("encoder_depth", 4)]
)
def test_widths_of_the_fine_pyramid_are_checked(name: str, value: int) -> None:
    with pytest.raises(ModelError, match=name):
        build_backbone(BackboneOptions(FINE, ENCODER, decoder={name: value}), 3)


class Pixelwise(Backbone):
    """A backbone of somebody else's: one layer a pixel."""

    channels, half_dtype = [4], "float16"

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        super().__init__()
        self.options = options
        self.encoder = torch.nn.Conv2d(options.in_channels, 4, 1)
        self.head = torch.nn.Conv2d(4, n_phases, 1)

    def encode(self, image: torch.Tensor) -> Features:
        return Features([self.encoder(image)], *image.shape[-2:])

    def decode(self, features: Features) -> torch.Tensor:
        logits: torch.Tensor = self.head(features.maps[-1])
        return logits

    def encoder_parts(self) -> dict[str, torch.nn.Module]:
        return {"encoder": self.encoder}

    def decoder_parts(self) -> dict[str, torch.nn.Module]:
        return {"head": self.head}

    def load_pretrained(self) -> None:
        raise ModelError("There is nothing to start from.")

    def preferred_tile(self, device_kind: str) -> int:
        return 512

    def preferred_overlap(self, tile: int) -> int:
        return 0


def test_another_backbone_needs_its_class_and_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BACKBONES, "pixelwise", f"{__name__}:Pixelwise")
    monkeypatch.setitem(architectures._DECODERS, "pixelwise", {})
    segmenter = GuidedSegmenter(BackboneOptions("pixelwise", "one"), GuidanceOptions("additive"), SCHEME)
    assert isinstance(segmenter.backbone, Pixelwise) and not segmenter.takes_prompts
    assert segmenter(torch.zeros(1, 1, 5, 7), torch.tensor([[0.1, 0.2, 0.7]])).shape == (1, 3, 5, 7)
    with pytest.raises(ModelError, match="cannot guide a pixelwise model"):
        segmenter.backbone.decode_prompted(segmenter.encode(torch.zeros(1, 1, 2, 2)), None)
    with pytest.raises(TypeError, match="abstract"):
        Backbone()  # type: ignore[abstract]


def test_a_unet_without_skips_decodes_the_last_map_alone() -> None:
    torch.manual_seed(0)
    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}
    with_skips, without = (
        build_backbone(BackboneOptions("unet", ENCODER, 1, {**options, "skips": skips}), 3).eval()
        for skips in (True, False)
    )
    plain = build_backbone(BackboneOptions("unet", ENCODER, 1, options), 3)
    assert plain.state_dict().keys() == with_skips.state_dict().keys()
    with torch.inference_mode():
        for backbone, heeds in ((with_skips, True), (without, False)):
            features = backbone.encode(torch.randn(1, 1, 75, 101))
            before = backbone.decode(features)
            assert before.shape == (1, 3, 75, 101)
            finer = replace(features, maps=[m + 1 for m in features.maps[:-1]] + features.maps[-1:])
            assert torch.equal(backbone.decode(finer), before) is not heeds
            last = replace(features, maps=[*features.maps[:-1], features.maps[-1] + 1])
            assert not torch.equal(backbone.decode(last), before)
    with pytest.raises(ModelError, match="'fpn' has no skips"):
        build_backbone(BackboneOptions("fpn", ENCODER, 1, {"skips": False}), 3)
