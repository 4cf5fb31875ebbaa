"""An estimate plants no phase of which the image shows no trace; an exact value, or a stroke, does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.tiny_models import tiny_image, tiny_model

from phaseguide.events import Notice
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.ratios import FLOOR
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.segmentation.specimen import Field, FieldDone, segment_specimen

IMAGE = tiny_image(shape=(96, 96))
ASKED = np.array([0.4, 0.4, 0.2])


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return unseeing(tmp_path_factory.mktemp("blind"), "none")


def unseeing(folder: Path, guidance: str) -> LoadedModel:
    """A model that never sees its last phase."""
    model = load_model(tiny_model(folder, guidance))
    head = next(m for name, m in model.segmenter.named_modules() if name.endswith("segmentation_head.0"))
    head.bias.data[2] -= 1e3
    return model


def segment(model: LoadedModel, uncertainty: float, edits: np.ndarray | None = None) -> Segmentation:
    session = Session(model, IMAGE, edits=edits, device="cpu")
    return run_to_end(session.segment(Request(asked=ASKED, uncertainty=uncertainty)))


def test_a_visual_estimate_plants_nothing_and_says_so(blind: LoadedModel) -> None:
    result = segment(blind, 0.3)
    assert result.own[2] < FLOOR
    assert not (result.labels == 3).any()
    said = " ".join(result.notices)
    assert "shows no trace of Widmanstätten cementite (20.0 %)" in said
    assert "instead of 20.0 %" not in said


def test_a_network_that_is_told_of_it_misses_nothing_that_was_left_open(tmp_path: Path) -> None:
    session = Session(unseeing(tmp_path, "plm"), IMAGE, device="cpu")
    request = Request(asked=np.array([np.nan, np.nan, 0.2]), uncertainty=0.3, mode="conditioned")
    result = run_to_end(session.segment(request))
    assert result.imposed is not None and np.abs(result.achieved - result.imposed).max() > FLOOR
    assert sum("no trace" in notice for notice in result.notices) == 1
    assert not any("does not reach" in notice for notice in result.notices)


@pytest.mark.parametrize("uncertainty", [0.0, 0.1])
def test_who_has_measured_this_field_or_forces_it_gets_it(blind: LoadedModel, uncertainty: float) -> None:
    result = segment(blind, uncertainty)
    assert (result.labels == 3).any()
    assert "no trace" not in " ".join(result.notices)
    if not uncertainty:
        assert result.achieved[2] == pytest.approx(0.2, abs=1 / IMAGE.size)


def test_a_stroke_is_a_trace(blind: LoadedModel) -> None:
    edits = np.zeros(IMAGE.shape, dtype=np.uint8)
    edits[3, 3:5] = 3
    result = segment(blind, 0.3, edits)
    assert (result.labels == 3).sum() > 2
    assert "no trace" not in " ".join(result.notices)


def of_specimen(*models: LoadedModel) -> tuple[list[str], list[Segmentation]]:
    """What is said of a specimen with a field for each model, and the results."""
    fields = [
        Field(f"field {i}", partial(Session, model, IMAGE, device="cpu")) for i, model in enumerate(models)
    ]
    events = list(segment_specimen(fields, Request(asked=np.array([np.nan, np.nan, 0.1]), uncertainty=0.2)))
    said = [event.message for event in events if isinstance(event, Notice)]
    return said, [event.segmentation for event in events if isinstance(event, FieldDone)]


@pytest.mark.parametrize("count", [1, 2])
def test_what_no_field_of_a_specimen_shows_is_named_once(blind: LoadedModel, count: int) -> None:
    said, results = of_specimen(*[blind] * count)
    assert not any((result.labels == 3).any() or result.notices for result in results)
    assert sum("no trace of Widmanstätten cementite (10.0 %)" in message for message in said) == 1
    assert not any("instead of" in message for message in said), (
        "no word of a surer source, which would not help"
    )


def test_a_field_that_leaves_a_phase_to_the_others_says_so(blind: LoadedModel, tmp_path: Path) -> None:
    seeing = load_model(tiny_model(tmp_path, "none"))
    said, (without, holds) = of_specimen(blind, seeing)
    assert not (without.labels == 3).any() and holds.own[2] > FLOOR and holds.achieved[2] > FLOOR
    assert any("no trace of Widmanstätten cementite (10.0 %)" in notice for notice in without.notices)
    assert not any("no trace" in message for message in (*said, *holds.notices))
