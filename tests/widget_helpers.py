"""What widget tests share: a model small enough to run in a blink, textures, and a user's hands."""

from __future__ import annotations

from typing import Any

import numpy as np

SHAPE = (96, 128)


def micrograph(shape: tuple[int, ...] = SHAPE, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """Noise of several sizes, so that a random network finds different things in different places."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    noise = sum(gaussian_filter(rng.standard_normal(shape[:2]), s) * s for s in (1, 4, 12))
    scaled = (noise - noise.min()) / np.ptp(noise)
    if len(shape) == 3:
        scaled = np.stack([scaled**p for p in (0.8, 1.0, 1.2)], axis=-1)
    if np.dtype(dtype).kind == "f":
        return scaled.astype(dtype)
    return (scaled * np.iinfo(dtype).max).astype(dtype)


def activate(window: Any, qtbot: Any) -> None:
    """Give a window the keys; asked again and again, since another test may show its own on the same screen."""

    def is_active() -> bool:
        if not window.isActiveWindow():
            window.activateWindow()
        return bool(window.isActiveWindow())

    qtbot.waitUntil(is_active)


def type_into(qtbot: Any, box: Any, text: str) -> None:
    """Replace the text of a spin box as a user does: select all, type."""
    from qtpy.QtCore import Qt

    box.setFocus()
    box.selectAll()
    if text:
        qtbot.keyClicks(box, text)
    else:
        qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Backspace)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def impose_exactly(widget: Any) -> None:
    """Close the locks of all phases; they open again with the next values that are offered, and on another image."""
    lock = widget.panel.table.lock_all
    if not lock.isChecked():
        lock.click()


def turn(control: Any) -> None:
    """Give a control of a form another value, as a user would."""
    if hasattr(control, "toggle"):
        control.toggle()
    elif hasattr(control, "currentIndex"):
        control.setCurrentIndex((control.currentIndex() + 1) % control.count())
    else:
        control.stepBy(-1 if control.value() == control.maximum() else 1)


def numbers(labels: list[Any]) -> list[float]:
    """Read a column of the table."""
    return [float(label.text()) for label in labels]


def stroke(layer: Any, points: list[tuple[float, ...]]) -> None:
    """Take the brush, unless a tool is taken that draws or erases, and drag."""
    if layer.mode == "pan_zoom":
        layer.mode = "paint"
    drag(layer, points)


def drag(layer: Any, points: list[tuple[float, ...]]) -> None:
    """Drag the mouse over a layer; what napari itself does with such a drag, without a canvas."""
    from napari.utils._test_utils import read_only_mouse_event as event
    from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

    mouse_press_callbacks(layer, event(type="mouse_press", position=points[0], button=1))
    for point in points[1:]:
        mouse_move_callbacks(layer, event(type="mouse_move", is_dragging=True, position=point, button=1))
    mouse_release_callbacks(layer, event(type="mouse_release", position=points[-1], button=1))
