"""``phaseguide embeddings`` and the options of ``segment``: kept, shown, cleared, and every error a user can cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.micrographs import read_label_map
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.segmentation.network.embeddings import MEMORY
from tiny_models import tiny_image, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(tiny_image(seed)).save(folder / f"steel{seed}.png")
    return folder


def run(*arguments: Any) -> Result:
    MEMORY.clear()  # every command is a process of its own
    return CliRunner().invoke(app, [*map(str, arguments)])


def never(*_: Any) -> None:
    raise AssertionError("the encoder ran")


def test_a_second_run_does_not_encode_and_gives_the_same(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, common = tmp_path / "kept", ("-m", model, "--device", "cpu", "--embeddings", tmp_path / "kept")
    first = run("segment", images, *common, "--out", tmp_path / "a")
    assert first.exit_code == 0, first.output
    monkeypatch.setattr(GuidedSegmenter, "encode", never)
    second = run("segment", images, *common, "--out", tmp_path / "b")
    assert second.exit_code == 0, second.output
    for seed in range(2):
        maps = [read_label_map(tmp_path / out / f"steel{seed}_labels.tif") for out in "ab"]
        np.testing.assert_array_equal(*maps)
    off = run("segment", images, "-m", model, "--out", tmp_path / "c", "--embeddings", "off")
    assert "the encoder ran" in off.stderr
    shown = json.loads(run("embeddings", "show", "--folder", kept, "--json", "-").stdout)
    assert len(shown["images"]) == 2 and shown["bytes"] == sum(one["bytes"] for one in shown["images"]) > 0


def test_on_is_the_usual_place_and_clear_empties_it(
    model: Path, images: Path, tmp_path: Path, data_dir: Path
) -> None:
    assert "Nothing is kept" in run("embeddings", "show").stdout
    result = run("segment", images, "-m", model, "--out", tmp_path / "o", "--embeddings", "on")
    assert result.exit_code == 0, result.output
    shown = run("embeddings", "show").stdout
    assert str(data_dir / "embeddings") in shown.replace("\n", "") and "2 images" in shown
    cleared = run("embeddings", "clear")
    assert cleared.exit_code == 0 and "freed" in cleared.stdout
    assert "Nothing is kept" in run("embeddings", "show").stdout


def test_without_the_option_nothing_is_written(
    model: Path, images: Path, tmp_path: Path, data_dir: Path
) -> None:
    assert run("segment", images, "-m", model, "--out", tmp_path / "o").exit_code == 0
    assert not any(data_dir.iterdir())


def test_the_variable_is_heard_and_off_overrules_it(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASEGUIDE_EMBEDDINGS", str(tmp_path / "kept"))
    run("segment", images, "-m", model, "--out", tmp_path / "a", "--embeddings", "off")
    assert not (tmp_path / "kept").exists()
    run("segment", images, "-m", model, "--out", tmp_path / "b")
    assert "2 images" in run("embeddings", "show").stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--embeddings", "{file}"), "is a file"),
        (("--embeddings", "on", "--embeddings-gb", "0"), "Give more than 0"),
        (("--embeddings-gb", "5"), "Add --embeddings on"),
    ],
)
def test_options_that_cannot_be_meant(
    options: tuple[str, ...], words: str, model: Path, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    given = [option.format(file=tmp_path / "file") for option in options]
    result = run("segment", images, "-m", model, "--out", tmp_path / "o", *given)
    assert result.exit_code == 2 and words in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "o").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for command in ("show", "clear"):
        result = run("embeddings", command, "--folder", tmp_path / "none")
        assert result.exit_code == 2 and "there is no such folder" in result.stderr
