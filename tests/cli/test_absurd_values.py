"""Whatever is typed after an option, every command answers with a sentence or does its work: never a traceback.

The work itself is cut off where it would begin, so that every option of every command can be tried.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tifffile
import typer
from typer.testing import CliRunner

import phaseguide.cli
from phaseguide.cli import app
from phaseguide.errors import PhaseguideError
from tiny_models import tiny_dataset, tiny_image, tiny_labels, tiny_model

NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1e308", "9" * 40, "0x10", "1,5", "٣")
TEXTS = (
    "",
    " ",
    "[/]",
    "[red]x",
    "../..",
    "a" * 5000,
    "x\ud83d",
    "caf\udce9",
    "\x1b[31mred",
    "=",
    "1=",
    "a=1e999",
    ",;\t",
)


class Worked(PhaseguideError):
    """The command has read its options and would begin."""


def worked(*_: Any, **__: Any) -> Any:
    raise Worked("begun")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sound inputs by name, and odd ones whose names begin with ``odd``."""
    root = tmp_path_factory.mktemp("files")
    found = {name: root / name for name in ("image.tif", "labels.tif", "folds.json", "outside")}
    tifffile.imwrite(found["image.tif"], tiny_image())
    tifffile.imwrite(found["labels.tif"], tiny_labels())
    found["folds.json"].write_text('{"A": ["field0"], "B": ["field1"]}')
    found["outside"].mkdir()
    found["model"], found["data"] = tiny_model(root), tiny_dataset(root / "data")
    odd = {
        "odd_empty": b"", "odd_deep.json": b"[" * 100_000, "odd_list.json": b"[1]", "odd_null.json": b"null",
        "odd_numbers.json": b'{"regions": [{"name": 1, "polygon": [[1e308, NaN]], "ratio": {}}]}',
        "odd_long.json": b'{"a": ' + b"9" * 5000 + b"}", "odd_bytes.csv": bytes(range(256)),
        "odd_table.csv": b"phase,row,column\n[/],1e999,-1\n",
        "odd_nul.json": b'{"phases": [{"label": 1e30, "name": "\\u0000"}]}',
        "odd_model.safetensors": (2**60).to_bytes(8, "little") + b"{}", "odd_zip.tif": b"II*\0" + b"\xff" * 40,
    }  # fmt: skip
    for name, data in odd.items():
        (root / name).write_bytes(data)
        found[name] = root / name
    found["odd_folder"], found["odd_missing"] = root, root / "missing"
    if sys.platform != "win32":
        found["odd_pipe"] = root / "odd_pipe"
        os.mkfifo(found["odd_pipe"])
        found["odd_device"] = Path("/dev/null")
        found["odd_loop"] = root / "odd_loop"
        found["odd_loop"].symlink_to(found["odd_loop"])
    return found


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))
# What an argument or required option is given while others are tried, by its name.
SOUND = {
    "images": "image.tif", "image": "image.tif", "labels": "labels.tif", "dataset": "data", "folds_file": "folds.json",
    "models": "data", "model": "model", "file": "labels.tif", "points": "labels.tif", "folder": "data",
}  # fmt: skip
OUT = {"out": "new.safetensors", "target": "new"}


def is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def command_line(
    path: tuple[str, ...], name: str, value: str, files: dict[str, Path], out: Path
) -> list[str]:
    """A call in which one option or argument has this value, and all others that are needed sound ones."""
    options: list[str] = []
    arguments: list[str] = []
    for parameter in COMMANDS[path].params:
        if parameter.name != name and not (parameter.required or parameter.name in ("dataset", "out")):
            continue
        given = value
        if parameter.name != name:
            given = (
                str(out)
                if parameter.name == "out"
                else str(files.get(SOUND.get(parameter.name, ""), "vit_b"))
            )
        if is_argument(parameter):
            arguments.append(given)
        else:
            options.append(f"{parameter.opts[0]}={given}")
    return [*path, *options, "--", *arguments]


CASES = [
    pytest.param(path, parameter.name, id=f"{' '.join(path)} {parameter.name}")
    for path, command in COMMANDS.items()
    for parameter in command.params
    if not getattr(parameter, "is_flag", False)
]


TRIED = 2


@pytest.mark.parametrize(("path", "name"), CASES)
def test_no_value_ends_in_a_traceback(
    path: tuple[str, ...], name: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of the values after each option, others after each; a command shares the table among its options."""
    drawn = random.Random(f"{path} {name}").sample(values(files), TRIED)
    check_values(path, name, drawn, files, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "name"), CASES)
def test_no_value_at_all_ends_in_a_traceback(
    path: tuple[str, ...], name: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_values(path, name, values(files), files, tmp_path, monkeypatch)


def values(files: dict[str, Path]) -> list[str]:
    return [*NUMBERS, *TEXTS, *(str(file) for key, file in files.items() if key.startswith("odd"))]


def check_values(
    path: tuple[str, ...],
    name: str,
    table: list[str],
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for module in [*vars(phaseguide.cli).values(), phaseguide.cli.shared.progress]:
        for beginning in ("draw", "run_python", "has_display"):
            if hasattr(module, beginning):
                monkeypatch.setattr(module, beginning, worked)
    before = {file: file.read_bytes() for file in files["odd_folder"].iterdir() if file.is_file()}
    for number, value in enumerate(table):
        arguments = command_line(path, name, value, files, tmp_path / f"new{number}.safetensors")
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, SystemExit | None), (value[:60], result.exception)
        assert result.exit_code in (0, 1, 2), (value[:60], result.output[-2000:])
        assert result.exit_code == 0 or result.stderr.strip(), "a failure says what is wrong"
    assert {file: file.read_bytes() for file in before} == before, "a file of the user's was changed"
