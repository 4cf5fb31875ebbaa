"""The benchmark of large images on small ones: rows, memory, what is saved, failures."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.errors import PhaseguideError
from phaseguide.studies.speed.harness import worker_messages
from phaseguide.studies.speed.large import LargeTask, benchmark_large, measure
from tiny_models import tiny_model


def test_large_is_measured_printed_and_saved(tmp_path: Path) -> None:
    target = tmp_path / "large.json"
    arguments = ["--sizes", "128", "--threads", "1", "--memory", "1", "--json", str(target)]
    result = CliRunner().invoke(app, ["benchmark", "large", *arguments])
    assert result.exit_code == 0, result.output
    assert "changed ratio, matching" in result.stdout and "random weights" in result.stdout
    text = target.read_text(encoding="utf-8")
    data = json.loads(text)
    assert socket.gethostname() not in text and str(tmp_path) not in text
    (row,) = data["rows"]
    assert (row["size"], row["phases"], row["threads"], row["scratch"]) == (128, 4, 1, True)
    for stage in ("first", "matching", "decode"):
        assert row[f"{stage}_s"] > 0 and row[f"{stage}_cpu_s"] > 0
    assert row["error_px"] <= 1
    if row["loaded_gb"] is not None:
        assert 0.05 < row["loaded_gb"] <= row["first_gb"] <= row["matching_gb"] <= row["decode_gb"]


def test_a_model_without_guidance_has_no_decode(tmp_path: Path) -> None:
    stages: list[str] = []
    row = measure(LargeTask(str(tiny_model(tmp_path, "none")), 64, 0, None), stages.append)
    assert row.decode_s is None and row.decode_gb is None and not row.scratch and row.phases == 3
    assert stages == ["first segmentation", "changed ratio by matching"]


def test_sizes_that_cannot_be_measured() -> None:
    with pytest.raises(PhaseguideError, match="at least 32 px"):
        list(benchmark_large(sizes=[8]))
    result = CliRunner().invoke(app, ["benchmark", "large", "--sizes", "a,b"])
    assert result.exit_code == 2 and "not understood" in result.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(json.dumps({'error': 'said at the end'}))", "said at the end"),
        ("sys.stderr.write('much ' * 99_999 + chr(10)); sys.exit('last words')", r"finish \(last words\)"),
        (
            "sys.stderr.write('warning' * 200_000); print(json.dumps({'error': 'said at the end'}))",
            "said at the end",
        ),
        ("import os; os._exit(3)", "exit code 3"),
        ("print(json.dumps({'stage': 'on'}))", "exit code 0"),
    ],
)
def test_a_worker_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    (tmp_path / "failing_worker.py").write_text(f"import json, sys\nsys.stdin.read()\n{code}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PhaseguideError, match=said):
        list(worker_messages("failing_worker", {}, "nothing"))


def test_a_worker_is_stopped_with_its_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import json, sys, time\nprint(json.dumps({'stage': 'on'}), flush=True)\ntime.sleep(600)\n"
    (tmp_path / "slow_worker.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    messages = worker_messages("slow_worker", {}, "nothing")
    assert next(messages) == {"stage": "on"}
    messages.close()  # type: ignore[attr-defined]
