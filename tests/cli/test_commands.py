"""The other commands: help, train, evaluate, models, napari, and what all have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app, napari
from phaseguide.models.model_file import load_model
from tiny_models import NAMES, tiny_dataset, tiny_labels, tiny_model

DECODER = 'decoder={"decoder_channels": [16, 16, 8, 8, 8]}'
FAST = (
    "--epochs", "1", "--crop", "32", "--batch", "2", "--guidance", "none", "--device", "cpu",
    "--architecture", "unet", "--encoder", "tu-test_efficientnet", "--set", "encoder_weights=none", "--set", DECODER,
)  # fmt: skip


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


COMMANDS = (
    (), ("segment",), ("train",), ("evaluate",), ("demo",), ("napari",), ("models",), ("models", "list"),
    ("models", "show"), ("models", "add"), ("models", "remove"), ("benchmark",), ("benchmark", "speed"),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_with_an_example(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    if command not in ((), ("models",), ("benchmark",)):
        assert f"phaseguide {' '.join(command)}" in result.stdout.split("Example", 1)[1]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from phaseguide.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'napari', 'numpy', 'scipy', 'pandas', 'matplotlib', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().endswith("set()")


def test_version() -> None:
    assert run("--version").stdout.startswith("phaseguide ")


def test_train_writes_a_model_that_runs(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "data", count=4)
    out = tmp_path / "new" / "steel.safetensors"
    result = run(
        "train", data, "--out", out, "--exclude", "field3", "--validation", "field0", "--json", "-", *FAST
    )
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)
    assert numbers["images"] == {"train": ["field1", "field2"], "validation": ["field0"]}
    assert 0 <= numbers["validation"]["dice_mean"] <= 1
    assert "epoch 1/1 (" in result.stderr and "left" in result.stderr
    card = load_model(out).card
    assert (card.name, card.scheme.names) == ("steel", NAMES)
    fails(run("train", data, "--out", out, *FAST), "steel.safetensors exists already")
    evaluated = run("evaluate", data, "--model", out, "--device", "cpu", "--only", "field3", "--json", "-")
    assert json.loads(evaluated.stdout)["n_images"] == 1


def test_train_goes_on_from_a_checkpoint_and_from_a_model(tmp_path: Path) -> None:
    data = tiny_dataset(tmp_path / "data", names=None)
    (tmp_path / "card.json").write_text(
        json.dumps({"data_licence": "MIT", "inference": {"views": [{"flip": "x"}, {"zoom": 1.5}]}})
    )
    files = ("--checkpoint", tmp_path / "c.ckpt", "--card", tmp_path / "card.json")
    arguments = ("train", data, "--phases", "a, b,c", *files, *FAST)
    first, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert run(*arguments, "--out", first).exit_code == 0
    result = run(*arguments, "--out", again)
    assert result.exit_code == 0 and "Going on from c.ckpt" in result.stderr
    one, two = load_model(first).card, load_model(again).card
    assert one.tensors_sha256 == two.tensors_sha256
    assert (one.data_licence, len(one.inference.views), one.scheme.names) == ("MIT", 2, ("a", "b", "c"))
    started = run("train", data, "--start", first, "--out", tmp_path / "s.safetensors", *FAST)
    assert started.exit_code == 0, started.output


def test_train_says_what_is_wrong(tmp_path: Path) -> None:
    data, bare = tiny_dataset(tmp_path / "data"), tiny_dataset(tmp_path / "bare", names=None)
    out = ("--out", tmp_path / "m.safetensors")
    fails(run("train", tmp_path / "nowhere", *out), "nowhere", "no such folder")
    fails(run("train", bare, *out), "no scheme.json", "--phases")
    fails(run("train", bare, "--phases", "a,b", *out, *FAST), "label value 3")
    fails(run("train", data, "--phases", "a,b,c", *out), "--phases", "scheme.json", "Keep one")
    fails(run("train", data, "--out", tmp_path / "m.pth"), "m.pth", ".safetensors")
    fails(run("train", data, *out, "--set", "speed=3"), "speed=3", "key=value")
    fails(run("train", data, *out, "--set", "average=fast"), "average takes a number")
    fails(run("train", data, *out, "--crop", 100), "multiple of 32")
    fails(run("train", data, *out, "--exclude", "field9"), "no image field9")
    fails(run("train", data, *out, "--validation", "field9", *FAST), "field9")
    fails(run("train", data, *out, "--exclude", "field1", *FAST), "at least two labelled images")
    other = tiny_model(tmp_path, names=("x", "y", "z"))
    fails(
        run("train", data, *out, "--start", other, *FAST), "scheme.json", "model 'tiny-plm' was made for 1 x"
    )
    (tmp_path / "card.json").write_text('{"name": "x"}')
    fails(run("train", data, *out, "--card", tmp_path / "card.json"), "card.json", "name cannot be set")


def test_evaluate_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    data, model = tiny_dataset(tmp_path / "data"), tiny_model(tmp_path)
    target = tmp_path / "scores.json"
    result = run(
        "evaluate",
        data,
        "-m",
        model,
        "--ratio",
        "expert:0.1",
        "--repeats",
        2,
        "--device",
        "cpu",
        "--json",
        target,
    )
    assert result.exit_code == 0, result.output
    for word in ("expert:0.1", "2 repeats", "mean over phases", *NAMES):
        assert word in result.stdout
    assert json.loads(target.read_text(encoding="utf-8"))["repeats"] == 2
    exact = run(
        "evaluate", data, "-m", model, "--ratio", "oracle", "--exact", "--device", "cpu", "--json", "-"
    )
    assert json.loads(exact.stdout)["uncertainty"] == 0
    fails(run("evaluate", data, "-m", model, "--ratio", "expert"), "expert:0.1")
    other = tiny_model(tmp_path, names=("x", "y"), file_name="other.safetensors")
    fails(run("evaluate", data, "-m", other, "--device", "cpu"), "scheme.json", "made for 1 x, 2 y")


def test_evaluate_tells_more_where_it_is_asked_to(tmp_path: Path) -> None:
    names = ("matrix", "island")
    data, model = tiny_dataset(tmp_path / "data", 1, names), tiny_model(tmp_path, names=names)
    Image.fromarray(tiny_labels(n_phases=2)).save(data / "labels" / "field0.png")
    arguments = ("evaluate", data, "-m", model, "--device", "cpu", "--overlays", tmp_path / "out")
    asked = ("--over-iou", 0.1, "--opening", 2)
    result = run(*arguments, *asked, "--json", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    assert "IoU of at least 0.1" in result.stdout and "disk of radius 2 px" in result.stdout
    told = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert set(told["over_iou"]["share"]) == set(names) and told["post_processed"]["radius_px"] == 2
    assert (tmp_path / "out" / "2_island" / "field0.png").exists()
    fails(run(*arguments), "out", "new or empty folder")
    steel = tiny_model(tmp_path, file_name="steel.safetensors")
    for option in (("--opening", 2), ("--threshold", 0.3)):
        fails(run("evaluate", data, "-m", steel, *option), "second of two phases", "has 3")


def test_evaluate_judges_another_threshold_beside_the_map(tmp_path: Path) -> None:
    names = ("matrix", "island")
    data, model = tiny_dataset(tmp_path / "data", 1, names), tiny_model(tmp_path, names=names)
    Image.fromarray(tiny_labels(n_phases=2)).save(data / "labels" / "field0.png")
    found: dict[float, int] = {}
    for p in (0.001, 0.5, 0.999):
        result = run("evaluate", data, "-m", model, "--device", "cpu", "--threshold", p, "--json", "-")
        told = json.loads(result.stdout)
        made = told["post_processed"]
        assert (made["threshold"], made["radius_px"]) == (p, None)
        found[p] = made["tp"]["island"] + made["fp"]["island"]
        if p == 0.5:
            assert made["iou"] == told["pooled"]["iou"], "the map itself"
    assert found[0.999] < found[0.5] < found[0.001]
    both = run("evaluate", data, "-m", model, "--device", "cpu", "--threshold", 0.3, "--opening", 1)
    assert (
        "After a threshold of 0.3 and opening and closing with a disk of radius 1 px: matrix" in both.stdout
    )
    fails(
        run("evaluate", data, "-m", model, "--threshold", 0.3, "--ratio", "oracle"),
        "ratio is oracle",
        "moves the",
    )


def test_labels_that_do_not_fit_name_the_file(tmp_path: Path) -> None:
    data, model = tiny_dataset(tmp_path / "data", count=1), tiny_model(tmp_path)
    label = data / "labels" / "field0.png"
    arguments = ("evaluate", data, "-m", model, "--device", "cpu")
    Image.fromarray(tiny_labels((64, 90))).save(label)
    fails(run(*arguments), "field0.png", "64 x 90", "64 x 96")
    Image.fromarray(tiny_labels(n_phases=7)).save(label)
    fails(run(*arguments), "field0.png", "label value 4, 5, 6, 7", "1 ferrite")
    label.write_bytes(label.read_bytes()[:50])
    fails(run(*arguments), "field0.png")
    label.unlink()
    fails(run(*arguments), "no image has a label map")
    fails(run("evaluate", tmp_path / "nowhere", "-m", model), "nowhere", "no such folder")


def test_models_are_added_listed_shown_and_removed(tmp_path: Path) -> None:
    model = tiny_model(tmp_path)
    assert run("models", "add", model, "--name", "bainite").exit_code == 0
    assert "bainite" in run("models", "list").stdout
    listed = json.loads(run("models", "list", "--json", "-").stdout)
    assert [m["phases"] for m in listed if m["name"] == "bainite"] == [list(NAMES)]
    assert "carbide network" in run("models", "show", "bainite").stdout
    assert json.loads(run("models", "show", "bainite", "--json", "-").stdout)["name"] == "tiny-plm"
    fails(run("models", "add", model, "--name", "bainite"), "'bainite' already")
    assert run("models", "remove", "bainite", "--yes").exit_code == 0
    fails(run("models", "remove", "bainite", "--yes"), "no model 'bainite'")
    fails(run("models", "show", tmp_path / "x.safetensors"), "no such model file")


def test_napari_is_started_with_the_widget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def fake_run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(napari.subprocess, "run", fake_run)
    monkeypatch.setattr(napari, "napari_is_installed", lambda: True)
    image = tmp_path / "a.png"
    image.touch()
    assert run("napari", image).exit_code == 3
    assert started == [[sys.executable, "-m", "napari", str(image), "-w", "napari-phaseguide", "Phase Guide"]]
    fails(run("napari", tmp_path / "b.png"), "b.png", "no such file")
    monkeypatch.setattr(napari, "napari_is_installed", lambda: False)
    fails(run("napari"), "napari is not installed", "napari-phaseguide[all]")
