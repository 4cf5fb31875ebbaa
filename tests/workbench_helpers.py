"""How tests reach the parts of the workbench of a viewer."""

from __future__ import annotations

from typing import Any

from widget_helpers import micrograph

PLUGIN, NAME = "napari-phaseguide", "Phase Guide"

STEPS = {"Segment": "segment", "Fine-tune": "teach"}
PARTS = {
    "Point count": "point_count",
    "Project": "project",
    "Models": "models",
    "New material": "new_material",
}
NAMES = (*STEPS, *PARTS)


def open_part(viewer: Any, name: str) -> tuple[Any, Any]:
    """Open the workbench, or take the one that is open, at one of ``NAMES``; return the dock, and what stands there."""
    dock, workbench = viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    if name in PARTS:
        workbench.show_part(PARTS[name])
        return dock, getattr(workbench, PARTS[name])
    workbench.show_step(STEPS[name])
    return dock, getattr(workbench, STEPS[name])


def close_workbench(viewer: Any) -> None:
    """Close the dock as its cross does."""
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    viewer.window.remove_dock_widget(dock)


def segmented_window(make_napari_viewer: Any, model_file: Any, qtbot: Any) -> tuple[Any, Any]:
    """Return a viewer whose window is shown, with a segmented image ``steel``, and what segments it."""
    viewer = make_napari_viewer(show=True)
    _, widget = open_part(viewer, "Segment")
    widget.panel.model_box.open_file(model_file)
    viewer.add_image(micrograph(), name="steel")
    with qtbot.waitSignal(widget.runner.ended, timeout=60_000):
        widget.segment()
    return viewer, widget
