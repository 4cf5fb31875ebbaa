"""napari with a project open: the Project and Segment docks, the first field that is not reviewed on show.

``phaseguide napari --project DIR`` starts it as ``python -m phaseguide.widgets.project_start DIR [IMAGE ...]``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel


PLUGIN = "napari-phaseguide"


def set_up(viewer: ViewerModel, folder: str, images: list[str]) -> Any:
    """Open images, dock the Segment and the Project widget and open a project; return the latter."""
    if images:
        viewer.open(images)
    # Segment first: it takes over the model of the project when that is opened.
    viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    project_dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Project", tabify=True)
    project_dock.raise_()
    widget.open(folder)
    return widget


def main(folder: str, images: list[str]) -> None:
    """Open napari and run it until it is closed."""
    import napari

    viewer = napari.Viewer()
    set_up(viewer, folder, images)
    napari.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
