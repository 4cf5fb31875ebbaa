"""A user at the Fine-tune dock: strokes on three bands, buttons pressed with the mouse, waiting for the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt

from phaseguide.widgets.layers import roles

BANDS = (192, 256)


def banded(seed: int = 0, shape: tuple[int, int] = BANDS) -> np.ndarray:
    """Three bands of different brightness and grain, uint8; what `band_labels` labels."""
    rng = np.random.default_rng(seed)
    level = np.repeat([70, 130, 200], -(-shape[1] // 3))[: shape[1]]
    grain = np.repeat([5, 25, 12], -(-shape[1] // 3))[: shape[1]]
    return np.clip(level + rng.normal(0, 1, shape) * grain, 0, 255).astype(np.uint8)


def band_labels(shape: tuple[int, int] = BANDS) -> np.ndarray:
    labels = np.repeat(np.array([1, 2, 3], dtype=np.uint8), -(-shape[1] // 3))[: shape[1]]
    return np.broadcast_to(labels, shape).copy()


def paint_bands(viewer: Any, image: Any, scheme: Any, *, rows: tuple[int, ...] = (20, 70, 120, 170)) -> Any:
    """Paint strokes across every band on the edits layer, as napari paints them."""
    edits = roles.ensure_edits_layer(viewer, image, scheme)
    labels = band_labels(edits.data.shape)
    for row in rows:
        place = np.zeros(edits.data.shape, dtype=bool)
        place[row : row + 8, 8:-8] = True
        for phase in (1, 2, 3):
            where = np.nonzero(place & (labels == phase))
            edits.data_setitem(where, np.full(len(where[0]), phase, dtype=np.uint8))
    return edits


def click(qtbot: Any, button: Any) -> None:
    assert button.isEnabled(), f"{button.text()} is not enabled"
    assert button.isVisibleTo(button.window()), f"{button.text()} is not on show"
    if button.isVisible():
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    else:  # a window that is not on the screen gets no mouse
        button.click()
