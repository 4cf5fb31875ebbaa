"""What commands put out and take in: JSON, the uncertainty, errors of the system."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from phaseguide import __version__
from phaseguide.cli import app
from phaseguide.cli.shared.output import UncertaintyOption, resolve_uncertainty, write_json
from phaseguide.errors import PhaseguideError
from phaseguide.models import zoo
from phaseguide.ratios import ratio_range

DATA = {"phase": "Widmanstätten µ", "file": "bad\udcff.png"}
TOLD = {"phaseguide": __version__, "phase": "Widmanstätten µ", "file": "bad\\xff.png"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_json_is_utf8_whatever_the_locale(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    write_json("-", DATA)
    text = raw.getvalue().decode("utf-8")
    assert json.loads(text) == TOLD and "Widmanstätten µ" in text


def test_json_goes_to_a_stream_without_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    write_json("-", DATA)
    write_json(str(tmp_path / "a.json"), DATA)
    assert stream.getvalue().encode() == (tmp_path / "a.json").read_bytes()


def test_json_in_a_process_with_another_locale() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from phaseguide.cli.shared.output import write_json; write_json('-', ['µ'])"],
        env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout.decode("utf-8")) == ["µ"]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
def test_an_uncertainty_is_a_number(value: float) -> None:
    with pytest.raises(PhaseguideError, match=r"--uncertainty .*from 0"):
        resolve_uncertainty(value, exact=False)


@pytest.mark.parametrize("value", ["inf", "nan", "-0.1"])
def test_an_uncertainty_that_is_no_number_is_a_clear_error(tmp_path: Path, value: str) -> None:
    image = tmp_path / "a.png"
    image.touch()
    command = ["segment", str(image), "-m", "uhcs", "--out", str(tmp_path), "--uncertainty", value]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and result.stderr.startswith(f"--uncertainty {value}")
    assert result.stderr.count("\n") == 1


def test_uncertainties_that_are_meant() -> None:
    assert (resolve_uncertainty(None, False), resolve_uncertainty(None, True)) == (0.1, 0.0)
    assert (resolve_uncertainty(0.0, True), resolve_uncertainty(0.3, False)) == (0.0, 0.3)


def test_the_help_of_the_uncertainty_holds_true_numbers() -> None:
    (option,) = UncertaintyOption.__metadata__  # type: ignore[attr-defined]
    for share in (0.1, 0.7):
        low, high = ratio_range(share, 0.1)
        assert f"{100 * share:.0f} % to {100 * low:.1f}-{100 * high:.1f} %" in option.help


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "secret.png"), "secret.png: Permission denied"),
        (MemoryError(), "Not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB."), "Not enough memory"),
    ],
    ids=["file", "memory", "cuda"],
)
def test_what_the_system_refuses_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.setattr(zoo, "list_models", lambda: _raise(error))
    result = CliRunner().invoke(app, ["models", "list"])
    assert result.exit_code == 2 and words in result.stderr
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


def test_an_error_of_the_program_is_a_sentence_and_its_traceback_is_logged(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setattr(zoo, "list_models", lambda: _raise(RuntimeError("shapes differ")))
    result = CliRunner().invoke(app, ["models", "list"])
    assert result.exit_code == 70 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert "RuntimeError: shapes differ" in result.stderr and "errors.log" in result.stderr
    log = (data_dir / "errors.log").read_text(encoding="utf-8")
    assert "Traceback" in log and "shapes differ" in log


def test_a_reader_that_leaves_is_no_error_to_talk_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "list_models", lambda: _raise(BrokenPipeError(32, "Broken pipe")))
    result = CliRunner().invoke(app, ["models", "list"])
    assert "pipe" not in result.stderr


def _raise(error: Exception) -> Any:
    raise error
