"""The Segment widget in a real viewer: what a metallographer does, from an image to a corrected map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from widget_helpers import micrograph, numbers, stroke, type_into


def test_first_segmentation(widget: Any, viewer: Any, segment: Any) -> None:
    image = viewer.add_image(micrograph(), name="steel")
    segment()
    phases, edits = viewer.layers["steel phases"], viewer.layers["steel edits"]
    assert phases.data.dtype == np.uint8 and phases.data.shape == image.data.shape
    assert set(np.unique(phases.data)) <= {1, 2, 3}
    assert not phases.editable
    assert not edits.data.any()
    assert viewer.layers.selection.active == edits
    assert edits.mode == "paint" and edits.selected_label == 1
    assert sum(numbers(widget.panel.table.found)) == pytest.approx(100, abs=0.02)
