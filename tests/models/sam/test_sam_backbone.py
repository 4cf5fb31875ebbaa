"""Segment Anything as a backbone: equal to the official model, adapters that start at nothing, a shared base."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from phaseguide.errors import ModelError
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.registry import build_backbone
from phaseguide.models.backbones.sam import SamBackbone
from phaseguide.models.merging import merge_adapters
from phaseguide.models.sam.checkpoint import build_official, read_checkpoint
from phaseguide.models.sam.encoder import build_encoder, encoder_tensors, to_sam_pixels
from phaseguide.models.sam.lora import SplitQKV
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.sam.shapes import find_shape
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from sam_files import offer_base, write_base

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return offer_base(monkeypatch, tmp_path)


def build(
    base: str, *, guidance: str = "ccrm", head: str = "mask", rank: int = 4, blocks: int = 0
) -> GuidedSegmenter:
    torch.manual_seed(1)
    options = BackboneOptions(
        "sam", "vit_tiny", 1, {"head": head}, {"rank": rank, "base": base, "blocks": blocks}
    )
    segmenter = GuidedSegmenter(options, GuidanceOptions(guidance), SCHEME)
    segmenter.backbone.load_pretrained()
    return segmenter.eval()


def shake_adapters(segmenter: GuidedSegmenter) -> None:
    for parameter in segmenter.backbone.encoder_parts()["adapters"].parameters():
        torch.nn.init.normal_(parameter, std=0.1)


def some_image(height: int = 96, width: int = 144, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_encoder_equals_the_official_one_at_full_size(tmp_path: Path) -> None:
    """At 1024 px with all kinds of blocks: windows of 14 that do not divide 64 tokens, and global ones."""
    from dataclasses import replace

    from phaseguide.models.sam import shapes

    shape = replace(find_shape("vit_tiny"), grid=64)
    shapes.SHAPES["test_1024"] = replace(shape, name="test_1024")
    try:
        path, _ = write_base(tmp_path, "test_1024")
        state = read_checkpoint(path, shapes.SHAPES["test_1024"])
    finally:
        del shapes.SHAPES["test_1024"]
    official = build_official(shape).eval()
    official.load_state_dict(state)
    ours = build_encoder(shape).eval()
    ours.load_state_dict(encoder_tensors(state))
    pixels = to_sam_pixels(some_image(1024, 1024))
    with torch.no_grad():
        assert (official.image_encoder(pixels) - ours.forward_features(pixels)).abs().max() < 1e-4


def test_with_three_phases_the_decoder_starts_as_the_official_one(base: str, tmp_path: Path) -> None:
    segmenter = build(base)
    official = build_official(find_shape("vit_tiny")).eval()
    official.load_state_dict(torch.load(tmp_path / "sam" / "sam_vit_tiny_0.pth", weights_only=True))
    side = find_shape("vit_tiny").image_side
    with torch.no_grad():
        coded = official.image_encoder(to_sam_pixels(some_image(side, side)))
        sparse, dense = official.prompt_encoder(None, None, None)
        masks, _ = official.mask_decoder(coded, official.prompt_encoder.get_dense_pe(), sparse, dense, True)
        assert torch.allclose(segmenter.backbone.decoder(coded), masks, atol=1e-5)


def test_a_box_and_a_point_are_encoded_as_official(base: str, tmp_path: Path) -> None:
    head = build(base).backbone.decoder
    official = build_official(find_shape("vit_tiny"))
    official.load_state_dict(torch.load(tmp_path / "sam" / "sam_vit_tiny_0.pth", weights_only=True))
    import numpy as np

    prompts = Prompts(
        np.array([[10.0, 20.0, 60.0, 80.0]]), np.array([2]), np.array([[30.0, 40.0]]), np.array([-1])
    )
    with torch.no_grad():
        head.prompt_phases.zero_()  # the official ones stand for no phase
    tokens = head._prompt_tokens(prompts, 16, 16, torch.device("cpu"))
    coordinates, kind = torch.tensor([[[40.0, 30.0]]]), torch.tensor([[0.0]])
    corners = torch.tensor([[20.0, 10.0, 80.0, 60.0]])
    point = official.prompt_encoder._embed_points(coordinates, kind, pad=False)
    box = official.prompt_encoder._embed_boxes(corners)
    assert torch.allclose(tokens, torch.cat([box[0], point[0]]), atol=1e-5)


def test_splitting_the_projection_changes_no_bit() -> None:
    torch.manual_seed(0)
    fused = torch.nn.Linear(48, 144)
    split = SplitQKV(fused)
    tokens = torch.randn(7, 48)
    assert torch.equal(split(tokens), fused(tokens))


@pytest.mark.parametrize("head", ["mask", "conv"])
@pytest.mark.parametrize("guidance", ["none", "additive", "plm", "ccrm"])
def test_every_guidance_and_head_without_a_ratio_is_the_plain_network(
    base: str, guidance: str, head: str
) -> None:
    segmenter, plain = build(base, guidance=guidance, head=head), build(base, guidance="none", head=head)
    plain.backbone.load_state_dict(segmenter.backbone.state_dict())
    ratio = torch.tensor([[0.2, 0.5, 0.3]])
    with torch.no_grad():
        assert torch.equal(segmenter(some_image()), plain(some_image()))
        assert segmenter(some_image(), ratio).shape == (1, 3, 96, 144)


def test_adapters_start_at_nothing_and_switch_off_to_the_base(base: str) -> None:
    segmenter = build(base)
    bare = build(base, rank=0)
    with torch.no_grad():
        start = segmenter.encode(some_image()).maps[0]
        assert torch.equal(start, bare.encode(some_image()).maps[0])
        shake_adapters(segmenter)
        adapted = segmenter.encode(some_image()).maps[0]
        assert (adapted - start).abs().max() > 0.01
        with segmenter.backbone.without_adapters():
            assert torch.equal(segmenter.encode(some_image()).maps[0], start)
        assert torch.equal(segmenter.encode(some_image()).maps[0], adapted)


def test_running_and_learning_give_the_same(base: str) -> None:
    """Without gradients adapters are added to the weights; with them they run on their own."""
    segmenter = build(base)
    shake_adapters(segmenter)
    learning = segmenter(some_image())
    with torch.no_grad():
        running = segmenter(some_image())
        assert torch.allclose(running, learning, atol=1e-5)
        shake_adapters(segmenter)
        assert not torch.allclose(segmenter(some_image()), running, atol=1e-4), "a changed adapter is seen"


def test_gradient_reaches_exactly_what_may_learn(base: str) -> None:
    segmenter = build(base)
    shake_adapters(segmenter)
    for name, value in segmenter.guidance.named_parameters():
        if name.endswith("delta"):
            value.data.fill_(0.5)  # it starts at 0, where the rest of the module has no gradient
    segmenter.requires_grad_(True)
    before = {name: t.clone() for name, t in segmenter.backbone.base.encoder.items()}
    optimiser = torch.optim.SGD(segmenter.parameters(), lr=0.1)
    ratio = torch.tensor([[0.2, 0.5, 0.3]])
    import numpy as np

    box = Prompts(np.array([[8.0, 8.0, 40.0, 40.0]]), np.array([1]))
    segmenter.decode(segmenter.encode(some_image()), ratio, box).square().mean().backward()
    without = [n for n, p in segmenter.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without == []
    names = {n.split(".")[0] + "." + n.split(".")[1] for n, _ in segmenter.named_parameters()}
    assert names == {"backbone.encoder", "backbone.decoder", "guidance.0"}
    encoder = [n for n, _ in segmenter.backbone.encoder.named_parameters()]
    assert encoder and all("lora_" in n and (".q." in n or ".v." in n) for n in encoder)
    optimiser.step()
    assert all(torch.equal(t, before[n]) for n, t in segmenter.backbone.base.encoder.items())


def test_published_parameter_counts() -> None:
    """ViT-B, rank 512: adapters 18.87 M, module 1.2 M, frozen encoder 89.7 M."""
    with torch.device("meta"):
        backbone = SamBackbone(BackboneOptions("sam", "vit_b", 1, {}, {"rank": 512}), 3)
        encoder = build_encoder(find_shape("vit_b"))
        guided = GuidedSegmenter(backbone.options, GuidanceOptions("plm", {"width": 256}), SCHEME)

    def count(*modules: torch.nn.Module) -> int:
        return sum(p.numel() for m in modules for p in m.parameters())

    assert count(*backbone.encoder_parts().values()) == 18_874_368
    assert count(encoder) == 89_670_912
    assert 1.20e6 < count(guided.guidance) < 1.25e6
    assert count(*backbone.decoder_parts().values()) < 4_058_340


@pytest.mark.parametrize("rank", [256, 512, 1024, 2048])
@pytest.mark.parametrize(("size", "a_rank"), [("vit_b", 36_864), ("vit_l", 98_304), ("vit_h", 163_840)])
def test_adapters_of_every_size_and_published_rank(size: str, a_rank: int, rank: int) -> None:
    with torch.device("meta"):
        backbone = SamBackbone(BackboneOptions("sam", size, 1, {}, {"rank": rank}), 3)
    assert sum(p.numel() for p in backbone.encoder_parts()["adapters"].parameters()) == rank * a_rank


def test_models_share_their_base_and_copies_do(base: str) -> None:
    one, two = build(base), build(base, rank=8)
    with torch.no_grad():
        one.encode(some_image())
        two.encode(some_image())
    assert one.backbone.base is two.backbone.base
    twin = copy.deepcopy(one)
    assert twin.backbone.base is one.backbone.base
    weight = "pos_embed"
    assert getattr(twin.backbone.encoder, weight) is getattr(one.backbone.encoder, weight)
    shake_adapters(twin)
    with torch.no_grad():
        assert not torch.equal(twin(some_image()), one(some_image()))
    assert not any("pos_embed" in name or "mlp" in name for name in one.backbone.encoder.state_dict())


def test_merged_equals_adapted(base: str) -> None:
    for blocks in (0, 1):
        segmenter = build(base, blocks=blocks)
        shake_adapters(segmenter)
        merged = merge_adapters(segmenter)
        ratio = torch.tensor([[0.2, 0.5, 0.3]])
        with torch.no_grad():
            assert torch.allclose(merged(some_image(), ratio), segmenter(some_image(), ratio), atol=1e-5)
        with pytest.raises(ModelError, match="has none"):
            merge_adapters(merged)


def test_the_frozen_part_and_the_rest_are_the_encoder(base: str) -> None:
    segmenter = build(base, blocks=1)
    shake_adapters(segmenter)
    backbone = segmenter.backbone
    with torch.no_grad():
        whole = segmenter.encode(some_image()).maps[0]
        tokens = backbone.encode_frozen(some_image())
        assert torch.equal(backbone.encode_adapted(tokens).maps[0], whole)
        shake_adapters(segmenter)
        assert torch.equal(backbone.encode_frozen(some_image()).maps[0], tokens.maps[0])


def test_saving_memory_changes_no_gradient(base: str) -> None:
    gradients = []
    for save in (False, True):
        segmenter = build(base)
        segmenter.backbone.use_checkpointing(save)
        segmenter(some_image()).square().mean().backward()
        gradients.append(
            [p.grad.clone() for p in segmenter.backbone.encoder_parts()["adapters"].parameters()]
        )
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("size", [(2, 2), (5, 40), (16, 16), (97, 131)])
def test_any_size_of_image(base: str, size: tuple[int, int]) -> None:
    segmenter = build(base)
    with torch.no_grad():
        assert segmenter(some_image(*size)).shape == (1, 3, *size)


def test_a_batch_is_its_images(base: str) -> None:
    segmenter = build(base)
    images = torch.cat([some_image(), -some_image()])
    with torch.no_grad():
        both = segmenter(images)
        assert torch.allclose(both[1:], segmenter(images[1:]), atol=1e-5)


def test_colour_images(base: str) -> None:
    options = BackboneOptions("sam", "vit_tiny", 3, {}, {"rank": 2, "base": base})
    segmenter = GuidedSegmenter(options, GuidanceOptions("none"), SCHEME).eval()
    grey = build_backbone(BackboneOptions("sam", "vit_tiny", 1, {}, {"rank": 2, "base": base}), 3).eval()
    with torch.no_grad():
        colour = segmenter.encode(some_image().expand(-1, 3, -1, -1)).maps[0]
        assert torch.allclose(colour, grey.encode(some_image()).maps[0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (BackboneOptions("sam", "vit_x", 1), "vit_b"),
        (BackboneOptions("sam", "vit_tiny", 2), "1 or 3 channels"),
        (BackboneOptions("sam", "vit_tiny", 1, {"head": "dense"}), "'mask'"),
        (BackboneOptions("sam", "vit_tiny", 1, {}, {"rank": -1}), "rank is -1"),
        (BackboneOptions("sam", "vit_tiny", 1, {}, {"blocks": 3}), "blocks is 3"),
        (BackboneOptions("sam", "vit_tiny", 1, {}, {"ranks": 3}), "no ranks"),
        (BackboneOptions("sam", "vit_tiny", 1, {}, {"merged": True}), "merged"),
        (BackboneOptions("unet", "resnet18", 1, {}, {"rank": 4}), "takes no adapters"),
    ],
)
def test_options_that_do_not_exist(options: BackboneOptions, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        build_backbone(options, 3)


def test_prompts_change_the_result_and_a_light_head_refuses_them(base: str) -> None:
    import numpy as np

    box = Prompts(np.array([[8.0, 8.0, 40.0, 40.0]]), np.array([1]))
    segmenter = build(base)
    with torch.no_grad():
        features = segmenter.encode(some_image())
        plain = segmenter.decode(features)
        assert not torch.allclose(segmenter.decode(features, None, box), plain)
        assert torch.equal(segmenter.decode(features, None, Prompts()), plain)
        light = build(base, head="conv")
        assert segmenter.takes_prompts and not light.takes_prompts
        with pytest.raises(ModelError, match="light convolutional head"):
            light.decode(light.encode(some_image()), None, box)
