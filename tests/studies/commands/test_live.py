"""``phaseguide benchmark live``: says why it cannot measure, and measures in a real viewer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from tiny_models import tiny_model

runner = CliRunner()


def test_without_a_display_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("napari")
    monkeypatch.setattr("phaseguide.studies.commands.live.has_display", lambda: False)
    done = runner.invoke(app, ["benchmark", "live"])
    assert done.exit_code == 2
    assert "no display" in done.output and "xvfb-run" in done.output


def test_sizes_that_are_no_numbers() -> None:
    done = runner.invoke(app, ["benchmark", "live", "--sizes", "big"])
    assert done.exit_code == 2 and "--sizes 'big' is not understood" in done.output


def test_a_viewer_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("napari")
    import phaseguide.studies.speed.live as live

    monkeypatch.setattr("phaseguide.studies.commands.live.has_display", lambda: True)
    (tmp_path / "no_window.py").write_text("raise SystemExit('no window')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(live, "_WORKER", "no_window")
    done = runner.invoke(app, ["benchmark", "live", "--model", str(tiny_model(tmp_path)), "--sizes", "128"])
    assert done.exit_code == 2 and "no window" in done.output


@pytest.mark.window
def test_it_measures(tmp_path: Path) -> None:
    pytest.importorskip("napari")
    target = tmp_path / "live.json"
    arguments = ["--model", str(tiny_model(tmp_path)), "--sizes", "128", "--changes", "2"]
    done = runner.invoke(app, ["benchmark", "live", *arguments, "--json", str(target)])
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    rows = {row["what"]: row for row in report["rows"]}
    assert len(rows) == 4
    to_layer, to_frame = rows["value change to layer"], rows["value change to painted frame"]
    assert 0 < to_layer["p50"] <= to_frame["p50"] and to_layer["count"] == 2
    assert rows["value change to conditioned mask"]["p50"] > 180, "the rest of the hand is included"
    assert report["machine"]["opengl"] and report["machine"]["napari"]
