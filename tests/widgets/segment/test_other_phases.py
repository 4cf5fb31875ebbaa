"""Strokes that were painted for other phases are left out of a segmentation, and stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.identity import give_role
from widget_helpers import micrograph

GAMMA = PhaseScheme.from_names(("gamma", "gamma prime"))


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def segmented(viewer: Any, widget: Any, segment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A viewer with an image that was segmented once with a tiny model."""
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path))
    viewer.add_image(micrograph(), name="steel")
    segment()
    return viewer, widget


def painted_for_gamma(viewer: Any) -> Any:
    """The edits layer, on which one phase of another scheme fills a square."""
    image, edits = viewer.layers["steel"], viewer.layers["steel edits"]
    give_role(edits, "edits", image, scheme=GAMMA.to_dict())
    edits.data[10:40, 10:40] = 1
    edits.refresh()
    return edits


def test_strokes_for_other_phases_change_nothing_and_this_is_said(segmented: Any, segment: Any) -> None:
    viewer, widget = segmented
    before = np.array(viewer.layers["steel phases"].data)
    edits = painted_for_gamma(viewer)
    edits.mode = "pan_zoom"
    segment()
    after = viewer.layers["steel phases"].data
    assert np.array_equal(after[10:40, 10:40], before[10:40, 10:40]), "gamma is none of the model's phases"
    assert "was painted for 1 gamma, 2 gamma prime" in widget.panel.status.text()
    assert scheme_of(edits) == GAMMA and edits.mode == "pan_zoom"
    assert (edits.data[10:40, 10:40] == 1).all()
    edits.data[60:70, :] = 255
    edits.refresh()
    segment()
    assert (viewer.layers["steel phases"].data[60:70] == 255).all(), "what is no metal is none under any name"


def test_strokes_of_the_same_names_count(segmented: Any, segment: Any) -> None:
    viewer, widget = segmented
    image, edits, model = viewer.layers["steel"], viewer.layers["steel edits"], widget.state.scheme
    renamed = PhaseScheme.from_names([model.names[0].upper(), *(f"new {name}" for name in model.names[1:])])
    give_role(edits, "edits", image, scheme=renamed.to_dict())
    edits.data[10:40, 10:40] = 1
    edits.refresh()
    segment()
    assert (viewer.layers["steel phases"].data[10:40, 10:40] == 1).all()
    assert "was painted for" not in widget.panel.status.text()
    assert scheme_of(edits) == model


def test_an_empty_layer_takes_the_phases_of_the_model(segmented: Any, segment: Any) -> None:
    viewer, widget = segmented
    edits = viewer.layers["steel edits"]
    give_role(edits, "edits", viewer.layers["steel"], scheme=GAMMA.to_dict())
    segment()
    assert scheme_of(edits) == widget.state.scheme
