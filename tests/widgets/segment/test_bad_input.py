"""Bad input: a clear sentence, and nothing is lost."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from tiny_models import tiny_model
from widget_helpers import SHAPE, micrograph, stroke, type_into
from workbench_helpers import open_part


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def press(widget: Any, qtbot: Any) -> None:
    """Press Segment where it ends at once or in the worker."""
    qtbot.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    assert widget.panel.segment_button.isEnabled() and not widget.panel.stop_button.isEnabled()


def only(told: list[str], widget: Any) -> str:
    """The one error, which stands on the status line too."""
    (message,) = told
    assert widget.panel.status.text() == message
    assert widget.panel.status.styleSheet()
    return message


def test_no_image(widget: Any, qtbot: Any, told: list[str]) -> None:
    press(widget, qtbot)
    assert "no image layer" in only(told, widget)


def test_no_model(viewer: Any, qtbot: Any, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import phaseguide.widgets.segment.model_choice

    monkeypatch.setattr(phaseguide.widgets.segment.model_choice, "known_models", list)
    _, widget = open_part(viewer, "Segment")
    viewer.add_image(micrograph())
    press(widget, qtbot)
    assert "No model is chosen" in only(told, widget)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.full((1, 1), 7, np.uint8), "only 1 x 1 pixels"),
        (np.full(SHAPE, 7, np.uint8), "constant"),
        (np.zeros(SHAPE, np.uint8), "all black"),
        (np.full(SHAPE, np.nan, np.float32), "not finite"),
    ],
    ids=["one pixel", "constant", "black", "nan"],
)
def test_images_without_content(
    widget: Any, viewer: Any, qtbot: Any, told: list[str], data: np.ndarray, words: str
) -> None:
    viewer.add_image(data, name="odd", contrast_limits=(0, 1))
    press(widget, qtbot)
    message = only(told, widget)
    assert words in message and "odd" in message
    assert [layer.name for layer in viewer.layers] == ["odd"]


def test_edits_of_another_shape(widget: Any, viewer: Any, qtbot: Any, told: list[str], segment: Any) -> None:
    image = viewer.add_image(micrograph((50, 60)), name="steel")
    segment()
    edits = viewer.layers["steel edits"]
    edits.data[:] = 1
    image.data = micrograph()
    told.clear()
    press(widget, qtbot)
    message = only(told, widget)
    assert "'steel edits' is 50 x 60 px" in message and "96 x 128" in message
    assert (edits.data == 1).all()
    assert "Or remove it" in message
    viewer.layers.remove(edits)
    segment()
    assert (
        viewer.layers["steel edits"].data.shape == (96, 128) and not viewer.layers["steel edits"].data.any()
    )


def test_edits_outside_the_scheme(
    widget: Any, viewer: Any, qtbot: Any, told: list[str], segment: Any
) -> None:
    viewer.add_image(micrograph(), name="steel")
    segment()
    edits, before = viewer.layers["steel edits"], viewer.layers["steel phases"].data.copy()
    edits.selected_label = 9
    stroke(edits, [(20, 20), (30, 40)])
    press(widget, qtbot)
    message = only(told, widget)
    assert "label value 9" in message and "steel edits" in message and "at row" in message
    assert np.array_equal(viewer.layers["steel phases"].data, before)
    assert (edits.data == 9).any(), "the user's strokes are left to the user"


def test_ratio_over_100(widget: Any, viewer: Any, qtbot: Any, told: list[str]) -> None:
    viewer.add_image(micrograph(), name="steel")
    type_into(qtbot, widget.panel.table.boxes[0], "80")
    type_into(qtbot, widget.panel.table.boxes[1], "40")
    press(widget, qtbot)
    assert "120.00 %, more than 100 %" in only(told, widget)


def test_all_set_but_not_100(widget: Any, viewer: Any, qtbot: Any, told: list[str], segment: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    for box in widget.panel.table.boxes:
        type_into(qtbot, box, "30")
    press(widget, qtbot)
    assert "90.00 %" in only(told, widget)
    qtbot.mouseClick(widget.panel.table.scale_button, Qt.MouseButton.LeftButton)
    segment()
    assert "Segmented" in widget.panel.status.text()


def test_files_that_are_no_models(widget: Any, tmp_path: Path, told: list[str], model_file: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(b"PK\x03\x04 something else")
    card = widget.panel.model_box.card
    widget.panel.model_box.open_file(foreign)
    assert "foreign.safetensors" in told[-1] and "not a model file" in told[-1]
    assert widget.panel.model_box.card is card, "the chosen model stays"


def test_truncated_model(widget: Any, viewer: Any, qtbot: Any, told: list[str], tmp_path: Path) -> None:
    path = tiny_model(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    viewer.add_image(micrograph(), name="steel")
    widget.panel.model_box.open_file(path)
    press(widget, qtbot)
    assert path.name in only(told, widget)


def test_model_for_other_channels(
    widget: Any, viewer: Any, qtbot: Any, told: list[str], tmp_path: Path
) -> None:
    widget.panel.model_box.open_file(tiny_model(tmp_path, in_channels=2))
    viewer.add_image(micrograph(), name="steel")
    press(widget, qtbot)
    message = only(told, widget)
    assert "steel has 1 channels" in message and "made for 2" in message


def test_cuda_asked_for_and_absent(widget: Any, viewer: Any, qtbot: Any, told: list[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    combo = widget.panel.advanced.controls["device"]
    combo.setCurrentIndex(combo.findData("cuda"))
    qtbot.waitUntil(lambda: "CUDA was asked for" in widget.panel.device_line.text())
    viewer.add_image(micrograph(), name="steel")
    press(widget, qtbot)
    assert "CUDA was asked for" in only(told, widget)


def test_a_fault_in_the_worker_is_told_and_the_widget_goes_on(
    widget: Any, viewer: Any, qtbot: Any, told: list[str], segment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch raises RuntimeError, which napari's workers swallow."""
    from phaseguide.segmentation.session import Session

    def fail(self: Any, request: Any) -> Any:
        yield from ()
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    viewer.add_image(micrograph(), name="steel")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "segment", fail)
        press(widget, qtbot)
    message = only(told, widget)
    assert "Something went wrong" in message and "mat1 and mat2" in message
    segment()
    assert "Segmented" in widget.panel.status.text()


def test_no_space_left_while_saving(
    widget: Any,
    viewer: Any,
    qtbot: Any,
    told: list[str],
    segment: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import phaseguide.files.atomic

    viewer.add_image(micrograph(), name="steel")
    segment()
    target = tmp_path / "table.csv"
    target.write_text("old")
    monkeypatch.setattr(
        "phaseguide.widgets.segment.exporter.QFileDialog.getSaveFileName", lambda *a, **k: (str(target), "")
    )

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(phaseguide.files.atomic.os, "fsync", full)
    qtbot.mouseClick(widget.panel.results.csv, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(told), timeout=10_000)
    message = only(told, widget)
    assert "table.csv" in message and "No space left" in message
    assert target.read_text() == "old"
