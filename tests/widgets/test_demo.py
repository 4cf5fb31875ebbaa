"""The demonstration in a real viewer: sample, widget and segmentation stand there by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.datasets.samples import open_sample
from phaseguide.widgets.start import set_up
from tiny_models import tiny_model


def test_the_sample_is_segmented_without_a_click(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    sample = open_sample("uhcs0220")
    model = tiny_model(tmp_path, names=sample.scheme.names)
    set_up(viewer, "uhcs0220", str(model))
    qtbot.waitUntil(lambda: "uhcs0220 phases" in viewer.layers, timeout=60_000)
    phases = viewer.layers["uhcs0220 phases"].data
    assert phases.shape == sample.labels.shape
    assert np.isin(phases, [1, 2, 3, 4]).all()


def test_a_missing_model_is_said_in_the_widget(model_viewer: Any, told: list[str]) -> None:
    widget = set_up(model_viewer, "uhcs0220", "nothing")
    assert "uhcs0220" in model_viewer.layers and not widget.runner.running
    assert "nothing" in widget.panel.status.text() + "".join(told)
