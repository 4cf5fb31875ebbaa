"""When the phases of a project change, everything that was said in the old ones follows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import ProjectError
from phaseguide.micrographs import read_label_map
from phaseguide.phases import Phase, PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.relabelling import follow_ratio
from phaseguide.projects.schema import AskedRatio
from phaseguide.ratios import validate_ratio

F = "steel-0"
LABELS = np.zeros((64, 96), np.uint8)
LABELS[:16], LABELS[16:32], LABELS[32:40], LABELS[-1] = 1, 2, 3, 255


def fill(project: Project) -> None:
    project.write_edits(F, LABELS)
    project.write_truth(F, LABELS)
    project.set_ratio(F, AskedRatio(shares=[0.5, 0.3, None], uncertainty=0.1))
    project.write_result(
        F, LABELS, {"phases": []}, version="uhcs", model_sha256="", own=[0.5, 0.3, 0.2],
        achieved=[0.6, 0.3, 0.1], constrained=True,
    )  # fmt: skip


def test_names_and_colours_touch_no_label(project: Project) -> None:
    fill(project)
    before = (project.folder / "edits" / f"{F}_edits.tif").stat().st_mtime_ns
    phases = list(project.scheme)
    renamed = PhaseScheme((Phase(1, "matrix", "#102030"), *phases[1:]))
    project.change_scheme(renamed, {1: 1, 2: 2, 3: 3})
    assert Project.open(project.folder).scheme == renamed
    assert (project.folder / "edits" / f"{F}_edits.tif").stat().st_mtime_ns == before
    assert not (project.folder / "recycle").exists()


def test_merged_phases_add_up(project: Project) -> None:
    fill(project)
    project.review(F)
    project.change_scheme(PhaseScheme.from_names(["steel", "cementite"]), {1: 1, 2: 2, 3: 2})
    merged = np.where(LABELS == 3, 2, LABELS)
    field = project.field(F)
    for labels in (project.read_edits(F), project.read_truth(F), project.read_result(F)):
        assert np.array_equal(labels, merged)
    assert field.result is not None and field.result.achieved == pytest.approx([0.6, 0.4])
    assert field.ratio is not None and field.ratio.shares == [0.5, None]
    assert field.state == "reviewed"
    record = json.loads((project.folder / field.result.record).read_text())
    assert record["relabelled"][0]["new_label"] == {"1": 1, "2": 2, "3": 2}
    kept = sorted(path.name for path in (project.folder / "recycle").rglob("*.tif"))
    assert kept == [f"{F}_edits.tif", f"{F}_labels.tif", f"{F}_truth.tif"]
    for path in (project.folder / "recycle").rglob("*.tif"):
        assert np.array_equal(read_label_map(path), LABELS)


def test_a_new_phase_is_open_and_an_old_one_can_go(project: Project) -> None:
    fill(project)
    project.change_scheme(PhaseScheme.from_names(["pearlite", "ferrite", "other"]), {1: 2, 2: 0})
    assert np.array_equal(project.read_edits(F), np.select([LABELS == 1, LABELS == 255], [2, 255], 0))
    field = project.field(F)
    assert field.result is not None and field.result.own == [0, 0.5, 0]
    assert field.ratio is None, "what became of the dropped phases' area is not known"
    project.set_ratio(F, AskedRatio(shares=[0.2, 0.3, 0.5], uncertainty=0.1))
    four = PhaseScheme.from_names(["pearlite", "ferrite", "other", "new"])
    project.change_scheme(four, {1: 1, 2: 2, 3: 3})
    assert project.field(F).ratio.shares == [0.2, 0.3, 0.5, None]  # type: ignore[union-attr]


def test_labels_that_are_not_there_are_refused(project: Project) -> None:
    fill(project)
    before = project.file
    for relabel in ({4: 1}, {1: 3}, {0: 1}, {1: -1}):
        with pytest.raises(ProjectError, match="cannot become"):
            project.change_scheme(PhaseScheme.from_names(["a", "b"]), relabel)
    assert Project.open(project.folder).file == before


def test_a_change_can_be_taken_back(project: Project) -> None:
    fill(project)
    old = project.scheme
    swapped = PhaseScheme.from_names([old.names[2], old.names[0], old.names[1]])
    project.change_scheme(swapped, {1: 2, 2: 3, 3: 1})
    project.change_scheme(old, {2: 1, 3: 2, 1: 3})
    assert np.array_equal(project.read_edits(F), LABELS)
    assert project.field(F).result.achieved == [0.6, 0.3, 0.1]  # type: ignore[union-attr]
    assert project.field(F).ratio.shares == [0.5, 0.3, None]  # type: ignore[union-attr]


@given(
    weights=st.lists(st.integers(0, 20), min_size=2, max_size=5).filter(any),
    is_open=st.lists(st.booleans(), min_size=5, max_size=5),
    targets=st.lists(st.integers(0, 4), min_size=5, max_size=5),
)
def test_a_ratio_that_follows_is_still_a_ratio(
    weights: list[int], is_open: list[bool], targets: list[int]
) -> None:
    shares = [None if o else w / sum(weights) for w, o in zip(weights, is_open, strict=False)]
    ratio = AskedRatio(shares=shares, uncertainty=0.1)
    moved = follow_ratio(ratio, targets[: len(shares)], 4)
    if moved is not None:
        asked = validate_ratio(moved.asked, PhaseScheme.from_names("abcd"))
        for phase in range(4):
            parents = [s for s, t in zip(shares, targets, strict=False) if t == phase + 1]
            expected = np.nan if not parents or None in parents else sum(parents)
            assert asked[phase] == pytest.approx(expected, nan_ok=True)
