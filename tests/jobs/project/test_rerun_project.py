"""Fields are segmented again with the model in use, from their ratios and edits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from phaseguide.errors import ProjectError
from phaseguide.events import Finished, Notice
from phaseguide.jobs.project.rerun_project import Rerun, Segmented, fields_to_run, rerun
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio
from phaseguide.segmentation.session import run_to_end
from tiny_models import tiny_image, tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return tiny_model(folder), tiny_model(folder, seed=1, file_name="other.safetensors")


@pytest.fixture
def ready(project: Project, models: tuple[Path, Path]) -> Project:
    project.use(str(models[0]))
    return project


def run(project: Project, *arguments: Any) -> Rerun:
    outcome: Rerun = run_to_end(rerun(project, *arguments, device="cpu"))
    return outcome


def test_each_field_has_its_ratio_and_its_edits(ready: Project) -> None:
    edits = np.zeros((64, 96), np.uint8)
    edits[:8] = 2
    ready.write_edits("steel-0", edits)
    ready.set_ratio("steel-1", AskedRatio(shares=[0.5, 0.3, 0.2], uncertainty=0.0, source="field"))
    outcome = run(ready)
    assert [entry.id for entry in outcome.done] == ["steel-0", "steel-1"] and not outcome.failed
    free, asked = (entry.result for entry in outcome.done)
    assert free is not None and asked is not None
    assert (ready.read_result("steel-0")[:8] == 2).all()  # type: ignore[index]
    assert not free.constrained and asked.constrained
    assert asked.achieved == pytest.approx([0.5, 0.3, 0.2], abs=1e-3)
    assert free.version == ready.current == ready.name_of(ready.model_path())
    record = json.loads((ready.folder / asked.record).read_text())
    assert record["model"]["sha256"] == asked.model_sha256
    assert record["ratio"]["source"] == "EBSD or point count of this field"


def test_what_is_left_out_of_a_file_is_told_and_recorded(ready: Project, tmp_path: Path) -> None:
    path = tmp_path / "preview.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(tiny_image(0, (16, 24)))
        file.write(tiny_image(5, (64, 96)))
    entry = ready.add_field(path)
    events = list(rerun(ready, [entry.id], device="cpu"))
    told = [event.message for event in events if isinstance(event, Notice) and "preview" in event.text]
    result = ready.field(entry.id).result
    assert result is not None and told
    record = json.loads((ready.folder / result.record).read_text())
    assert record["notices"] and record["notices"][0] in told[0]


def test_only_what_another_model_segmented_is_run_again(ready: Project, models: tuple[Path, Path]) -> None:
    run(ready)
    assert fields_to_run(ready) == ()
    ready.review("steel-0")
    ready.use(str(models[1]))
    before = ready.read_result("steel-0")
    assert [entry.id for entry in run(ready).done] == ["steel-1"]
    assert np.array_equal(ready.read_result("steel-0"), before)
    assert ready.mixed_versions() == {str(path) for path in models}
    assert run(ready).done == ()


def test_a_field_that_fails_does_not_stop_the_others(ready: Project, images: list[Path]) -> None:
    Image.fromarray(tiny_image(9)).save(images[0])
    events = list(rerun(ready, device="cpu"))
    outcome = events[-1].result  # type: ignore[union-attr]
    assert [entry.id for entry in outcome.done] == ["steel-1"] and list(outcome.failed) == ["steel-0"]
    assert any(isinstance(e, Notice) and e.where == "steel-0" and "checksum" in e.message for e in events)


def test_a_frozen_field_is_not_run_even_when_it_is_named(ready: Project) -> None:
    ready.review("steel-0")
    outcome = run(ready, ["steel-0"])
    assert "reviewed" in str(outcome.failed["steel-0"]) and ready.field("steel-0").result is None


def test_it_stops_between_two_events_and_keeps_what_is_done(ready: Project) -> None:
    events: Iterator[Any] = rerun(ready, device="cpu")
    for event in events:
        if isinstance(event, Segmented):
            break
    events.close()  # type: ignore[attr-defined]
    assert [entry.id for entry in fields_to_run(Project.open(ready.folder))] == ["steel-1"]


def test_a_model_of_other_phases_is_refused(ready: Project) -> None:
    ready.change_scheme(PhaseScheme.from_names(["a", "b", "c"]), {1: 1, 2: 2, 3: 3})
    with pytest.raises(ProjectError, match=r"knows the phases 1 ferrite.*those of the project are 1 a, 2 b"):
        run(ready)


def test_nothing_to_do_needs_no_model(project: Project) -> None:
    for field in project.fields:
        project.review(field.id)
    assert [type(event) for event in rerun(project)] == [Finished]
    project.reopen("steel-0")
    with pytest.raises(ProjectError, match="no model is in use"):
        run(project)
