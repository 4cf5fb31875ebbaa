"""A press of Segment without a window: what it tells, where it stops, what a bad plane does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.control import Control
from phaseguide.errors import MicrographError
from phaseguide.events import Notice, Progress
from phaseguide.jobs.segment import DeviceFound, Job, Plane, PlaneDone, Stopped, run_job
from phaseguide.jobs.session_store import Options, SessionStore
from phaseguide.segmentation.request import Request
from tiny_models import tiny_image, tiny_model

BLACK = np.zeros((64, 96), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


def job(model: Path, images: list[Any], asked: Any = None, *, specimen: bool = False) -> Job:
    planes = tuple(
        Plane((n,), f"plane {n}", lambda image=image: image, image="steel") for n, image in enumerate(images)
    )
    return Job(model, planes, Request(asked=asked), Options(device="cpu"), specimen=specimen)


def run(wanted: Job, stop: Control | None = None) -> Iterator[Any]:
    return run_job(wanted, SessionStore(), stop or Control())


def of(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_planes_come_one_by_one_with_how_far_the_job_is(model: Path) -> None:
    events = list(run(job(model, [tiny_image(n) for n in range(3)])))
    assert [done.index for done in of(events, PlaneDone)] == [(0,), (1,), (2,)]
    assert len(of(events, DeviceFound)) == 1, "the device is told once, not for every plane"
    steps = [step for step in of(events, Progress) if step.stage.startswith("Plane 2 of 3: ")]
    assert steps and all(1 / 3 <= step.fraction <= 2 / 3 for step in steps)
    assert any(step.seconds_left is not None for step in steps)


def test_stopping_keeps_what_is_done(model: Path) -> None:
    stop, events = Control(), []
    for event in run(job(model, [tiny_image(n) for n in range(3)]), stop):
        events.append(event)
        if isinstance(event, PlaneDone):
            stop.stop()
    assert events[-1] == Stopped(1) and len(of(events, PlaneDone)) == 1


def test_a_plane_that_cannot_be_segmented_ends_the_job(model: Path) -> None:
    events = []
    with pytest.raises(MicrographError, match="plane 1"):
        for event in run(job(model, [tiny_image(0), BLACK, tiny_image(2)])):
            events.append(event)
    assert [done.index for done in of(events, PlaneDone)] == [(0,)]


def test_a_specimen_leaves_it_out_and_fails_only_without_any_field(model: Path) -> None:
    asked = np.array([0.4, np.nan, np.nan])
    events = list(run(job(model, [tiny_image(0), BLACK, tiny_image(2)], asked, specimen=True)))
    done = of(events, PlaneDone)
    assert [one.index for one in done] == [(0,), (2,)]
    assert {one.result.made.settings["scope"] for one in done} == {"specimen"}
    assert any("Left out: plane 1" in notice.message for notice in of(events, Notice))
    with pytest.raises(MicrographError, match="plane 0"):
        list(run(job(model, [BLACK], asked, specimen=True)))


def test_the_only_plane_is_made_ready_for_the_next_number(model: Path) -> None:
    store, wanted = SessionStore(), job(model, [tiny_image(0)])
    first = list(run_job(wanted, store, Control()))
    assert first[-1] == Progress("Getting ready to follow your values", 0, 0)
    again = list(run_job(wanted, store, Control()))
    assert isinstance(again[-1], PlaneDone), "what was there need not be made ready"
    assert store.at(("steel", (0,)), model, wanted.options) is not None
