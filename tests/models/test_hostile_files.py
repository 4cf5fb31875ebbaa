"""Model files that somebody else made: refused with a sentence, whatever they say, and nothing else happens."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from phaseguide.errors import ModelError
from phaseguide.finetuning.validation_blocks import block_history
from phaseguide.models import recycle, zoo
from phaseguide.models import segmenter as segmenters
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.registry import build_backbone
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import METADATA_KEY, check_model, load_model, model_bytes, read_card
from phaseguide.models.summary import count_of_card
from phaseguide.segmentation.inside.base_encoder import began_with_imagenet
from phaseguide.training.data import seen_images
from tiny_models import tiny_model

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def nothing_opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connection is tried while the test runs."""
    tried: list[Any] = []

    def refuse(*address: Any, **_: Any) -> None:
        tried.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert tried == []


def card_of(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    card: dict[str, Any] = json.loads(header["__metadata__"][METADATA_KEY])
    return card


def changed(source: Path, out: Path, change: Change) -> Path:
    """Write the model with another card."""
    card = card_of(source)
    change(card)
    out.write_bytes(save(load_file(source), metadata={METADATA_KEY: json.dumps(card)}))
    return out


def put(keys: str, value: Any) -> Change:
    """A change of one entry, by its keys with dots between."""

    def change(card: dict[str, Any]) -> None:
        *outer, last = keys.split(".")
        for key in outer:
            card = card[key]
        card[last] = value

    return change


def refused(path: Path, *words: str) -> str:
    with pytest.raises(ModelError) as caught:
        read_card(path)
    told = str(caught.value)
    assert "\n" not in told and len(told) < 700 and path.name in told, told
    for word in words:
        assert word in told, told
    return told


# -- what it is built of ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder",
    [
        "tu-hf-hub:who/ever", "tu-hf_hub:who/ever", "hf-hub:who/ever", "tu-local-dir:/any/folder", "tu-local-dir:x",
        "tu-resnet18.hf-hub:who/ever", "tu-https://example.org/net", "../resnet18", "/etc/passwd", "tu-..", "",
        "tu-timm/resnet18", "resnet18\n", "x" * 1000,
    ],
)  # fmt: skip
@pytest.mark.usefixtures("nothing_opened")
def test_an_encoder_that_is_an_address_or_a_folder(model: Path, tmp_path: Path, encoder: str) -> None:
    file = changed(model, tmp_path / "gift.safetensors", put("backbone.encoder", encoder))
    told = refused(file)
    assert "encoder" in told
    with pytest.raises(ModelError):
        zoo.add_model(file)
    with pytest.raises(ModelError):
        build_backbone(BackboneOptions("unet", encoder), 2)


@pytest.mark.parametrize(
    "encoder", ["tu-no_such_model", "resnet19", "timm-resnet18x", "tu-resnet18.no_such_tag"]
)
@pytest.mark.usefixtures("nothing_opened")
def test_an_encoder_that_nobody_knows(model: Path, tmp_path: Path, encoder: str) -> None:
    file = changed(model, tmp_path / "gift.safetensors", put("backbone.encoder", encoder))
    with pytest.raises(ModelError, match=r"gift\.safetensors.*Cannot build"):
        check_model(file)


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ("backbone.architecture", "vnet", "Unknown architecture"),
        ("backbone.architecture", ["unet"], "architecture"),
        ("backbone.in_channels", 0, "in_channels"),
        ("backbone.in_channels", 10**12, "in_channels"),
        ("backbone.decoder", {"encoder_weights": "imagenet"}, "has no encoder_weights"),
        ("backbone.decoder", {"pretrained_cfg": {"file": "/etc/passwd"}}, "has no pretrained_cfg"),
        ("backbone.decoder", {"checkpoint_path": "/etc/passwd"}, "has no checkpoint_path"),
        ("backbone.decoder", {"activation": "sigmoid"}, "has no activation"),
        ("backbone.decoder", {"aux_params": {"classes": 10**9}}, "has no aux_params"),
        ("backbone.decoder", {"decoder_channels": [10**9] * 5}, "decoder_channels"),
        ("backbone.decoder", {"decoder_channels": [16.0] * 5}, "decoder_channels"),
        ("backbone.decoder", {"decoder_channels": "16"}, "decoder_channels"),
        ("backbone.decoder", {"decoder_use_norm": {"type": "batchnorm", "num_features": 1e9}}, "use_norm"),
        ("backbone.decoder", {"encoder_depth": True}, "encoder_depth is True"),
        ("backbone.adapter", {"rank": 4}, "takes no adapters"),
        ("guidance.kind", "magic", "Unknown guidance"),
        ("guidance.options", {"width": 10**9}, "width"),
        ("guidance.options", {"channels": 3}, "has no channels"),
        ("guidance.options", {"gamma": 1e300}, "gamma"),
        ("guidance.options", {"gamma": 10**400}, "beyond all measure"),
        ("guidance.scales", 10**6, "scales"),
    ],
)
@pytest.mark.usefixtures("nothing_opened")
def test_options_that_there_are_not(model: Path, tmp_path: Path, keys: str, value: Any, words: str) -> None:
    refused(changed(model, tmp_path / "m.safetensors", put(keys, value)), words)


@pytest.mark.parametrize(
    ("decoder", "adapter", "words"),
    [
        ({"head": ["mask"]}, {}, "head"),
        ({}, {"rank": True}, "rank is True"),
        ({}, {"base": "../secret"}, "base"),
        ({}, {"target_modules": ".*"}, "has no target_modules"),
        ({}, {"merged": 1}, "merged is 1"),
    ],
)
def test_adapters_by_known_names_only(
    model: Path, tmp_path: Path, decoder: dict[str, Any], adapter: dict[str, Any], words: str
) -> None:
    backbone = {
        "architecture": "sam", "encoder": "vit_tiny", "in_channels": 1, "decoder": decoder, "adapter": adapter,
    }  # fmt: skip
    refused(changed(model, tmp_path / "m.safetensors", put("backbone", backbone)), words)


# -- numbers that steer a result ----------------------------------------------------------------------

HEAD = {"sigmas": [1.0], "floor": -8.0, "weights": [[0.0] * 6] * 3, "bias": [0.0] * 3}
USUAL = {
    "names": ["contrast"], "centre": [0.0], "spread": [1.0], "lowest": [0.0], "highest": [1.0], "threshold": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ("calibration.own_error", [-0.3, 0.3, 0.3]),
        ("calibration.own_error", [float("nan"), 0.3, 0.3]),
        ("calibration.own_error", [float("inf"), 0.3, 0.3]),
        ("calibration.own_error", [1e9, 0.3, 0.3]),
        ("calibration.own_error", [0.3, 0.3]),
        ("calibration.temperature", 0),
        ("calibration.temperature", -1.0),
        ("calibration.temperature", float("nan")),
        ("calibration.temperature", 1e-300),
        ("calibration.auto_error_pp", -1),
        ("calibration.own_variation", 1.5),
        ("calibration.head", {**HEAD, "bias": [0.0] * 2, "weights": [[0.0] * 5] * 2}),
        ("calibration.head", {**HEAD, "bias": [float("nan"), 0.0, 0.0]}),
        ("calibration.head", {**HEAD, "weights": [[1e30] * 6] * 3}),
        ("calibration.head", {**HEAD, "sigmas": [1e9]}),
        ("calibration.head", {**HEAD, "sigmas": [-1.0]}),
        ("calibration.head", {**HEAD, "floor": 1.0}),
        ("training_ratio_mean", [0.5, 0.5]),
        ("training_ratio_mean", [-0.5, 0.5, 1.0]),
        ("training_ratio_mean", [0.1, 0.1, 0.1]),
        ("training_ratio_spread", [-0.1, 0.1, 0.1]),
        ("training_ratio_spread", [float("inf"), 0.1, 0.1]),
        ("familiarity", {**USUAL, "spread": [0.0]}),
        ("familiarity", {**USUAL, "centre": [0.0, 1.0]}),
        ("familiarity", {**USUAL, "lowest": [2.0]}),
        ("familiarity", {**USUAL, "threshold": float("nan")}),
        ("familiarity", {**USUAL, "names": [["contrast"]]}),
        ("input", {"pixel_size_um": 0}),
        ("input", {"pixel_size_um": -1.0}),
        ("inference", {"views": [{"zoom": 1.0}] * 1000}),
        ("inference", {"views": [{"zoom": float("nan")}]}),
        ("phases", [{"label": i + 1, "name": f"p{i}"} for i in range(255)]),
        ("phases", []),
        ("phases", [{"label": 1, "name": "a\nb"}, {"label": 2, "name": "b"}, {"label": 3, "name": "c"}]),
        ("phases", [{"label": 1, "name": "a" * 5000}, {"label": 2, "name": "b"}, {"label": 3, "name": "c"}]),
        ("name", "n" * 100_000),
        ("scores", {"dice_mean": float("nan")}),
        ("training", {"images": 5}),
        ("training", {"images": {"train": "abc"}}),
        ("training", {"images": {"validation": [1]}}),
        ("training", {"parent": ["uhcs"]}),
        ("training", {"grown": 3}),
        ("training", {"start": [1]}),
        ("training", {"start": {"start": {"root_sha256": 5}}}),
        ("training", {"blocks": {"a": {"held": [[1, 2, 3]], "taught": []}}}),
        ("training", {"blocks": {"a": 1}}),
    ],
)
def test_numbers_without_a_meaning(model: Path, tmp_path: Path, keys: str, value: Any) -> None:
    refused(changed(model, tmp_path / "m.safetensors", put(keys, value)))


def test_a_sound_head_and_a_sound_familiarity_are_taken(model: Path, tmp_path: Path) -> None:
    def change(card: dict[str, Any]) -> None:
        card["calibration"]["head"], card["familiarity"] = HEAD, USUAL

    card = read_card(changed(model, tmp_path / "m.safetensors", change))
    assert card.calibration.head is not None and card.familiarity is not None


def test_a_record_without_a_number_is_written_without_it(model: Path, tmp_path: Path) -> None:
    """A phase that no validation image has gets no score; the model must still be readable."""
    loaded = load_model(model)
    scores = {"validation": {"dice": [0.5, float("nan")], "dice_mean": 0.5}}
    data, card = model_bytes(loaded.segmenter, loaded.card.model_copy(update={"scores": scores}))
    (tmp_path / "m.safetensors").write_bytes(data)
    assert read_card(tmp_path / "m.safetensors").scores == card.scores
    assert card.scores["validation"]["dice"] == [0.5, None]


def test_a_model_can_be_taught_on_any_number_of_times(model: Path, tmp_path: Path) -> None:
    """Each training holds the record of the one before; JSON that is nested too deep could not be read again."""
    loaded = load_model(model)
    card = loaded.card.model_copy(
        update={"training": {"config": {"imagenet": True}, "images": {"train": ["i"]}}}
    )
    path = tmp_path / "m.safetensors"
    for number in range(100):
        blocks = {f"image{number % 3}": {"held": [[number, 0]], "taught": [[number, 1]]}}
        record = {
            "parent": "m",
            "blocks": blocks,
            "images": {"train": [f"i{number}"]},
            "start": card.training,
        }
        data, card = model_bytes(loaded.segmenter, card.model_copy(update={"training": record}))
    path.write_bytes(data)
    found = read_card(path)
    assert seen_images(found) == {"i", *(f"i{number}" for number in range(100))}
    held = set().union(*(held for held, _ in block_history(found).values()))
    assert held == {(number, 0) for number in range(100)} and began_with_imagenet(found)


# -- headers ------------------------------------------------------------------------------------------


def raw(header: bytes, size: int | None = None) -> bytes:
    return (len(header) if size is None else size).to_bytes(8, "little") + header


def with_version(version: str) -> Callable[[Path], bytes]:
    def make(model: Path) -> bytes:
        card = json.dumps({**card_of(model), "format_version": 12345}).replace("12345", version)
        return save(load_file(model), metadata={METADATA_KEY: card})

    return make


BAD_FILES: dict[str, Callable[[Path], bytes]] = {
    "nested": lambda _: raw(b"[" * 200_000),
    "nested objects": lambda _: raw(b'{"a":' * 100_000),
    "a list": lambda _: raw(b"[]"),
    "a number": lambda _: raw(b"12"),
    "null metadata": lambda _: raw(b'{"__metadata__": null}'),
    "metadata that is a list": lambda _: raw(b'{"__metadata__": [1]}'),
    "a card that is a number": lambda _: raw(b'{"__metadata__": {"phaseguide_card": 5}}'),
    "a card that is a list": lambda _: raw(b'{"__metadata__": {"phaseguide_card": "[1]"}}'),
    "a nested card": lambda _: raw(json.dumps({"__metadata__": {METADATA_KEY: "[" * 100_000}}).encode()),
    "a doubled key": lambda _: raw(b'{"__metadata__": {}, "__metadata__": {}}'),
    "not UTF-8": lambda _: raw(b'{"\xff": 1}'),
    "a huge header": lambda _: raw(b"{}", 2**63),
    "a tensor without a shape": lambda _: raw(b'{"a": {"dtype": "F16"}}'),
    "a tensor of words": lambda _: raw(b'{"a": {"dtype": "F16", "shape": "wide"}}'),
    "an endless version": with_version("Infinity"),
    "no version": with_version("NaN"),
    "a huge version": with_version("1" + "0" * 400),
    "a long version": with_version("1" * 6000),
    "version 0": with_version("0"),
    "a version in words": with_version('"2"'),
    "a true version": with_version("true"),
    "half a version": with_version("1.5"),
    "nothing": lambda _: b"",
    "four bytes": lambda _: b"abcd",
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_headers_of_every_kind(model: Path, tmp_path: Path, kind: str) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(BAD_FILES[kind](model))
    refused(bad)
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        zoo.add_model(bad)
    assert not list(zoo.user_model_folder().glob("*"))


@given(st.binary(max_size=300), st.integers(0, 10**7))
def test_no_bytes_end_in_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    path.write_bytes(raw(header, size))
    with pytest.raises(ModelError):
        read_card(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data(), value=json_values)
def test_no_value_in_a_card_ends_in_anything_but_a_sentence(
    model: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: Any
) -> None:
    card = card_of(model)
    section = data.draw(st.sampled_from(["", *(k for k, v in card.items() if isinstance(v, dict) and v)]))
    inside = card[section] if section else card
    inside[data.draw(st.sampled_from(sorted(inside)))] = value
    path = tmp_path_factory.getbasetemp() / "card.safetensors"
    path.write_bytes(raw(json.dumps({"__metadata__": {METADATA_KEY: json.dumps(card)}}).encode()))
    with suppress(ModelError):
        read_card(path)


# -- the folder of models -----------------------------------------------------------------------------


def test_no_file_in_the_folder_keeps_the_others_from_being_listed(model: Path) -> None:
    folder = zoo.user_model_folder()
    folder.mkdir(parents=True)
    good = zoo.add_model(model, "good").path
    for number, make in enumerate(BAD_FILES.values()):
        (folder / f"bad{number}.safetensors").write_bytes(make(model))
    (folder / "folder.safetensors").mkdir()
    (folder / "gone.safetensors").symlink_to(folder / "nowhere")
    (folder / "round.safetensors").symlink_to(folder / "round.safetensors")
    (folder / ".hidden.safetensors").write_bytes(good.read_bytes())
    expected = {"good", "folder", "gone", "round", *(f"bad{n}" for n in range(len(BAD_FILES)))}
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.safetensors")
        expected.add("pipe")
    if sys.platform == "linux":
        (folder / os.fsdecode(b"caf\xe9.safetensors")).write_bytes(good.read_bytes())
        (folder / "con.safetensors").write_bytes(good.read_bytes())
        expected |= {"caf\\xe9", "con"}
    listed = {entry.name: entry for entry in zoo.list_models() if entry.origin == "user"}
    assert set(listed) == expected
    assert listed.pop("good").problem == ""
    for entry in listed.values():
        assert entry.problem and "\n" not in entry.problem and entry.card is None
        entry.problem.encode()
    assert zoo.find_model("good") == good
    for name in expected & {"gone", "round", "pipe", "bad0"}:
        with pytest.raises(ModelError, match=rf"{name}\.safetensors"):
            zoo.open_model(name)
        recycle.recycle_model(name)
        assert not os.path.lexists(folder / f"{name}.safetensors")
    with pytest.raises(ModelError, match=r"folder\.safetensors: cannot be moved"):
        recycle.recycle_model("folder")
    assert (folder / "folder.safetensors").is_dir()
    assert {one.name for one in recycle.list_recycled()} >= expected & {"gone", "round", "pipe", "bad0"}


@pytest.mark.parametrize(
    "name", ["con", "LPT1.x", "a ", " a", "a.", "a?", "a|b", 'a"', "a<b", "a\u202eb", "é" * 101, "a\udce9"]
)
def test_names_that_are_none_on_some_system(model: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be a model name"):
        zoo.add_model(model, name)


# -- weights ------------------------------------------------------------------------------------------


@pytest.fixture
def really_built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were built with memory for their weights, by the name of their encoder."""
    built: list[str] = []
    build = segmenters.build_backbone

    def watched(options: BackboneOptions, n_phases: int) -> Any:
        if torch.get_default_device().type != "meta":
            built.append(options.encoder)
        return build(options, n_phases)

    monkeypatch.setattr(segmenters, "build_backbone", watched)
    return built


@pytest.mark.parametrize(
    "change",
    [
        put("backbone.encoder", "tu-convnext_xxlarge"),
        put("backbone.encoder", "mit_b5"),
        put("backbone.decoder", {"decoder_channels": [8192] * 5}),
        put("guidance.options", {"width": 8192}),
        put("phases", [{"label": i + 1, "name": f"p{i}"} for i in range(254)]),
        put(
            "backbone",
            {"architecture": "sam", "encoder": "vit_h", "in_channels": 1, "adapter": {"rank": 65536}},
        ),
        put(
            "backbone",
            {
                "architecture": "sam",
                "encoder": "vit_h",
                "in_channels": 1,
                "adapter": {"rank": 0, "merged": True},
            },
        ),
    ],
)
def test_a_small_file_that_names_a_huge_network_takes_no_memory(
    tmp_path: Path, model: Path, change: Change, really_built: list[str]
) -> None:
    small = tmp_path / "small.safetensors"
    card = card_of(model)
    change(card)
    k = len(card["phases"])
    card["training_ratio_mean"], card["training_ratio_spread"] = [1 / k] * k, [0.3] * k
    card["calibration"]["own_error"] = [0.3] * k
    tensors = {"backbone.x": torch.zeros(2)}
    card["tensors_sha256"] = tensors_sha256(tensors)
    small.write_bytes(save(tensors, metadata={METADATA_KEY: json.dumps(card)}))
    with pytest.raises(ModelError, match=r"small\.safetensors: its weights do not fit the architecture"):
        check_model(small)
    assert really_built == []


def test_a_sound_file_is_built_once(model: Path, really_built: list[str]) -> None:
    load_model(model)
    assert really_built == ["tu-test_efficientnet"]


def test_parameters_of_encoders_that_read_numbers_while_they_are_built(model: Path, tmp_path: Path) -> None:
    file = changed(model, tmp_path / "m.safetensors", put("backbone.encoder", "mit_b0"))
    assert count_of_card(read_card(file))["encoder"].total > 3_000_000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(model: Path, tmp_path: Path, value: float) -> None:
    tensors = load_file(model)
    name = next(name for name, t in tensors.items() if t.is_floating_point() and t.dim() == 4)
    tensors[name].view(-1)[3] = value
    card = {**card_of(model), "tensors_sha256": tensors_sha256(tensors)}
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(save(tensors, metadata={METADATA_KEY: json.dumps(card)}))
    with pytest.raises(ModelError, match=r"broken\.safetensors.*not finite"):
        load_model(broken)


def test_weights_too_large_for_half_precision_are_kept_whole(model: Path, tmp_path: Path) -> None:
    loaded = load_model(model)
    with torch.no_grad():
        loaded.segmenter.backbone.net.segmentation_head[0].bias[0] = 1e6  # type: ignore[union-attr,index]
    (tmp_path / "m.safetensors").write_bytes(model_bytes(loaded.segmenter, loaded.card)[0])
    again = load_model(tmp_path / "m.safetensors").segmenter.state_dict()
    assert float(again["backbone.net.segmentation_head.0.bias"][0]) == 1e6
