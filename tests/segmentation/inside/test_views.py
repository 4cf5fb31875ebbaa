"""Look inside: shared projections, the same pictures every time, at the right place, and a way out between blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from phaseguide.errors import ModelError, PhaseguideError, RatioError
from phaseguide.events import Finished, Progress
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import BackboneCard
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.segmentation.inside.activations import handed_over, token_map
from phaseguide.segmentation.inside.base_encoder import IMAGENET, find_base, imagenet_start
from phaseguide.segmentation.inside.colours import fit_projection
from phaseguide.segmentation.inside.sheet import save_inside
from phaseguide.segmentation.inside.views import InsideView, choose_window, look_inside
from tiny_models import DEAF, tiny_image, tiny_model
from widget_helpers import micrograph

ODD = (101, 131)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    encoder = "tu-tf_efficientnet_lite0"  # for which there are weights that learnt on ImageNet
    return load_model(tiny_model(tmp_path_factory.mktemp("inside"), encoder=encoder))


@pytest.fixture
def sam(unet: LoadedModel) -> LoadedModel:
    """The official architecture at a tiny size, with adapters that have learnt something."""
    pytest.importorskip("peft")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = BackboneOptions("sam", "vit_tiny", 1, {"head": "conv"}, {"rank": 4})
        segmenter = GuidedSegmenter(
            options, GuidanceOptions("plm", {"width": 16, "delta": 1.0}), unet.segmenter.scheme
        ).eval()
        for name, parameter in segmenter.backbone.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.5)
    return LoadedModel(segmenter, unet.card, Path("sam.safetensors"))


def look(model: LoadedModel, image: Any, **options: Any) -> list[InsideView]:
    *_, end = look_inside(model, image, **options)
    assert isinstance(end, Finished)
    views: list[InsideView] = end.result
    return views


def by_name(views: list[InsideView], encoder: str = "adapted") -> dict[str, InsideView]:
    return {view.name: view for view in views if view.encoder == encoder}


def test_every_stage_lies_where_it_belongs_on_an_odd_image(unet: LoadedModel) -> None:
    views = by_name(look(unet, micrograph(ODD)))
    assert list(views) == [*(f"stage {n}" for n in range(1, 6)), "after guidance, no ratio"]
    for number in range(1, 6):
        view, stride = views[f"stage {number}"], 2**number
        assert view.stride == (stride, stride)
        # Every pixel of the image is under the picture, and no row of the picture is padding alone.
        assert view.rgb.shape == (-(-ODD[0] // stride), -(-ODD[1] // stride), 3)
        assert view.centre_of_first == ((stride - 1) / 2, (stride - 1) / 2)
        assert view.rgb.dtype == np.uint8
        assert 0 < sum(view.explained) <= 1 + 1e-6 and view.explained[0] >= view.explained[1]


def test_a_bright_spot_is_seen_at_its_place(unet: LoadedModel) -> None:
    plain = micrograph((96, 128))
    spotted = plain.copy()
    spotted[70:74, 100:104] = 255
    stage = by_name(look(unet, spotted))["stage 1"]
    other = by_name(look(unet, plain))["stage 1"]
    changed = np.abs(stage.rgb.astype(int) - other.rgb).sum(axis=2)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    down, across = stage.centre_of_first
    assert abs(row * stage.stride[0] + down - 72) < 5 and abs(column * stage.stride[1] + across - 102) < 5


def test_the_same_look_gives_the_same_pictures(unet: LoadedModel) -> None:
    first, second = (look(unet, micrograph(ODD), ratio=[0.2, np.nan, np.nan]) for _ in range(2))
    assert [v.name for v in first] == [v.name for v in second]
    assert all(
        np.array_equal(a.rgb, b.rgb) and a.explained == b.explained
        for a, b in zip(first, second, strict=True)
    )


def test_signs_do_not_depend_on_the_direction_of_the_data() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(20, 20, 8)) * np.arange(8, 0, -1)
    components = fit_projection([tokens]).components
    assert np.allclose(components, fit_projection([-tokens]).components, atol=1e-5)
    assert (components[np.arange(3), np.abs(components).argmax(axis=1)] > 0).all()


def test_base_and_adapted_share_one_projection_and_scale(unet: LoadedModel) -> None:
    image = micrograph(ODD)
    same = look(unet, image, base=unet.segmenter)
    base, adapted = by_name(same, "base"), by_name(same)
    assert set(base) == {f"stage {n}" for n in range(1, 6)}
    assert all(np.array_equal(view.rgb, adapted[name].rgb) for name, view in base.items())

    # An encoder whose features are all shifted is drawn in other colours, though by itself it would look the same.
    tokens = np.random.default_rng(0).normal(size=(16, 16, 6))
    shifted = tokens + 40
    alone = [fit_projection([one]).colours(one) for one in (tokens, shifted)]
    assert np.abs(alone[0].astype(int) - alone[1]).max() <= 1
    both = fit_projection([tokens, shifted])
    assert both.colours(shifted)[..., 0].min() > both.colours(tokens)[..., 0].max()


def test_adapters_off_is_the_base(sam: LoadedModel) -> None:
    views = look(sam, micrograph((100, 140)), ratio=[0.2, 0.3, 0.5])
    base, adapted = by_name(views, "base"), by_name(views)
    assert list(base) == ["block 1", "block 2", "encoder output"]
    guided = "after guidance, with 20 % ferrite, 30 % carbide network, 50 % Widmanstätten cementite"
    assert list(adapted) == [*base, "after guidance, no ratio", guided]
    assert {view.rgb.shape for view in views} == {(7, 9, 3)} and {view.stride for view in views} == {(16, 16)}
    assert not np.array_equal(base["block 2"].rgb, adapted["block 2"].rgb)
    assert base["block 2"].explained == adapted["block 2"].explained
    # Guidance is drawn in the colours of the encoder's output, which it leaves alone without a ratio.
    assert np.array_equal(adapted["encoder output"].rgb, adapted["after guidance, no ratio"].rgb)
    assert not np.array_equal(adapted["encoder output"].rgb, adapted[guided].rgb)
    assert not any(module._forward_hooks for module in sam.segmenter.modules())
    for name, parameter in sam.segmenter.backbone.named_parameters():
        if "lora_B" in name:
            nn.init.zeros_(parameter)
    fresh = look(sam, micrograph((100, 140)))
    assert np.array_equal(by_name(fresh, "base")["block 2"].rgb, by_name(fresh)["block 2"].rgb)


def test_the_window_stays_inside_the_image_and_says_where_it_is(unet: LoadedModel) -> None:
    image = micrograph((200, 300))
    views = by_name(look(unet, image, window=64, centre=(190, 150)))
    assert views["stage 1"].origin == (136, 118) and views["stage 1"].rgb.shape == (32, 32, 3)
    assert views["stage 2"].centre_of_first == (137.5, 119.5)
    assert choose_window((200, 300), 1024) == (slice(0, 200), slice(0, 300))
    assert choose_window((2000, 3000), 1024) == (slice(488, 1512), slice(988, 2012))
    assert choose_window((2000, 3000), 1024, (-50, 9999)) == (slice(0, 1024), slice(1976, 3000))


def test_it_can_be_left_between_two_blocks(sam: LoadedModel) -> None:
    events = look_inside(sam, micrograph((96, 96)))
    for event in events:
        if isinstance(event, Progress) and event.done == 1:
            break
    events.close()  # type: ignore[attr-defined]
    assert not any(module._forward_hooks for module in sam.segmenter.modules())
    assert len(look(sam, micrograph((96, 96)))) == 7, "the model is as it was"


def test_a_pass_ends_where_nobody_takes_the_next_block() -> None:
    made: list[int] = []

    def run(hand: Any) -> None:
        for number in range(100):
            made.append(number)
            hand(number)

    items = handed_over(run)
    assert next(items) == 0
    items.close()
    assert len(made) <= 4, "only what was waiting was made"

    def fail(hand: Any) -> None:
        hand(1)
        raise ModelError("broken block")

    with pytest.raises(ModelError, match="broken block"):
        list(handed_over(fail))


def test_maps_of_either_layout_are_understood() -> None:
    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)

    grid = torch.arange(4 * 8 * 8.0).reshape(1, 4, 8, 8)
    size, last = (64, 64), grid.permute(0, 2, 3, 1)
    expected = grid[0].permute(1, 2, 0).numpy()
    for output in (
        grid,
        last,
        last.reshape(1, 64, 4),
        torch.cat([torch.zeros(1, 1, 4), last.reshape(1, 64, 4)], 1),
    ):
        found = token_map(output, nn.Identity(), size, (64, 60))
        assert found is not None and found.stride == (8, 8)
        assert np.array_equal(found.tokens, expected)
    cube = torch.rand(1, 8, 8, 8)  # the shape alone does not tell
    as_first, as_last = (token_map(cube, module, size, size) for module in (nn.Identity(), Transformer()))
    assert as_first is not None and np.allclose(as_first.tokens, cube[0].permute(1, 2, 0), atol=1e-3)
    assert as_last is not None and np.allclose(as_last.tokens, cube[0], atol=1e-3)
    assert token_map(torch.rand(1, 7), nn.Identity(), size, size) is None
    assert token_map(torch.rand(1, 63, 4), nn.Identity(), size, size) is None


def test_flat_and_few_tokens_are_grey() -> None:
    for tokens in (np.ones((4, 5, 6)), np.ones((1, 1, 6))):
        projection = fit_projection([tokens])
        assert projection.explained == (0, 0, 0)
        assert np.all(projection.colours(tokens) == 128)
    two = np.stack([np.zeros((2, 2)), np.eye(2)], axis=-1)
    assert fit_projection([two]).colours(two).shape == (2, 2, 3)


def test_an_image_smaller_than_a_stride_and_a_colour_image(unet: LoadedModel) -> None:
    assert by_name(look(unet, micrograph((5, 7))))["stage 5"].rgb.shape == (1, 1, 3)
    assert by_name(look(unet, micrograph((64, 96, 3))))["stage 5"].rgb.shape == (2, 3, 3)


def test_what_cannot_be_looked_at_is_said(unet: LoadedModel, tmp_path: Path) -> None:
    image = tiny_image()
    with pytest.raises(ModelError, match="at least 32 px"):
        look(unet, image, window=8)
    with pytest.raises(ModelError, match="no place"):
        look(unet, image, centre=(np.nan, 3))
    with pytest.raises(RatioError):
        look(unet, image, ratio=[0.9, 0.9, np.nan])
    plain = load_model(tiny_model(tmp_path, "none"))
    assert "after guidance, no ratio" not in by_name(look(plain, image))
    deaf = load_model(tiny_model(tmp_path, guidance_options=DEAF))
    for model in (plain, deaf):
        with pytest.raises(RatioError, match="has no guidance"):
            look(model, image, ratio=[0.2, 0.3, 0.5])
    other = load_model(tiny_model(tmp_path, in_channels=3, file_name="colour.safetensors"))
    with pytest.raises(ModelError, match="Only encoders of one kind"):
        look(unet, image, base=other.segmenter)
    with pytest.raises(PhaseguideError, match="all black"):
        look(unet, np.zeros((64, 64), np.uint8), name="black.tif")


def test_the_base_is_what_training_began_with(
    unet: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_base(unet) is None, "nothing is known of its training"
    began = replace(unet, card=unet.card.model_copy(update={"training": {"config": {"imagenet": True}}}))
    found = find_base(began)
    assert found is not None and found[0] == IMAGENET
    now = unet.card.model_copy(update={"training": {"config": {"encoder_weights": "imagenet"}}})
    assert find_base(replace(unet, card=now)) is not None
    (tmp_path / "elsewhere").mkdir()
    other = load_model(tiny_model(tmp_path / "elsewhere"))
    assert find_base(replace(other, card=now)) is None, "a card does not choose that something is downloaded"
    start = imagenet_start(unet.segmenter)
    for a, b in zip(
        found[1].backbone.net.encoder.parameters(), start.backbone.net.encoder.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    tiny_model(
        tmp_path / "models", encoder="tu-tf_efficientnet_lite0", file_name="mother.safetensors", seed=3
    )
    child = replace(unet, card=unet.card.model_copy(update={"training": {"parent": "mother"}}))
    mother = find_base(child)
    assert mother is not None and mother[0] == "tiny-plm"
    assert not np.array_equal(
        *(
            by_name(look(child, tiny_image(), base=mother[1]), side)["stage 3"].rgb
            for side in ("base", "adapted")
        )
    )
    stranger = child.card.model_copy(
        update={"backbone": BackboneCard(architecture="fpn", encoder="x", in_channels=1)}
    )
    assert find_base(replace(child, card=stranger)) is None
    path = str(tmp_path / "models" / "mother.safetensors")
    nosy = unet.card.model_copy(update={"training": {"parent": path}})
    assert find_base(replace(unet, card=nosy)) is None, "a card does not choose which files are opened"
    lost = unet.card.model_copy(update={"training": {"parent": "gone"}})
    assert find_base(replace(unet, card=lost)) is None


def test_files_hold_what_was_found(sam: LoadedModel, tmp_path: Path) -> None:
    import json

    from PIL import Image

    image = micrograph((100, 140))
    views = look(sam, image)
    files = save_inside(tmp_path, "steel", views, image, model_name="sam")
    table = json.loads(files.table.read_text(encoding="utf-8"))
    assert [row["name"] for row in table["views"]] == [view.name for view in views]
    for path, view in zip(files.pictures, views, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), view.rgb)
    before = files.sheet.read_bytes()
    assert Image.open(files.sheet).width > 300
    save_inside(tmp_path, "steel", views, image, model_name="sam")
    assert files.sheet.read_bytes() == before
