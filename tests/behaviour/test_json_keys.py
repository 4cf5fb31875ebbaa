"""Keys and types of every JSON that a command tells, and of every record that it writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from layout_copies import uhcs_h5
from phaseguide.cli import app
from phaseguide.datasets.samples import open_sample
from phaseguide.micrographs import write_label_map
from phaseguide.models.model_file import read_card
from tiny_models import NAMES, tiny_dataset, tiny_image, tiny_labels, tiny_model

from .shapes import shape_of

ENCODER = "tu-tf_efficientnet_lite0"
"""With which the behaviour was first held; see conftest."""

Held = Callable[[str, dict[str, Any]], None]
CPU = ("--device", "cpu")
DECODER = 'decoder={"decoder_channels": [16, 16, 8, 8, 8]}'
FAST = (
    "--epochs", "1", "--crop", "32", "--batch", "2", "--guidance", "none", "--architecture", "unet",
    "--encoder", "tu-tf_efficientnet_lite0", "--set", "encoder_weights=none", "--set", DECODER,
)  # fmt: skip


def run(*arguments: Any) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, f"{arguments}: {done.output}"
    return done.stdout


def told(*arguments: Any) -> dict[str, str]:
    """Run a command with ``--json -``."""
    return shape_of(json.loads(run(*arguments, "--json", "-")))


def record(path: Path) -> dict[str, str]:
    return shape_of(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images with labels."""
    return tiny_dataset(tmp_path / "data")


def test_segment(data: Path, tiny: Path, tmp_path: Path, held: Held) -> None:
    image, images = data / "images" / "field0.png", data / "images"
    out = tmp_path / "out"
    ring = {"name": "coating", "polygon": [[0, 0], [0, 40], [40, 40], [40, 0]], "ratio": "1=20%"}
    (tmp_path / "regions.json").write_text(json.dumps({"regions": [ring]}))
    write_label_map(tmp_path / "edits.tif", np.where(np.arange(96) < 9, tiny_labels(), 0).astype(np.uint8))
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.stack([tiny_image(n) for n in range(2)]), metadata={"axes": "ZYX"})
    weights = ("--basis", "weight", "--density", "1=7.87,2=7.69,3=7.84")
    found: dict[str, Any] = {}
    for name, stem, options in (
        ("plain", "field0", (image,)),
        ("ratio", "field0", (image, "--ratio", "ferrite=20%", "--source", "field", "--overlay")),
        (
            "exact",
            "field0",
            (image, "--ratio", "ferrite=20%,2=0.3", "--exact", "--smoothing", 1, "--min-island", 4),
        ),
        ("auto", "field0", (image, "--ratio", "auto")),
        ("regions", "field0", (image, "--regions", tmp_path / "regions.json")),
        ("edits", "field0", (image, "--edits", tmp_path / "edits.tif")),
        (
            "specimen",
            "field1",
            (images, "--ratio", "2=12%", "--source", "bulk", *weights, "--scope", "specimen"),
        ),
        ("stack", "stack", (stack, "--ratio", "ferrite=20%")),
    ):
        found[f"{name}: --json"] = told("segment", *options, "-m", tiny, "--out", out / name, *CPU)
        found[f"{name}: record"] = record(out / name / f"{stem}.json")
        found[f"{name}: files"] = sorted(path.name for path in (out / name).iterdir())
    (images / "broken.png").write_bytes(b"\x89PNG broken")
    failing = CliRunner().invoke(
        app, ["segment", str(images), "-m", str(tiny), "--out", str(out / "failing"), *CPU, "--json", "-"]
    )
    found["one failed: --json"] = shape_of(json.loads(failing.stdout))
    held("segment", found)


def test_evaluate_and_estimate(data: Path, tiny: Path, tmp_path: Path, held: Held) -> None:
    image, painted = data / "images" / "field0.png", np.zeros((64, 96), np.uint8)
    for row in range(4, 60, 15):
        for k, height in enumerate((3, 3, 6)):
            painted[row : row + height, 32 * k + 4 : 32 * k + 26] = k + 1
    strokes, labels = tmp_path / "strokes.tif", tmp_path / "labels.tif"
    write_label_map(strokes, painted)
    write_label_map(labels, tiny_labels())
    on_image = ("estimate", "painted", image, "-m", tiny, *CPU, "--labels")
    points = tmp_path / "points.csv"
    run("estimate", "points", "propose", labels, "--count", 30, "--phases", "a,b,c", "--out", points)
    with points.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    found: dict[str, Any] = {"points: columns": header, "points: plan": record(points.with_suffix(".json"))}
    rows = [[*row[:3], "unclear" if n == 7 else "abc"[int(row[1]) // 32]] for n, row in enumerate(rows)]
    points.write_text("\n".join(",".join(row) for row in (header, *rows)), encoding="utf-8")
    found["points: --json"] = told("estimate", "points", "evaluate", points)
    found["painted: --json"] = told(*on_image, labels, "--reading", "painted")
    found["extrapolated: --json"] = told(*on_image, strokes)
    found["coverage: --json"] = told("benchmark", "coverage", "--fields", 2)
    found["evaluate: --json"] = told("evaluate", data, "-m", tiny, *CPU)
    ratio = ("--ratio", "expert:0.1", "--repeats", 2)
    found["evaluate with a ratio: --json"] = told("evaluate", data, "-m", tiny, *ratio, *CPU)
    held("evaluate_estimate", found)


def test_models_and_embeddings(
    tiny: Path, tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Base weights that other programs keep on this computer are none of the test's.
    for variable in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME", "MICROSAM_CACHEDIR"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.delenv("PHASEGUIDE_SAM_WEIGHTS", raising=False)
    run("models", "add", tiny, "--name", "bainite")
    found: dict[str, Any] = {
        "list": told("models", "list"),
        "show uhcs": told("models", "show", "uhcs"),
        "show tiny": told("models", "show", "bainite"),
        "base list": told("models", "base", "list"),
    }
    Image.fromarray(tiny_image()).save(tmp_path / "steel.png")
    kept = tmp_path / "kept"
    run("segment", tmp_path / "steel.png", "-m", tiny, "--out", tmp_path, *CPU, "--embeddings", kept)
    found["embeddings show"] = told("embeddings", "show", "--folder", kept)
    held("models", found)


def test_look_inside_and_demo(data: Path, tiny: Path, tmp_path: Path, held: Held) -> None:
    other, out = (
        tiny_model(tmp_path, file_name="other.safetensors", seed=5, encoder=ENCODER),
        tmp_path / "inside",
    )
    options = ("--out", out, "--ratio", "ferrite=20%", "--base", other)
    found: dict[str, Any] = {
        "look-inside: --json": told("look-inside", data / "images" / "field0.png", "-m", tiny, *options),
        "look-inside: record": record(out / "field0_inside.json"),
        "look-inside: files": sorted(path.name for path in out.iterdir()),
    }
    four = tiny_model(
        tmp_path,
        names=open_sample("uhcs0220").scheme.names,
        file_name="four.safetensors",
        encoder=ENCODER,
    )
    found["demo: --json"] = told("demo", "--model", four, "--out", tmp_path / "demo", *CPU)
    found["demo: record"] = record(tmp_path / "demo" / "uhcs0220.json")
    held("look_inside_demo", found)


def test_data_sets(tmp_path: Path, held: Held) -> None:
    folder, out = uhcs_h5(tmp_path / "in"), tmp_path / "out"
    found: dict[str, Any] = {
        "list: --json": shape_of(json.loads(run("data", "list", "--json", "-"))),
        "check: --json": told("data", "check", folder),
        "convert: --json": told("data", "convert", folder, out),
        "origin.json": record(out / "origin.json"),
        "files": sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()),
        "synthetic: --json": told("data", "synthetic", tmp_path / "drawn", "--count", 1, "--size", "96x96"),
        "synthetic: origin.json": record(tmp_path / "drawn" / "origin.json"),
    }
    held("data", found)


def test_train(tmp_path: Path, held: Held) -> None:
    data, out = tiny_dataset(tmp_path / "data", count=3), tmp_path / "steel.safetensors"
    found: dict[str, Any] = {
        "--json": told("train", data, "--out", out, "--validation", "field0", *FAST, *CPU)
    }
    found["card"] = shape_of(read_card(out).model_dump(mode="json"))
    held("train", found)


def test_project(tiny: Path, tmp_path: Path, held: Held) -> None:
    folder, data, edits = (
        tmp_path / "heat",
        tiny_dataset(tmp_path / "data", shape=(96, 128)),
        tmp_path / "e.tif",
    )
    painted = np.zeros((96, 128), np.uint8)
    painted[10:80:9, 5:-5] = tiny_labels((96, 128))[10:80:9, 5:-5]
    write_label_map(edits, painted)
    run("project", "create", folder, "--model", tiny)
    run("project", "add", folder, data / "images", "--specimen", "A")
    run("project", "ratio", folder, "field0", "ferrite=50%,2=0.3", "--source", "field")
    found: dict[str, Any] = {"rerun: --json": told("project", "rerun", folder, *CPU)}
    found["show: --json"] = told("project", "show", folder)
    run("project", "edits", folder, "field0", edits)
    run("project", "review", folder, "field0")
    quick = ("--epochs", 1, "--crop", 64, "--batch", 2, "--threads", 1, *CPU, "--use")
    found["train: --json"] = told("train", "--project", folder, *quick)
    found["log: --json"] = told("project", "log", folder)
    found["project.json"] = record(folder / "project.json")
    found["record of a result"] = record(folder / "results" / "field0.json")
    version = next(folder.rglob("v001.safetensors"))
    found["card of a version"] = shape_of(read_card(version).model_dump(mode="json"))
    found["files"] = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert NAMES[0] in (folder / "project.json").read_text(encoding="utf-8")
    held("project", found)


def test_preset(data: Path, tiny: Path, data_dir: Path, tmp_path: Path, held: Held) -> None:
    ratio = (
        "--ratio",
        "ferrite=20%",
        "--source",
        "bulk",
        "--basis",
        "weight",
        "--density",
        "1=7.87,2=7.69,3=7.84",
    )
    keep = ("--save-preset", "as quenched", "--material", "DP 800")
    run("segment", data / "images" / "field0.png", "-m", tiny, "--out", tmp_path, *CPU, *ratio, *keep)
    (preset,) = (data_dir / "presets").iterdir()
    held("preset", {"name of the file": preset.name, "preset": record(preset)})
