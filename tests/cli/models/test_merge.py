"""``phaseguide models``: merging adapters, and what list and show tell of models on base weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.folders import user_model_folder
from phaseguide.micrographs.label_maps import read_label_map
from phaseguide.models import merging
from phaseguide.models.model_file import read_card
from sam_files import offer_base
from sam_models import sam_model
from tiny_models import tiny_model
from widget_helpers import micrograph


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return offer_base(monkeypatch, tmp_path)


@pytest.fixture
def model(base: str, tmp_path: Path) -> Path:
    return sam_model(tmp_path, base, "bainite")


def test_a_merged_model_segments_alike_and_needs_no_base(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "field.png"
    Image.fromarray(micrograph((96, 120))).save(image)
    merged = tmp_path / "out" / "bainite-merged.safetensors"
    done = run("models", "merge", model, merged.with_suffix(""))
    assert done.exit_code == 0 and str(merged) in done.stdout, done.output
    before, after = read_card(model), read_card(merged)
    assert after.name == "bainite merged" and after.backbone.adapter["merged"] is True
    unlike = {"name", "backbone", "tensors_sha256"}
    assert after.model_dump(exclude=unlike) == before.model_dump(exclude=unlike)
    done = run("segment", image, "-m", model, "--out", tmp_path / "a", "--tile", 256)
    assert done.exit_code == 0, done.output
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    assert run("segment", image, "-m", merged, "--out", tmp_path / "b").exit_code == 0
    first, second = (read_label_map(tmp_path / f / "field_labels.tif") for f in "ab")
    assert np.mean(np.asarray(first) == np.asarray(second)) > 0.98
    record = json.loads((tmp_path / "a" / "field.json").read_text(encoding="utf-8"))
    assert record["settings"]["tile"] == 256
    record = json.loads((tmp_path / "b" / "field.json").read_text(encoding="utf-8"))
    assert record["settings"]["tile"] in (512, 1024), "the tile that was chosen is on record"
    fails(run("models", "merge", merged, tmp_path / "twice"), "no adapters to merge", "merged already")
    assert not (tmp_path / "twice.safetensors").exists()


def test_what_cannot_be_merged(
    model: Path, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.safetensors"
    plain = tiny_model(tmp_path)
    fails(run("models", "merge", plain, out), plain.name, "no adapters to merge", "phaseguide models export")
    out.write_text("mine")
    fails(run("models", "merge", model, out), "a file of that name already")
    assert out.read_text() == "mine"
    out.unlink()
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    fails(run("models", "merge", model, out), model.name, "not at hand", base[:12])
    assert not out.exists(), "nothing is left of a merge that failed"


def test_too_little_memory_to_merge(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("phaseguide.models.merging.merge_adapters", full)
    fails(run("models", "merge", model, tmp_path / "out"), "Not enough memory to merge 'bainite'")
    assert list(tmp_path.glob("out*")) == []


def test_progress_is_told_and_a_stopped_merge_leaves_nothing(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    events = merging.merging_model(model, out)
    stages = [next(events).stage for _ in range(2)]  # type: ignore[union-attr]
    assert stages[0] == "Reading the model" and not out.exists(), "no name before it is complete"
    events.close()  # type: ignore[attr-defined]
    assert not out.exists()


def test_show_tells_of_base_adapters_and_parameters(
    model: Path, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("models", "show", model, "--json", tmp_path / "card.json")
    assert done.exit_code == 0, done.output
    for words in (
        "sam, encoder vit_tiny",
        "LoRA of rank 4, on all blocks",
        "at hand",
        "Parameters, millions",
    ):
        assert words in done.stdout
    assert base in done.stdout.replace("\n", "")
    told = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))["parameters"]
    assert told["adapters"] == {"trainable": 2048, "total": 2048} and told["encoder"]["trainable"] == 0
    assert told["all"]["total"] == sum(told[name]["total"] for name in told if name != "all")
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    assert "needs SAM ViT-TINY weights" not in done.stdout
    assert "not at hand" in run("models", "show", model).stdout


def test_a_model_without_its_base_can_be_added_and_is_listed_with_its_problem(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "sam"
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    assert run("models", "add", model).exit_code == 0
    assert (user_model_folder() / "bainite.safetensors").is_file()
    assert run("models", "export", "bainite", tmp_path / "copy").exit_code == 0

    def row() -> dict[str, Any]:
        listed = json.loads(run("models", "list", "--json", "-").stdout)
        return next(r for r in listed if r["name"] == "bainite")

    assert row()["problem"].startswith("needs SAM") and row()["phases"] == ["ferrite", "pearlite", "carbide"]
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(weights))
    assert row()["problem"] is None


def test_bioimageio_refuses_segment_anything(model: Path, tmp_path: Path) -> None:
    assert run("models", "merge", model, tmp_path / "merged").exit_code == 0
    for file in (model, tmp_path / "merged.safetensors"):
        done = run("models", "bioimageio", file, tmp_path / "x.zip", "--author", "A", "--licence", "MIT")
        fails(done, "Segment Anything cannot be written for bioimage.io", "merged, it needs no base")
    assert not (tmp_path / "x.zip").exists()
