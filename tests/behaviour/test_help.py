"""The help of every command, as words: ``held/help.txt``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

from phaseguide.cli import app

HELD = Path(__file__).parent / "held" / "help.txt"

WIDTH = "400"
"""So wide that no version of rich breaks a row; what is held are the words, not where lines end."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if hasattr(command, "list_commands"):
        with command.make_context("phaseguide", ["--help"], resilient_parsing=True) as context:
            for name in command.list_commands(context):
                yield from commands(command.get_command(context, name), (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    environment = {"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH, "TERM": "dumb", "NO_COLOR": "1"}
    done = CliRunner().invoke(app, [*path, "--help"], prog_name="phaseguide", env=environment)
    assert done.exit_code == 0, done.output
    lines = (re.sub(r"[─-╿\s]+", " ", line).strip() for line in done.output.splitlines())
    return "\n".join(line for line in lines if line)


def test_help_of_every_command(updating: bool) -> None:
    now = {" ".join(("phaseguide", *path)): help_of(path) for path in commands(typer.main.get_command(app))}
    assert len(now) > 30
    if updating:
        HELD.write_text(
            "\n\n".join(f"# {name}\n{text}" for name, text in now.items()) + "\n", encoding="utf-8"
        )
        return
    parts = (part.split("\n", 1) for part in HELD.read_text(encoding="utf-8").strip().split("\n\n"))
    before = {title.removeprefix("# "): text for title, text in parts}
    assert list(now) == list(before), "commands are missing, new, or in another order"
    differ = []
    for name, text in now.items():
        lines, old = text.splitlines(), before[name].splitlines()
        gone, new = ([line for line in a if line not in b] for a, b in ((old, lines), (lines, old)))
        if text != before[name]:
            differ.append(
                "\n".join([name, *(f"  held {line}" for line in gone), *(f"  now  {line}" for line in new)])
            )
    assert not differ, "help differs of:\n" + "\n".join(differ)
