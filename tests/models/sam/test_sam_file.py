"""Model files of Segment Anything: adapters, guidance and decoder only, tied to a base by its checksum."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from phaseguide.errors import ModelError
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import FORMAT_VERSION, BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.merging import merge_adapters
from phaseguide.models.model_file import load_model, save_model
from phaseguide.models.rephase import origin_by_name, rephase
from phaseguide.models.sam.checkpoint import read_checkpoint
from phaseguide.models.sam.shapes import find_shape
from phaseguide.models.sam.shared_base import open_base
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from sam_files import offer_base, write_base

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])


def make(base: str, rank: int = 4) -> tuple[GuidedSegmenter, Card]:
    torch.manual_seed(1)
    options = BackboneOptions("sam", "vit_tiny", 1, {}, {"rank": rank, "base": base})
    segmenter = GuidedSegmenter(options, GuidanceOptions("ccrm", {"delta": 0.5}), SCHEME).eval()
    if base:
        segmenter.backbone.load_pretrained()
        for parameter in segmenter.backbone.encoder_parts()["adapters"].parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    card = Card(
        name="adapted",
        phases=SCHEME.to_dict()["phases"],
        backbone=BackboneCard(**options.to_dict()),
        guidance=GuidanceCard(**asdict(segmenter.guidance_options)),
        training_ratio_mean=[1 / 3] * 3,
        training_ratio_spread=[1.0] * 3,
        calibration=CalibrationCard(own_error=[0.3] * 3),
    )
    return segmenter, card


def image() -> torch.Tensor:
    return torch.rand(1, 1, 96, 80, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return offer_base(monkeypatch, tmp_path)


@pytest.fixture
def saved(base: str, tmp_path: Path) -> Path:
    save_model(tmp_path / "adapted.safetensors", *make(base))
    return tmp_path / "adapted.safetensors"


def test_the_file_holds_what_was_trained_and_comes_back(saved: Path, base: str) -> None:
    from safetensors.torch import load_file

    tensors = load_file(saved)
    encoder = [name for name in tensors if name.startswith("backbone.encoder.")]
    assert encoder and all(".lora_" in name for name in encoder)
    trained = sum(p.numel() for p in make(base)[0].parameters())
    assert sum(t.numel() for t in tensors.values()) < trained + 100
    model = load_model(saved)
    assert model.card.backbone.adapter["base"] == base and model.card.format_version == FORMAT_VERSION
    ratio = torch.tensor([[0.2, 0.5, 0.3]])
    with torch.no_grad():
        first = model.segmenter(image(), ratio)
        assert torch.allclose(first, make(base)[0](image(), ratio), atol=0.01), (
            "half precision of the weights"
        )
    again = saved.with_name("again.safetensors")
    save_model(again, model.segmenter, model.card)
    with torch.no_grad():
        assert torch.allclose(load_model(again).segmenter(image(), ratio), first, atol=1e-5)


def test_rank_512_of_the_official_size_fits_60_mb() -> None:
    with torch.device("meta"):
        options = BackboneOptions("sam", "vit_b", 1, {}, {"rank": 512})
        segmenter = GuidedSegmenter(options, GuidanceOptions("plm", {"width": 256}), SCHEME)
    parameters = {name for name, _ in segmenter.named_parameters()}
    size = sum(t.numel() * (2 if name in parameters else 4) for name, t in segmenter.state_dict().items())
    assert 40e6 < size < 60e6


def test_two_models_switch_on_one_base(saved: Path, base: str) -> None:
    other = saved.with_name("other.safetensors")
    save_model(other, *make(base, rank=2))
    one, two = load_model(saved), load_model(other)
    with torch.no_grad():
        first = one.segmenter(image())
        assert not torch.allclose(two.segmenter(image()), first)
        assert torch.equal(one.segmenter(image()), first)
    assert one.segmenter.backbone.base is two.segmenter.backbone.base


def test_a_merged_file_needs_no_base(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = load_model(saved)
    merged = merge_adapters(model.segmenter)
    save_model(tmp_path / "merged.safetensors", merged, model.card)
    for parameter in merged.parameters():  # files hold half precision
        parameter.data = parameter.data.half().float()
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    with torch.no_grad():
        after, before = load_model(tmp_path / "merged.safetensors").segmenter(image()), merged(image())
    assert before.std() > 0.01
    assert torch.allclose(after, before, atol=1e-6)


def test_a_missing_base_is_told(
    saved: Path, base: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="weights below them are not at hand") as told:
        load_model(saved)
    assert base[:8] in str(told.value) and saved.name in str(told.value)


def test_another_base_of_the_same_size_is_not_taken(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer_base(monkeypatch, tmp_path / "else", seed=1)
    with pytest.raises(ModelError, match="not at hand"):
        load_model(saved)


def test_adapters_of_another_size(saved: Path) -> None:
    """A card that names ViT-L over adapters of a smaller encoder."""
    from phaseguide.models.model_file import read_card
    from phaseguide.models.sharing import with_card

    card = read_card(saved)
    wrong = card.model_copy(update={"backbone": card.backbone.model_copy(update={"encoder": "vit_l"})})
    saved.write_bytes(with_card(saved.read_bytes(), wrong))
    with pytest.raises(ModelError, match="do not fit the architecture"):
        load_model(saved)


def test_random_weights_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="random base weights"):
        save_model(tmp_path / "random.safetensors", *make(""))
    assert not (tmp_path / "random.safetensors").exists()


def test_phases_can_be_added_and_keep_what_they_know(saved: Path) -> None:
    model = load_model(saved)
    more = PhaseScheme.from_names(["pearlite", "bainite", "ferrite", "carbide"])
    grown = rephase(model, more, origin_by_name(SCHEME, more))
    old, new = model.segmenter.backbone.decoder, grown.segmenter.backbone.decoder
    assert torch.equal(new.phase_tokens[0], old.phase_tokens[1])
    assert torch.equal(new.weights[1][2], old.weights[1][0])
    with torch.no_grad():
        assert grown.segmenter(image()).shape == (1, 4, 96, 80)


def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    shape = find_shape("vit_tiny")
    good, _ = write_base(tmp_path)
    (tmp_path / "cut.pth").write_bytes(good.read_bytes()[:-5000])
    (tmp_path / "text.pth").write_text("not weights")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name, told in (
        ("cut", "truncated"),
        ("text", "truncated"),
        ("other", "no checkpoint of Segment"),
        ("no", "no such"),
    ):
        with pytest.raises(ModelError, match=told):
            read_checkpoint(tmp_path / f"{name}.pth", shape)
    with pytest.raises(ModelError, match="a vit_tiny model, but vit_b is needed"):
        read_checkpoint(good, find_shape("vit_b"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path / "trap.pth", find_shape("vit_tiny"))
    assert not (tmp_path / "sprung").exists()


def test_a_base_damaged_after_it_was_added(base: str, tmp_path: Path) -> None:
    from phaseguide.models.sam import shared_base as bases

    bases._bases.clear()
    file = next((tmp_path / "sam").glob("*.pth"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError):
        open_base(find_shape("vit_tiny"), base)
