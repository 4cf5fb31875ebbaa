"""The Fine-tune widget on a Segment Anything model, and a new model that starts from one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phaseguide.jobs import finetune
from phaseguide.jobs.finetune_start import Start
from phaseguide.models.model_file import read_card, save_model
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.panel import IMPROVE, NEW, SAM
from phaseguide.widgets.finetune.start_weights import FIRST
from sam_files import offer_base
from sam_steel import experienced_sam
from tiny_models import NAMES
from widgets_finetune import banded, click, paint_bands
from workbench_helpers import open_part

SCHEME = PhaseScheme.from_names(NAMES)


@pytest.fixture
def sam_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    start = experienced_sam(offer_base(monkeypatch, tmp_path), SCHEME)
    path = tmp_path / "sam.safetensors"
    save_model(path, start.segmenter, start.card)
    return path


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def dock(viewer: Any, sam_file: Path, qtbot: Any) -> Iterator[Any]:
    viewer.add_image(banded(), name="steel")
    _, widget = open_part(viewer, "Fine-tune")
    widget.panel.model_box.open_file(sam_file)
    yield widget
    widget.runner.control.stop()
    qtbot.waitUntil(lambda: not finetune._learning.locked(), timeout=60_000)


def estimate(dock: Any, qtbot: Any, words: str) -> str:
    dock.setup.look()
    qtbot.waitUntil(lambda: words in dock.panel.estimate.text(), timeout=60_000)
    return str(dock.panel.estimate.text())


def test_adapters_are_what_learns_and_the_version_keeps_its_base(dock: Any, viewer: Any, qtbot: Any) -> None:
    form = dock.panel.form
    assert form.preset.currentData() == "adapters" and form.value().parts == "adapters"
    assert form.value().crop == 512
    paint_bands(viewer, viewer.layers["steel"], dock.panel.scheme())
    form.amount.setValue(2)
    form.form.controls["crop"].setValue(96)
    told = estimate(dock, qtbot, "About")
    assert "GB of memory" in told and dock.panel.start_button.isEnabled()
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(lambda: not dock.runner.running, timeout=120_000)
    assert dock.state.outcome is not None, dock.panel.status.text()
    click(qtbot, dock.panel.result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new" and not dock.state.deciding, timeout=30_000)
    card = read_card(dock.state.outcome.kept)
    assert card.training["parent"] == "sam" and card.training["config"]["parts"] == "adapters"
    assert card.backbone.adapter == read_card(dock.state.outcome.job.start.path).backbone.adapter


def test_the_way_of_learning_follows_the_model_until_the_user_chooses(
    dock: Any, model_file: Path, sam_file: Path, viewer: Any, qtbot: Any
) -> None:
    panel = dock.panel
    panel.model_box.open_file(model_file)
    assert panel.form.preset.currentData() == "fast"
    panel.model_box.open_file(sam_file)
    assert panel.form.preset.currentData() == "adapters"
    panel.goal.setCurrentIndex(panel.goal.findData(NEW))
    assert panel.form.preset.currentData() == "adapters", "its adapters are what a new model takes over"
    panel.goal.setCurrentIndex(panel.goal.findData(IMPROVE))
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("adapters"))
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("thorough"))
    panel.model_box.open_file(model_file)
    assert panel.form.preset.currentData() == "thorough", "what the user chose stays"
    panel.form.preset.setCurrentIndex(panel.form.preset.findData("adapters"))
    paint_bands(viewer, viewer.layers["steel"], panel.scheme())
    told = estimate(dock, qtbot, "has no adapters")
    assert "Choose the preset fast or thorough" in told and not panel.start_button.isEnabled()


def test_a_new_model_from_segment_anything_says_what_it_needs(
    dock: Any, viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    panel = dock.panel
    scheme = panel.scheme()
    assert panel.weights.isHidden()
    panel.goal.setCurrentIndex(panel.goal.findData(SAM))
    assert panel.goal.currentText() == "New model, from Segment Anything ViT-B"
    assert panel.form.preset.currentData() == "adapters" and not panel.model_box.isEnabled()
    # At once, before anything is painted, and with a way to get them.
    assert not panel.weights.isHidden() and not panel.weights.download_button.isHidden()
    assert "needs SAM ViT-B weights, which are not on this computer" in panel.weights.title.text()
    assert panel.weights.file_button.text() == "Choose file…"
    panel.goal.setCurrentIndex(panel.goal.findData(IMPROVE))
    assert panel.weights.isHidden()
    paint_bands(viewer, viewer.layers["steel"], scheme)
    panel.goal.setCurrentIndex(panel.goal.findData(SAM))
    told = estimate(dock, qtbot, FIRST)
    assert "phaseguide models base" not in told and not panel.start_button.isEnabled()
    monkeypatch.setattr("phaseguide.models.sam.weights.probably_present", lambda sha256: True)
    panel.weights.arrived.emit()
    qtbot.waitUntil(panel.weights.isHidden, timeout=30_000)
    monkeypatch.undo()
    start = dock.setup.start_of()
    assert start.sam == "vit_b" and Start.from_dict(start.to_dict()) == start
    old = {name: value for name, value in start.to_dict().items() if name != "sam"}
    assert Start.from_dict(old).sam == "", "runs that were interrupted before there was a choice"


def test_an_estimate_without_memory_says_so(
    dock: Any, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 80 GB.")

    monkeypatch.setattr("phaseguide.finetuning.cost_estimate.plan", fail)
    paint_bands(viewer, viewer.layers["steel"], dock.panel.scheme())
    told = estimate(dock, qtbot, "more memory than there is")
    assert "smaller crops" in told and "DefaultCPUAllocator" not in told
