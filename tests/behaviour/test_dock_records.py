"""What a press of Segment and the buttons below it write, without a window: the dock's own job and its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phaseguide.control import Control
from phaseguide.jobs.export import ExportedImage, ExportedPlane, save_overlay, save_results
from phaseguide.jobs.results import summary
from phaseguide.jobs.segment import Job, Plane, PlaneDone, run_job
from phaseguide.jobs.session_store import Options, SessionStore
from phaseguide.jobs.tables import table_text
from phaseguide.ratios import parse_ratio
from phaseguide.segmentation.request import Request
from tiny_models import NAMES, tiny_image

from .shapes import shape_of

Held = Callable[[str, dict[str, Any]], None]


def press(model: Path, request: Request, planes: int = 1, *, specimen: bool = False) -> list[PlaneDone]:
    made = tuple(
        Plane((n,) if planes > 1 else (), "steel 7/a", lambda n=n: tiny_image(n), image=1)
        for n in range(planes)
    )
    job = Job(model, made, request, Options(device="cpu"), source="Visual estimate", specimen=specimen)
    events = run_job(job, SessionStore(), Control())
    return [event for event in events if isinstance(event, PlaneDone)]


def exported(done: list[PlaneDone], file: Path) -> ExportedImage:
    outcomes = tuple(
        ExportedPlane(
            one.index, one.result.segmentation, one.result.made, lambda: np.asarray(Image.open(file))
        )
        for one in done
    )
    return ExportedImage("steel 7/a", file, "0" * 64, 0.2, outcomes, "typed")


def test_records_of_the_segment_dock(tiny: Path, tmp_path: Path, held: Held) -> None:
    file = tmp_path / "steel.png"
    Image.fromarray(tiny_image()).save(file)
    scheme = press(tiny, Request())[0].result.segmentation.scheme
    asked = parse_ratio(f"{NAMES[0]}=20%", scheme)
    found: dict[str, Any] = {}
    for name, done in {
        "plain": press(tiny, Request()),
        "ratio": press(tiny, Request(asked=asked, uncertainty=0.3)),
        "auto": press(tiny, Request(auto=True)),
        "stack": press(tiny, Request(asked=asked, uncertainty=0.3), planes=2),
        "specimen": press(
            tiny, Request(asked=asked, uncertainty=0.3, scope="specimen"), planes=2, specimen=True
        ),
    }.items():
        out, exhibit = tmp_path / name, exported(done, file)
        save_results(out, exhibit)
        save_overlay(out / "overlay.png", exhibit, exhibit.planes[0])
        records = sorted(out.glob("*.json"))
        found[f"{name}: files"] = sorted(path.name for path in out.iterdir())
        found[f"{name}: record"] = shape_of(json.loads(records[-1].read_text(encoding="utf-8")))
        found[f"{name}: metadata of the layer"] = shape_of(summary(done[0].result.segmentation))
        rows = [line.split("\t") for line in table_text(exhibit.rows(), "\t").splitlines()]
        found[f"{name}: table"] = [rows[0], *(" | ".join([*row[:4], row[-1]]) for row in rows[1:])]
    held("dock", found)
