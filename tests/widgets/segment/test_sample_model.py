"""A sample that is opened brings the model that knows its phases."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from phaseguide.datasets.samples import open_sample
from phaseguide.folders import user_model_folder
from tiny_models import tiny_model
from workbench_helpers import open_part

PLUGIN = "napari-phaseguide"


@pytest.fixture
def viewer(plugins_are_known: None, model_viewer: Any) -> Any:
    """A viewer, and a model of the superalloy's phases among the user's."""
    folder = user_model_folder()
    folder.mkdir(parents=True, exist_ok=True)
    tiny_model(folder, names=open_sample("spot2_0d_0").scheme.names, file_name="alloy.safetensors")
    return model_viewer


def chosen(widget: Any) -> str:
    return str(widget.panel.model_box.combo.currentText())


def names(widget: Any) -> tuple[str, ...]:
    return tuple(widget.state.scheme.names)


def test_the_model_follows_the_sample(widget: Any, viewer: Any) -> None:
    steel, _ = viewer.open_sample(PLUGIN, "uhcs0220")
    assert chosen(widget) == "tiny-plm", "it knows some of the phases"
    alloy, _ = viewer.open_sample(PLUGIN, "spot2_0d_0")
    widget.panel.image_box.choose(alloy)
    assert names(widget) == open_sample("spot2_0d_0").scheme.names
    assert "was chosen for spot2_0d_0" in widget.panel.status.text()
    widget.panel.image_box.choose(steel)
    assert chosen(widget) == "uhcs (built-in)"
    assert "was chosen for uhcs0220" in widget.panel.status.text()


def test_a_model_of_the_user_that_knows_a_phase_stays(widget: Any, viewer: Any, tmp_path: Path) -> None:
    own = tiny_model(tmp_path, names=("matrix", "pore"))
    widget.panel.model_box.open_file(own)
    viewer.open_sample(PLUGIN, "spot2_0d_0")
    assert names(widget) == ("matrix", "pore")


def test_images_of_the_user_leave_the_model_as_it_is(widget: Any, viewer: Any) -> None:
    before = chosen(widget)
    viewer.add_image(open_sample("spot2_0d_0").image, name="spot2_0d_0")
    assert chosen(widget) == before


def test_without_a_model_for_it_the_chosen_one_stays(widget: Any, viewer: Any) -> None:
    before = chosen(widget)
    viewer.add_image(
        open_sample("spot2_0d_0").image, metadata={"phaseguide": {"phases": ("amalgam", "dentine")}}
    )
    assert chosen(widget) == before and "was chosen" not in widget.panel.status.text()


def test_a_superalloy_in_a_real_window(
    plugins_are_known: None, make_napari_viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    """Opened by the menu's way, segmented, seen."""
    folder = user_model_folder()
    folder.mkdir(parents=True, exist_ok=True)
    made = tiny_model(tmp_path, names=open_sample("spot2_0d_0").scheme.names)
    shutil.copy(made, folder / "alloy.safetensors")
    viewer = make_napari_viewer()
    image, labels = viewer.open_sample(PLUGIN, "spot2_0d_0")
    _, widget = open_part(viewer, "Segment")
    assert widget.image == image and not labels.visible
    assert names(widget) == open_sample("spot2_0d_0").scheme.names
    widget.segment()
    qtbot.waitUntil(lambda: "spot2_0d_0 phases" in viewer.layers, timeout=120_000)
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=120_000)
    assert widget.panel.table.scheme.names[2] == "tertiary precipitate"
    viewer.window.screenshot(str(tmp_path / "window.png"), flash=False, canvas_only=False)
    assert (tmp_path / "window.png").stat().st_size > 10_000
