"""The menu entry Look inside: opens the Segment widget, where model, image and ratio are chosen, and looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari.viewer

PLUGIN = "napari-phaseguide"


def look_inside(viewer: napari.viewer.Viewer) -> None:
    """Look inside the model that the Segment widget has chosen, at the image that it has chosen."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    tools = widget.tools
    tools.inside_fold.expand()
    widget.panel.reveal(tools.inside_fold)
    tools.inside.look()
