"""What a stroke asks for and what Save does, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import ModelError, TrainingError
from phaseguide.events import Progress, Settle
from phaseguide.folders import user_model_folder
from phaseguide.jobs.segment import Plane
from phaseguide.jobs.strokes.save import save_strokes
from phaseguide.jobs.strokes.stages import (
    Prepared,
    StrokesJudged,
    StrokesMap,
    StrokesRequest,
    StrokesWork,
    describe_evidence,
    describe_painted,
    missing_phases,
)
from phaseguide.models.model_file import load_model
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import tiny_image, tiny_labels, tiny_model

SCHEME = PhaseScheme.from_names(["dark", "middle", "bright"])


def strokes() -> np.ndarray:
    marks = np.zeros((64, 96), dtype=np.uint8)
    for top in (8, 40):
        marks[top : top + 4] = tiny_labels()[top : top + 4]
    return marks


def plane(edits: np.ndarray | None, seed: int = 0) -> Plane:
    image = tiny_image(seed)
    return Plane((), f"image {seed}", lambda: image, edits, image=seed)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return tiny_model(tmp_path)


def asked(
    start: Path, *planes: Plane, shown: Plane | None = None, scheme: PhaseScheme = SCHEME
) -> StrokesRequest:
    return StrokesRequest(start, scheme, planes, shown or planes[0], "cpu")


def test_a_stroke_brings_a_map_and_a_rest_brings_the_evidence(start: Path) -> None:
    work = StrokesWork()
    events = list(work.stages(asked(start, plane(strokes()))))
    answer = next(event for event in events if isinstance(event, StrokesMap))
    assert (answer.labels[strokes() > 0] == strokes()[strokes() > 0]).all()
    assert sum(answer.shares) == pytest.approx(1)
    assert answer.shares[0] == pytest.approx((answer.labels == 1).mean())
    rest, judged = events[events.index(answer) + 1 :]
    assert isinstance(rest, Settle) and isinstance(judged, StrokesJudged) and judged.fitted is answer.fitted
    assert judged.held_out is not None and judged.held_out[1] == np.count_nonzero(strokes())
    assert "Learnt from 768 painted px." in describe_painted(answer)
    assert "of 768 px" in describe_evidence(judged.held_out) and "two places" in describe_evidence(None)


def test_images_are_encoded_before_the_first_stroke_and_once(start: Path) -> None:
    work, encoding = StrokesWork(), "Encoding tiles"
    first = [e for e in work.prepare(asked(start, shown=plane(None))) if not isinstance(e, Settle)]
    assert isinstance(first[-1], Prepared) and any(isinstance(e, Progress) for e in first)
    later = [e for e in work.stages(asked(start, plane(strokes()))) if isinstance(e, Progress)]
    assert not [e for e in later if e.stage == encoding and e.total > 1]
    again = list(work.stages(asked(start, plane(strokes()))))
    assert [type(e) for e in again if isinstance(e, StrokesMap)] == [StrokesMap]


def test_strokes_on_two_images_teach_both_and_an_unpainted_one_is_shown(start: Path) -> None:
    planes = (plane(strokes()), plane(strokes(), 1))
    answer = next(
        e
        for e in StrokesWork().stages(asked(start, *planes, shown=plane(None, 2)))
        if isinstance(e, StrokesMap)
    )
    assert sum(answer.fitted.painted) == 2 * np.count_nonzero(strokes())
    assert "on 2 images" in describe_painted(answer)
    assert answer.labels.shape == (64, 96) and (answer.labels > 0).all()


def test_other_phases_go_on_with_the_same_encoder(start: Path) -> None:
    work = StrokesWork()
    list(work.stages(asked(start, plane(strokes()))))
    renamed = PhaseScheme.from_names(["dark", "middle", "bright", "pore"])
    answer = next(
        e for e in work.stages(asked(start, plane(strokes()), scheme=renamed)) if isinstance(e, StrokesMap)
    )
    assert answer.fitted.model.card.scheme.names == renamed.names
    assert answer.fitted.model.card.training["parent"] == "tiny-plm"
    assert missing_phases(renamed, answer.fitted.painted) == ["pore"]


def test_nothing_painted_is_said(start: Path) -> None:
    with pytest.raises(TrainingError, match="Nothing is painted"):
        list(StrokesWork().stages(asked(start, shown=plane(None))))


@pytest.fixture
def answer(start: Path) -> Any:
    events = StrokesWork().stages(asked(start, plane(strokes())))
    return next(event for event in events if isinstance(event, StrokesMap))


def test_it_is_saved_among_the_models_and_never_over_another(answer: Any) -> None:
    first, second = (save_strokes(answer.fitted, "my alloy", None) for _ in range(2))
    assert [path.stem for path in (first, second)] == ["my alloy", "my alloy-2"]
    assert first.parent == user_model_folder()
    loaded = load_model(second)
    assert loaded.card.name == "my alloy-2" and loaded.card.scheme.names == SCHEME.names
    again = run_to_end(Session(loaded, tiny_image()).segment(Request()))
    unpainted = strokes() == 0
    assert (again.labels == answer.labels)[unpainted].mean() > 0.99
    with pytest.raises(ModelError):
        save_strokes(answer.fitted, "a/b", None)


def test_in_a_project_it_is_a_version_that_is_in_use(answer: Any, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project", SCHEME)
    path = save_strokes(answer.fitted, "first strokes", project)
    assert project.model_path() == path
    (version,) = project.file.versions
    assert version.parent == "tiny-plm" and version.note == "first strokes"
    assert load_model(path).card.scheme.names == SCHEME.names
