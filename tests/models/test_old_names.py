"""Model files of earlier versions, which call the parts of the Phase Learning Module otherwise, still open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from phaseguide.errors import ModelError
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import METADATA_KEY, load_model, read_card, save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from tiny_models import TINY_ENCODER

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite"])
OPTIONS = [{}, {"use_ratio_encoder": False}, {"use_feature_aggregator": False}]


def saved(folder: Path, options: dict[str, object]) -> Path:
    torch.manual_seed(0)
    segmenter = GuidedSegmenter(
        BackboneOptions("unet", TINY_ENCODER, 1, {"decoder_channels": [16, 16, 8, 8, 8]}),
        GuidanceOptions("plm", {"width": 8, "delta": 1.0, **options}, scales=2),
        SCHEME,
    )
    card = Card(
        name="old",
        phases=SCHEME.to_dict()["phases"],
        backbone=BackboneCard(architecture="unet", encoder=TINY_ENCODER, in_channels=1),
        guidance=GuidanceCard(kind="none"),
        training_ratio_mean=[0.4, 0.6],
        training_ratio_spread=[0.1, 0.1],
        calibration=CalibrationCard(own_error=[0.2, 0.3]),
    )
    path = folder / "new.safetensors"
    save_model(path, segmenter, card)
    return path


def as_of_old(path: Path, out: Path, *, both: bool = False) -> Path:
    """Write a file as earlier versions did; with ``both`` one that has tensors by old and by new names."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    card = json.loads(json.loads(raw[8 : 8 + size])["__metadata__"][METADATA_KEY])
    tensors = {
        name.replace("feature_extractor", "feature_encoder")
        .replace("spatial_awareness", "spatial_attention")
        .replace("feature_aggregator.gates", "gates")
        .replace("feature_aggregator.mix", "project"): tensor
        for name, tensor in load_file(path).items()
    }
    if both:
        tensors = {**tensors, **load_file(path)}
    names = {
        "use_spatial_awareness": "use_spatial_attention",
        "use_feature_aggregator": "use_feature_aggregation",
    }
    options = {names.get(name, name): value for name, value in card["guidance"]["options"].items()}
    card["guidance"]["options"] = options
    card["tensors_sha256"] = tensors_sha256(tensors)
    save_file(tensors, out, metadata={METADATA_KEY: json.dumps(card)})
    return out


@pytest.mark.parametrize("options", OPTIONS)
def test_an_old_file_is_the_same_model(tmp_path: Path, options: dict[str, object]) -> None:
    path = saved(tmp_path, {"use_spatial_awareness": True, **options})
    old = as_of_old(path, tmp_path / "old.safetensors")
    assert old.read_bytes() != path.read_bytes() and b"spatial_attention" in old.read_bytes()
    assert read_card(old).guidance == read_card(path).guidance
    ours, theirs = load_model(path).segmenter, load_model(old).segmenter
    ratio = torch.tensor([[0.3, 0.7]])
    with torch.inference_mode():
        image = torch.randn(1, 1, 64, 64)
        assert torch.equal(ours(image, ratio), theirs(image, ratio))
    save_model(tmp_path / "again.safetensors", theirs, read_card(old))
    assert b"spatial_attention" not in (tmp_path / "again.safetensors").read_bytes()


def test_a_file_with_both_names_is_refused(tmp_path: Path) -> None:
    mixed = as_of_old(saved(tmp_path, {}), tmp_path / "mixed.safetensors", both=True)
    with pytest.raises(ModelError, match="by old and by new names"):
        load_model(mixed)
