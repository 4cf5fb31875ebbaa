"""The workbench of a viewer: docked when it is first wanted, the same one afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseguide.widgets.workbench.dock import WorkbenchWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel

PLUGIN, NAME = "napari-phaseguide", "Phase Guide"


def open_workbench(viewer: ViewerModel) -> WorkbenchWidget:
    """Return the workbench of a viewer, in front."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    dock.show()
    dock.raise_()
    assert isinstance(widget, WorkbenchWidget)
    return widget
