"""One press in a dock, one command, one run of a project: the same job, so the same record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.control import Control
from phaseguide.jobs.export import ExportedImage, ExportedPlane, save_results
from phaseguide.jobs.project.rerun_project import rerun
from phaseguide.jobs.segment import Job, Plane, PlaneDone, run_job
from phaseguide.jobs.session_store import Options, SessionStore
from phaseguide.micrographs.reading import read_micrograph
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio
from phaseguide.ratios import find_source
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import run_to_end
from tiny_models import NAMES, tiny_image, tiny_model

SOURCE = find_source("field")
SHARES = (0.2, 0.3, 0.5)


def of_the_dock(image: Path, model: Path, asked: np.ndarray | None, out: Path) -> dict[str, Any]:
    micrograph = read_micrograph(image)
    plane = Plane((), image.stem, lambda: micrograph.data, margins=micrograph.margins)
    request = Request(asked=asked, uncertainty=SOURCE.uncertainty)
    job = Job(model, (plane,), request, Options(device="cpu"), None if asked is None else SOURCE.title)
    (done,) = [e for e in run_job(job, SessionStore(), Control()) if isinstance(e, PlaneDone)]
    shown = ExportedPlane((), done.result.segmentation, done.result.made, lambda: micrograph.data)
    exhibit = ExportedImage(image.stem, image, micrograph.sha256, micrograph.pixel_size_um, (shown,))
    return read(save_results(out, exhibit) / f"{image.stem}.json")


def of_the_command_line(image: Path, model: Path, asked: np.ndarray | None, out: Path) -> dict[str, Any]:
    told = [] if asked is None else ["--ratio", ",".join(f"{k}={s:%}" for k, s in enumerate(asked, 1))]
    source = [] if asked is None else ["--source", SOURCE.key]
    ran = CliRunner().invoke(
        app, ["segment", str(image), "-m", str(model), "--out", str(out), "--device", "cpu", *told, *source]
    )
    assert ran.exit_code == 0, ran.output
    return read(out / f"{image.stem}.json")


def of_a_project(image: Path, model: Path, asked: np.ndarray | None, folder: Path) -> dict[str, Any]:
    project = Project.create(folder, PhaseScheme.from_names(NAMES), model=str(model))
    entry = project.add_field(image)
    if asked is not None:
        ratio = AskedRatio(shares=list(asked), uncertainty=SOURCE.uncertainty, source=SOURCE.key)
        project.set_ratio(entry.id, ratio)
    (done,) = run_to_end(rerun(project, device="cpu")).done
    return read(project.folder / done.result.record)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what differs by nature.

    Names and checksums of its files, the time; what only a dock is asked (its memory) and only a command line
    (in which unit the ratio was given).
    """
    for name in ("labels", "parts", "time"):
        record.pop(name, None)
    for name in ("memory_mb", "embeddings_gb", "basis", "preset"):
        record["settings"].pop(name, None)
    return record


@pytest.mark.parametrize("asked", [None, np.array(SHARES)], ids=["no ratio", "a ratio"])
@pytest.mark.parametrize("bar", [0, 24])
def test_dock_command_line_and_project_write_the_same_record(
    tmp_path: Path, asked: np.ndarray | None, bar: int
) -> None:
    model, image = tiny_model(tmp_path), tmp_path / "steel.png"
    picture = np.zeros((128 + bar, 160), np.uint8)
    picture[132:138, 20:90:2] = 255
    picture[:128] = tiny_image(0, (128, 160))
    Image.fromarray(picture).save(image)
    dock = comparable(of_the_dock(image, model, asked, tmp_path / "dock"))
    command = comparable(of_the_command_line(image, model, asked, tmp_path / "command"))
    project = comparable(of_a_project(image, model, asked, tmp_path / "project"))
    assert dock == command == project
    settings = dock["settings"]
    assert settings["device"] == "cpu" and settings["device_name"], "both, for one version"
    assert settings["info_bar_rows_excluded"] == bar and len(dock["notices"]) >= bool(bar)
