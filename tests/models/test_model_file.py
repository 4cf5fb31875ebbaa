"""Model files: a round trip, and every way such a file can be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from phaseguide.errors import ModelError
from phaseguide.models import recycle, zoo
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import CalibrationCard, Card
from phaseguide.models.model_file import METADATA_KEY, LoadedModel, load_model, read_card, save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "Widmanstätten cementite"])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    segmenter = GuidedSegmenter(
        BackboneOptions("unet", "tu-test_efficientnet", 1, {"decoder_channels": [16, 16, 8, 8, 8]}),
        GuidanceOptions("plm", {"width": 16, "coordinates": False}),
        SCHEME,
    )
    card = Card(
        name="tiny",
        phases=SCHEME.to_dict()["phases"],
        backbone={"architecture": "unet", "encoder": "x", "in_channels": 1},
        guidance={"kind": "none"},
        training_ratio_mean=[0.4, 0.6],
        training_ratio_spread=[0.1, 0.1],
        calibration=CalibrationCard(own_error=[0.2, 0.3]),
    )
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(path, segmenter, card)
    return path


def card_text(path: Path) -> str:
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    return str(json.loads(raw[8 : 8 + size])["__metadata__"][METADATA_KEY])


def with_card(path: Path, out: Path, text: str) -> Path:
    save_file(load_file(path), out, metadata={METADATA_KEY: text})
    return out


def test_round_trip_keeps_everything(saved: Path, tmp_path: Path) -> None:
    model = load_model(saved)
    assert isinstance(model, LoadedModel)
    assert model.card.scheme.names == SCHEME.names
    assert model.card.guidance.options == {"width": 16, "coordinates": False}
    again = tmp_path / "again.safetensors"
    save_model(again, model.segmenter, model.card)
    assert again.read_bytes() == saved.read_bytes()
    image = torch.randn(1, 1, 64, 64)
    ratio = torch.tensor([[0.3, 0.7]])
    with torch.inference_mode():
        assert torch.equal(model.segmenter(image, ratio), load_model(again).segmenter(image, ratio))


def test_statistics_buffers_stay_float32(saved: Path) -> None:
    types = {name: t.dtype for name, t in load_file(saved).items()}
    assert {t for n, t in types.items() if n.endswith("running_var")} == {torch.float32}
    assert {t for n, t in types.items() if n.endswith("weight")} == {torch.float16}


def test_a_flipped_bit_is_noticed(saved: Path, tmp_path: Path) -> None:
    raw = bytearray(saved.read_bytes())
    raw[-1000] ^= 1
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(raw)
    with pytest.raises(ModelError, match=r"broken\.safetensors.*checksum"):
        load_model(broken)


def test_truncated_foreign_and_missing_files_name_file_and_reason(saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(saved.read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"cut\.safetensors.*truncated"):
        load_model(cut)
    stub = tmp_path / "stub.safetensors"
    stub.write_bytes(b"hello")
    with pytest.raises(ModelError, match="not a model file"):
        load_model(stub)
    picture = tmp_path / "picture.safetensors"
    picture.write_bytes(b"\x89PNG" * 1000)
    with pytest.raises(ModelError, match="not a model file"):
        load_model(picture)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    with pytest.raises(ModelError, match="without a Phase Guide card"):
        load_model(foreign)
    with pytest.raises(ModelError, match="no such model file"):
        load_model(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format_version": 99}, "newer than this program"),
        ({"calibration": {"own_error": [0.1]}}, "not valid"),
        ({"phases": [{"label": 2, "name": "a"}]}, "not valid"),
        ({"surprise": 1}, "not valid"),
        ({"training_ratio_mean": [0.1, 0.2, 0.7]}, "not valid"),
        (
            {"backbone": {"architecture": "fpn", "encoder": "tu-test_efficientnet", "in_channels": 1}},
            "do not fit",
        ),
    ],
)
def test_wrong_cards_are_refused(saved: Path, tmp_path: Path, change: dict[str, object], match: str) -> None:
    out = with_card(saved, tmp_path / "m.safetensors", json.dumps({**json.loads(card_text(saved)), **change}))
    with pytest.raises(ModelError, match=match):
        load_model(out)


def test_a_card_that_is_no_json(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="card is damaged"):
        read_card(with_card(saved, tmp_path / "m.safetensors", "{"))


def test_zoo_adds_lists_finds_and_removes(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path))
    entry = zoo.add_model(saved, "mine")
    assert entry.path.is_file() and "mine" in {e.name for e in zoo.list_models() if e.origin == "user"}
    assert zoo.open_model("mine").card.name == "tiny"
    assert zoo.find_model(saved) == saved
    with pytest.raises(ModelError, match="already"):
        zoo.add_model(saved, "mine")
    with pytest.raises(ModelError, match="cannot be a model name"):
        zoo.add_model(saved, "../evil")
    (zoo.user_model_folder() / "bad.safetensors").write_bytes(b"no")
    assert "not a model file" in next(e.problem for e in zoo.list_models() if e.name == "bad")
    recycle.recycle_model("mine")
    with pytest.raises(ModelError, match="no model 'mine'"):
        zoo.find_model("mine")
    with pytest.raises(ModelError, match="no model 'mine'"):
        recycle.recycle_model("mine")


@pytest.mark.parametrize(
    "name", ["../evil", "..", "a/b", "a\\b", "c:a", "", ".hidden", "a.safetensors", "a\0"]
)
def test_names_never_lead_out_of_the_folder(saved: Path, tmp_path: Path, data_dir: Path, name: str) -> None:
    outside = data_dir / "evil.safetensors"
    outside.write_bytes(b"precious")
    with pytest.raises(ModelError, match="cannot be a model name"):
        recycle.recycle_model(name)
    with pytest.raises(ModelError):
        zoo.find_model(name)
    if name:  # without one, the file's own name is taken
        with pytest.raises(ModelError, match="cannot be a model name"):
            zoo.add_model(saved, name)
    assert outside.read_bytes() == b"precious"


def test_a_name_is_never_a_file_of_the_working_directory(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = zoo.add_model(saved, "mine").path
    (tmp_path / "mine").write_bytes(b"something else")
    (tmp_path / "other").write_bytes(b"something else")
    (tmp_path / "m.safetensors").write_bytes(saved.read_bytes())
    assert zoo.find_model("mine") == mine
    (tmp_path / "mine").unlink()
    (tmp_path / "mine").mkdir()
    assert zoo.find_model("mine") == mine
    with pytest.raises(ModelError, match="no model 'other'"):
        zoo.find_model("other")
    assert zoo.find_model("m.safetensors") == Path("m.safetensors")
    assert zoo.find_model("./other") == Path("other"), "a separator makes it a path"


def test_what_the_system_refuses_names_the_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = zoo.add_model(saved, "mine")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        patch.setattr(os, "link", refuse)
        with pytest.raises(ModelError, match=r"mine\.safetensors: cannot be moved .*Permission denied"):
            recycle.recycle_model("mine")
    assert not recycle.list_recycled()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(ModelError, match=rf"{saved.name}: cannot be read .Permission denied"):
            zoo.add_model(saved, "again")
    assert entry.path.is_file()
