"""napari with a project open: the workbench with its fields, the first that is not reviewed on show.

``phaseguide napari --project DIR`` starts it as ``python -m phaseguide.widgets.project_start DIR [IMAGE ...]``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel


def set_up(viewer: ViewerModel, folder: str, images: list[str]) -> Any:
    """Open images, the workbench and a project in it; return what shows the project."""
    from phaseguide.widgets.workbench.open import open_workbench

    if images:
        viewer.open(images)
    workbench = open_workbench(viewer)
    workbench.show_part("project")
    workbench.project.open(folder)
    return workbench.project


def main(folder: str, images: list[str]) -> None:
    """Open napari and run it until it is closed."""
    import napari

    viewer = napari.Viewer()
    set_up(viewer, folder, images)
    napari.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
