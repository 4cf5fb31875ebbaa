"""``phaseguide models base``: list, download, add, find and forget on the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from weights_server import CONTENT, OFFICIAL_B, Server, isolate, serving, wait_until

NAME, SHA = OFFICIAL_B.name, OFFICIAL_B.sha256


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["models", "base", *(str(a) for a in arguments)])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def rows() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(run("list", "--json", "-").stdout)}


@pytest.mark.parametrize("command", ["list", "get", "add", "where", "forget"])
def test_help_teaches_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"phaseguide models base {command}" in re.split("Examples?", result.stdout)[1]


def test_download_list_and_find(server: Server, data_dir: Path) -> None:
    fails(run("where", "vit_b"), "phaseguide models base get vit_b", "Offline", str(data_dir / "bases"))
    done = run("get", "vit_b", "--mirror", server.address)
    assert done.exit_code == 0, done.output
    file = data_dir / "bases" / NAME
    assert done.stdout == f"vit_b: {file}\n" and file.read_bytes() == CONTENT
    assert run("where", "vit_b").stdout == run("where", SHA).stdout == f"{file}\n"
    again = run("get", "vit_b", "--mirror", server.address)
    assert again.stdout == done.stdout and "already" in again.stderr and len(server.asked) == 1
    found = rows()
    assert found[NAME]["file"] == str(file) and found[NAME]["sha256"] == SHA and found[NAME]["official"]
    assert [row["size"] for row in found.values()] == ["vit_b", "vit_l", "vit_h"]
    assert all(row["file"] is None and row["problem"] is None for n, row in found.items() if n != NAME)
    shown = run("list").stdout
    assert "vit_b" in shown and SHA[:12] in shown and "not on this computer" in shown


def test_a_failed_download_is_one_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEGUIDE_SAM_MIRROR", f"{server.address}/wrong")
    server.status = 404
    fails(run("get", "vit_b"), f"{server.address}/wrong/{NAME}", "404", "Offline")
    fails(run("get", "vit_x"), "'vit_x'", "vit_b, vit_l, vit_h")
    fails(run("get", "vit_b", "--mirror", "nowhere"), "--mirror 'nowhere'")


def test_add_and_forget(tmp_path: Path) -> None:
    file = tmp_path / "a [bold]folder" / NAME
    file.parent.mkdir()
    fails(run("add", file), "no such file")
    file.write_bytes(b"own")
    added = run("add", file)
    assert (
        added.exit_code == 0
        and f"Added {file} (vit_b" in added.stdout
        and "checksum mismatch" in added.stderr
    )
    (own,) = [row for row in json.loads(run("list", "--json", "-").stdout) if row["file"] == str(file)]
    assert not own["official"] and "checksum mismatch" in own["note"]
    assert "[bold]folder" in run("list").stdout
    assert run("where", own["sha256"]).stdout == f"{file}\n"
    file.unlink()
    assert f"phaseguide models base forget {file}" in run("list").stdout
    assert run("forget", file).exit_code == 0
    fails(run("forget", file), "not among the base weights that you added")
    fails(run("add", file, "--size", "huge"), "'huge'")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT of another process")
def test_ctrl_c_keeps_what_was_downloaded_and_says_so(server: Server, data_dir: Path) -> None:
    server.content, server.pause_s = CONTENT * 10, 0.02
    # A process that was started in the background ignores Ctrl-C, and so do its children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from phaseguide.cli import app; app()"
    command = [sys.executable, "-c", code, "models", "base", "get", "vit_b", "--mirror", server.address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = data_dir / "bases" / f"{NAME}.part"
    try:
        wait_until(lambda: part.exists() and part.stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "is kept. Go on with: phaseguide models base get vit_b" in told and "Traceback" not in told
    assert part.stat().st_size > 0
