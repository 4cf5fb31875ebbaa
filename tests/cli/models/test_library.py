"""``phaseguide models``: copying, sharing, deleting and restoring on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.folders import user_model_folder
from phaseguide.models.model_file import read_card
from phaseguide.models.recycle import list_recycled
from phaseguide.models.zoo import list_models
from tiny_models import NAMES, tiny_image, tiny_model


def run(*arguments: Any, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=answer)


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def names() -> set[str]:
    return {entry.name for entry in list_models() if entry.origin == "user"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models"))


COMMANDS = ("import", "save-as", "export", "share", "bioimageio", "restore")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(command: str) -> None:
    result = run("models", command, "--help")
    assert result.exit_code == 0
    assert f"phaseguide models {command}" in result.stdout.split("Example", 1)[1]


def test_save_as_export_and_import(model: Path, tmp_path: Path) -> None:
    assert run("models", "save-as", model, "bainite").exit_code == 0
    out = tmp_path / "out.safetensors"
    assert "out.safetensors" in run("models", "export", "bainite", out).stdout
    assert out.read_bytes() == model.read_bytes()
    fails(run("models", "export", "bainite", out), "there is a file of that name", "Choose another name")
    fails(run("models", "import", out, "--name", "bainite"), "'bainite' already")
    assert run("models", "import", out, "--name", "lab2").exit_code == 0
    assert names() == {"bainite", "lab2"}
    fails(run("models", "import", tmp_path / "absent.safetensors"), "no such model file")


def test_remove_asks_and_restore_brings_back(model: Path) -> None:
    run("models", "import", model, "--name", "bainite")
    asked = run("models", "remove", "bainite", answer="n\n")
    assert asked.exit_code == 1 and "recycle folder" in asked.output
    assert names() == {"bainite"} and not list_recycled()
    assert run("models", "remove", "bainite").exit_code == 1, "no answer is no consent"
    assert names() == {"bainite"}
    assert run("models", "remove", "bainite", answer="y\n").exit_code == 0
    assert names() == set()
    listed = json.loads(run("models", "restore", "--json", "-").stdout)
    assert [m["name"] for m in listed] == ["bainite"]
    run("models", "import", model, "--name", "bainite")
    fails(run("models", "restore", "bainite"), "'bainite' already", "another name")
    assert run("models", "restore", "bainite", "--as", "old").exit_code == 0
    assert names() == {"bainite", "old"}
    assert (user_model_folder() / "old.safetensors").read_bytes() == model.read_bytes()
    fails(run("models", "restore", "bainite"), "no deleted model 'bainite'", "Deleted models: none")
    assert "No model was deleted" in run("models", "restore").stdout


def test_what_cannot_be_removed_is_not_asked_about() -> None:
    fails(run("models", "remove", "uhcs"), "built in")
    fails(run("models", "remove", "nothing"), "no model 'nothing'")


def test_share_asks_for_what_the_card_lacks(model: Path, tmp_path: Path) -> None:
    run("models", "import", model, "--name", "bainite")
    out = tmp_path / "shared.safetensors"
    fails(run("models", "share", "bainite", out), "say what it is for")
    fails(run("models", "share", "bainite", out, "--description", "TRIP steel"), "licence of the model")
    done = run(
        "models", "share", "bainite", out, "--description", "TRIP steel", "--licence", "CC-BY-4.0", "--name", "B 2"
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    card = read_card(out)
    assert (card.name, card.description, card.model_licence) == ("B 2", "TRIP steel", "CC-BY-4.0")
    shown = run("models", "show", out).stdout
    assert "CC-BY-4.0" in shown and "TRIP steel" in shown


def test_bioimageio_takes_ones_own_micrograph(model: Path, tmp_path: Path) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    Image.fromarray(tiny_image(shape=(100, 120))).convert("RGB").save(tmp_path / "field.png")
    arguments = ("models", "bioimageio", model, tmp_path / "p.zip", "--image", tmp_path / "field.png")
    assert run(*arguments).exit_code == 2, "an author is needed"
    fails(run(*arguments, "--author", "Ada"), "SPDX licence", "names none")
    done = run(*arguments, "--author", "Ada", "--author", "Bob", "--licence", "MIT", "--cite", "10.1000/x")
    assert done.exit_code == 0, done.output
    described = spec.load_model_description(tmp_path / "p.zip")
    assert [a.name for a in described.authors] == ["Ada", "Bob"]
    assert list(described.outputs[0].axes[1].channel_names) == list(NAMES)
    fails(run(*arguments, "--author", "Ada", "--licence", "MIT"), "there is a file of that name")


def test_list_tells_version_and_parent(model: Path, tmp_path: Path) -> None:
    from phaseguide.models.sharing import with_card

    card = read_card(model).model_copy(update={"training": {"parent": "uhcs"}, "version": "3"})
    tuned = tmp_path / "tuned.safetensors"
    tuned.write_bytes(with_card(model.read_bytes(), card))
    run("models", "import", tuned)
    (row,) = [m for m in json.loads(run("models", "list", "--json", "-").stdout) if m["name"] == "tuned"]
    assert (row["version"], row["parent"]) == ("3", "uhcs")
    assert "parent" in run("models", "show", "tuned").stdout


def test_one_bad_file_keeps_no_other_from_the_list(model: Path) -> None:
    folder = user_model_folder()
    run("models", "import", model, "--name", "good")
    (folder / "gone.safetensors").symlink_to(folder / "nowhere")
    (folder / "round.safetensors").symlink_to(folder / "round.safetensors")
    result = run("models", "list", "--json", "-")
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["good"]["size_mb"] > 0 and rows["good"]["problem"] is None
    for name in ("gone", "round"):
        assert rows[name]["size_mb"] is None and rows[name]["problem"]
