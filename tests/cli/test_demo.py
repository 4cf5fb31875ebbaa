"""``phaseguide demo``: the headless run on the shipped samples, and the choice of the window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.cli import demo as demo_module
from phaseguide.datasets.samples import TITLES, open_sample
from tiny_models import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), names=open_sample("uhcs0220").scheme.names)


def test_headless_demo_prints_a_table_and_writes_files(model: Path, tmp_path: Path) -> None:
    arguments = ["demo", "--headless", "--model", str(model), "--out", str(tmp_path), "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for word in (
        "simulated expert, 10 % error, seed 0",
        "constrained by your value",
        "spheroidite",
        "asked",
        "true",
    ):
        assert word in result.stdout
    for name in TITLES["uhcs"]:
        for ending in ("_labels.tif", ".json", "_overlay.png"):
            assert (tmp_path / f"{name}{ending}").exists()
            assert (tmp_path / f"{name}_without_ratio{ending}").exists()
        record = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        assert record["ratio"]["source"] == "simulated expert, 10 % error, seed 0"


def test_json_holds_the_numbers_of_the_table(model: Path, tmp_path: Path) -> None:
    arguments = ["demo", "--model", str(model), "--out", str(tmp_path), "--device", "cpu", "--json", "-"]
    data = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert [s["sample"] for s in data["samples"]] == list(TITLES["uhcs"])
    for sample in data["samples"]:
        assert sum(sample["achieved"].values()) == pytest.approx(1)
        assert sum(sample["true"].values()) == pytest.approx(1)
        assert {"dice_mean", "dice"} <= set(sample["with_ratio"]) & set(sample["without_ratio"])


def test_a_screen_opens_a_window(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, ...]] = []
    monkeypatch.setattr(demo_module, "run_python", lambda *a: started.append(a))
    monkeypatch.setattr(demo_module, "has_display", lambda: True)
    monkeypatch.setattr(demo_module, "napari_is_installed", lambda: True)
    assert CliRunner().invoke(app, ["demo", "--model", str(model)]).exit_code == 0
    assert started == [("-m", "phaseguide.widgets.start", "uhcs0220", str(model))]


def test_the_samples_are_those_of_the_model(tmp_path: Path) -> None:
    other = tiny_model(tmp_path, names=open_sample("spot2_0d_0").scheme.names)
    arguments = ["demo", "--model", str(other), "--out", str(tmp_path), "--device", "cpu", "--json", "-"]
    data = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert [s["sample"] for s in data["samples"]] == ["spot2_0d_0"]


def test_a_model_of_other_phases_is_refused(tmp_path: Path) -> None:
    other = tiny_model(tmp_path, names=("bainite", "austenite"))
    result = CliRunner().invoke(app, ["demo", "--model", str(other), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert "No sample that ships has the phases" in result.stderr


@pytest.mark.parametrize(
    ("installed", "screen", "words"),
    [
        (False, True, "napari is not installed, so no window opens. Install it with"),
        (True, False, "There is no screen that a window could open on"),
    ],
    ids=["no napari", "no screen"],
)
def test_without_a_window_it_says_why_and_prints_the_table(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, screen: bool, words: str
) -> None:
    monkeypatch.setattr(demo_module, "run_python", lambda *_: pytest.fail("opens a window"))
    monkeypatch.setattr(demo_module, "has_display", lambda: screen)
    monkeypatch.setattr(demo_module, "napari_is_installed", lambda: installed)
    arguments = ["demo", "--model", str(model), "--out", str(tmp_path), "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert words in result.stderr and "spheroidite" in result.stdout
