"""``phaseguide look-inside``: pictures, a sheet, a table; and sentences where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from tiny_models import tiny_image, tiny_model

runner = CliRunner()


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, Path]:
    """An image, a model and where the pictures go."""
    Image.fromarray(tiny_image()).save(tmp_path / "steel.png")
    return str(tmp_path / "steel.png"), str(tiny_model(tmp_path)), tmp_path / "out"


def look(image: str, model: str, out: Path, *options: str) -> Any:
    return runner.invoke(app, ["look-inside", image, "--model", model, "--out", str(out), *options])


def test_it_writes_pictures_sheet_and_table(files: tuple[str, str, Path], tmp_path: Path) -> None:
    out = files[2]
    other = str(tiny_model(tmp_path, file_name="other.safetensors", seed=5))
    done = look(*files, "--ratio", "ferrite=20%", "--base", other, "--json", str(tmp_path / "told.json"))
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    names = [(view["encoder"], view["name"]) for view in told["views"]]
    stages = [f"stage {n}" for n in range(1, 6)]
    guided = ["after guidance, no ratio", "after guidance, with 20 % ferrite"]
    assert names == [("base", name) for name in stages] + [("adapted", name) for name in [*stages, *guided]]
    for view in told["views"]:
        assert np.asarray(Image.open(view["file"])).shape == (*view["size"], 3)
    assert Image.open(out / "steel_inside.png").format == "PNG"
    assert "stage 5" in done.output and "steel_inside.png" in done.output
    again = look(*files)
    assert again.exit_code == 2 and "exists already" in again.output
    assert look(*files, "--overwrite").exit_code == 0


def test_window_and_plane(files: tuple[str, str, Path], tmp_path: Path) -> None:
    _, model, out = files
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(
        stack,
        np.stack([tiny_image(i, (128, 160)) for i in range(3)]),
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    options = ("--plane", "2", "--window", "64", "--centre", "100,50", "--json", str(tmp_path / "told.json"))
    done = look(str(stack), model, out, *options)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert told["sheet"].endswith("stack_002_inside.png")
    assert {tuple(view["origin"]) for view in told["views"]} == {(18, 68)}
    for wrong, words in ((("--plane", "7"), "no plane 7"), (("--centre", "middle"), "not understood")):
        failed = look(str(stack), model, tmp_path / "none", *wrong)
        assert failed.exit_code == 2 and words in failed.output
    assert not (tmp_path / "none").exists()


def test_what_is_missing_is_said(files: tuple[str, str, Path], tmp_path: Path) -> None:
    image, model, out = files
    for arguments, words in (
        ((str(tmp_path / "no.png"), model, out), "no.png"),
        ((image, "nobody", out), "nobody"),
        ((image, model, out, "--base", "nobody"), "nobody"),
        ((image, model, out, "--ratio", "martensite=3%"), "martensite"),
        ((image, model, out, "--plane", "1"), "no stack"),
    ):
        done = look(*arguments)  # type: ignore[arg-type]
        assert done.exit_code == 2 and words in done.output, done.output
    assert not out.exists()


def test_no_base_and_no_guidance(files: tuple[str, str, Path], tmp_path: Path) -> None:
    image, model, out = files
    done = look(image, model, out, "--base", "none", "--json", str(tmp_path / "told.json"))
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert told["base"] == "" and {view["encoder"] for view in told["views"]} == {"adapted"}
    plain = str(tiny_model(tmp_path, "none"))
    asked = look(image, plain, tmp_path / "plain", "--ratio", "ferrite=20%")
    assert asked.exit_code == 2 and "has no guidance" in asked.output
    assert not (tmp_path / "plain").exists()
