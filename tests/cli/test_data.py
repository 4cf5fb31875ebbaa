"""``phaseguide data``: what is listed, what a check says and with which status, and a set that trains."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from layout_copies import aachen, colour_masks, corners, metaldam, superalloy, uhcs_h5
from phaseguide.cli import app, data
from phaseguide.datasets.layouts.registry import LAYOUTS
from phaseguide.datasets.reading.options import LayoutOptions

OPTIONS = {"splits": "split"}
"""Options of the command whose names are not those of the form."""


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_the_list_tells_licence_and_source_of_every_layout() -> None:
    result = run("list")
    assert result.exit_code == 0
    for name, layout in LAYOUTS.items():
        assert f"{name}: {layout.about.title}" in result.stdout and layout.about.licence in result.stdout
    told = json.loads(run("list", "--json", "-").stdout)
    assert [row["name"] for row in told] == list(LAYOUTS)


def test_a_check_prints_what_a_folder_holds(tmp_path: Path) -> None:
    result = run("check", uhcs_h5(tmp_path))
    assert result.exit_code == 0, result.output
    for words in (
        "3 of 60 x 60 px",
        "3 of 38 rows",
        "F0 2, F3 1",
        "carbide network",
        "excluded, of all pixels",
    ):
        assert words in result.stdout, result.stdout
    assert "21 images of the published folds are not here" in result.stderr
    told = json.loads(run("check", tmp_path, "--json", "-").stdout)
    assert told["bar_rows"] == {"38": 3} and told["folds"]["F3"] == ["uhcs0006"] and told["problems"] == []
    assert sum(row["share"] for row in told["phases"]) == pytest.approx(1)


def test_a_bad_image_ends_a_check_with_1_and_a_conversion_with_2(tmp_path: Path) -> None:
    folder = aachen(tmp_path / "in", [f"a.png;0;{corners()}", "b.png;0;[(1, 2)"])
    result = run("check", folder)
    assert result.exit_code == 1 and "1 of 2 images cannot be used:" in result.stderr
    assert "annotations_polygon.csv, line 3: its polygon" in result.stderr
    result = run("convert", folder, tmp_path / "out")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and "line 3" in result.stderr
    assert not (tmp_path / "out").exists()
    aachen(folder, [f"a.png;0;{corners()}", f"b.png;0;{corners()}"], images="b")
    result = run("convert", folder, tmp_path / "out")
    assert result.exit_code == 0 and "2 images written (1 of them by an earlier run)." in result.stdout


def test_every_option_reaches_the_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import phaseguide.jobs.data.check as jobs

    seen: list[Any] = []

    def check(folder: Path, options: LayoutOptions, layout: str) -> Iterator[Any]:
        seen.append((options, layout))
        return iter(())

    monkeypatch.setattr(jobs, "check_data", check)
    run(
        "check", tmp_path, "--layout", "coco", "--split", "a", "--split", "b", "--phases", "x, y", "--colours", "t.csv",
        "--unknown-colours", "nearest", "--background", "x", "--unnamed", "y", "--unlabelled", "drop",
        "--bad-polygons", "repair", "--bar", "crop",
    )  # fmt: skip
    (options, layout) = seen[0]
    assert layout == "coco"
    assert options == LayoutOptions(
        splits=("a", "b"), phases=("x", "y"), colours="t.csv", unknown_colours="nearest", background="x", unnamed="y",
        unlabelled="drop", bad_polygons="repair", bar="crop",
    )  # fmt: skip
    assert all(getattr(options, name) != LayoutOptions.default(name) for name in LayoutOptions.model_fields)


def test_defaults_of_the_commands_are_those_of_the_form() -> None:
    import inspect

    for command in (data.check, data.convert):
        usual = {name: p.default for name, p in inspect.signature(command).parameters.items()}
        for name in LayoutOptions.model_fields:
            assert (usual[OPTIONS.get(name, name)] or None) == (LayoutOptions.default(name) or None), name


def test_an_option_that_cannot_be_meant_is_a_sentence(tmp_path: Path) -> None:
    result = run("check", tmp_path, "--bar", "keep")
    assert result.exit_code == 2 and "bar is 'keep'; choose exclude or crop." in result.stderr


def test_colours_are_given_or_asked_for(tmp_path: Path) -> None:
    folder = colour_masks(tmp_path)
    (folder / "colours.csv").rename(tmp_path / "elsewhere.csv")
    result = run("check", folder, "--layout", "colour-masks")
    assert result.exit_code == 2 and "--colours" in result.stderr
    assert (
        run("check", folder, "--layout", "colour-masks", "--colours", tmp_path / "elsewhere.csv").exit_code
        == 0
    )


def test_many_notices_are_counted(tmp_path: Path) -> None:
    rows = [f"{name}.png;0;{corners((50, 30, 90, 45))}" for name in "abcdefghijklm"]
    result = run("check", aachen(tmp_path, rows, images="abcdefghijklm"), "--bad-polygons", "repair")
    assert result.exit_code == 0 and "... and 3 more such sentences" in result.stderr


@pytest.mark.slow
def test_a_converted_set_trains(tmp_path: Path) -> None:
    """A split of a published set, through the command line, to a model."""
    folder = superalloy(tmp_path / "in")
    assert run("convert", folder, tmp_path / "learn", "--split", "train", "--split", "val").exit_code == 0
    done = CliRunner().invoke(
        app,
        [
            "train", str(tmp_path / "learn"), "--out", str(tmp_path / "m.safetensors"), "--validation", "c",
            "--epochs", "1", "--crop", "32", "--batch", "2", "--guidance", "none", "--device", "cpu",
            "--architecture", "unet", "--encoder", "tu-test_efficientnet", "--set", "encoder_weights=none",
            "--set", 'decoder={"decoder_channels": [16, 16, 8, 8, 8]}',
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "m.safetensors").is_file()


def test_a_killed_conversion_goes_on(tmp_path: Path) -> None:
    folder = metaldam(tmp_path / "in", count=8)
    code = (
        "import os, sys\n"
        "from phaseguide.jobs.data.convert import convert_data\n"
        "for event in convert_data(sys.argv[1], sys.argv[2]):\n"
        "    if getattr(event, 'done', 0) == 5: os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path / "out")], timeout=300)
    assert done.returncode == 9 and not (tmp_path / "out").exists()
    result = run("convert", folder, tmp_path / "out")
    assert result.exit_code == 0 and "8 images written (5 of them by an earlier run)." in result.stdout
