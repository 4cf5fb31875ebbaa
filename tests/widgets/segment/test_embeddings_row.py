"""Embeddings in the dock: kept on disk if the user wants, said when they were used, cleared with a button."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from widget_helpers import micrograph

KEPT = "was not encoded again"


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def test_an_image_that_was_kept_opens_without_encoding(
    widget: Any, viewer: Any, segment: Any, qtbot: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.models.segmenter import GuidedSegmenter
    from phaseguide.segmentation.network.embeddings import MEMORY

    advanced = widget.panel.advanced
    viewer.add_image(micrograph(), name="steel")
    segment()
    assert not (data_dir / "embeddings").exists()
    advanced.controls["keep_embeddings"].setChecked(True)
    segment()
    assert KEPT in widget.panel.status.text(), "its features were in memory"
    before = np.array(viewer.layers["steel phases"].data)

    widget.store.forget()
    MEMORY.clear()
    monkeypatch.setattr(GuidedSegmenter, "encode", lambda *_: pytest.fail("the encoder ran"))
    viewer.layers.clear()
    viewer.add_image(micrograph(), name="steel again")
    segment()
    assert KEPT in widget.panel.status.text()
    np.testing.assert_array_equal(viewer.layers["steel again phases"].data, before)

    advanced.expand()
    row = advanced.embeddings
    row.refresh()
    qtbot.waitUntil(lambda: "kept" in row.label.text() and row.button.isEnabled(), timeout=10_000)
    qtbot.mouseClick(row.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: row.label.text() == "Nothing kept", timeout=10_000)
    assert not list((data_dir / "embeddings").glob("*/*.safetensors"))
