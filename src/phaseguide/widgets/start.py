"""The demonstration in napari: a sample, the workbench docked, the segmentation there.

``phaseguide demo`` starts it as ``python -m phaseguide.widgets.start SAMPLE MODEL``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from phaseguide.errors import PhaseguideError
from phaseguide.models.zoo import find_model

if TYPE_CHECKING:
    from napari.components import ViewerModel


def set_up(viewer: ViewerModel, sample: str, model: str) -> Any:
    """Open a sample and the workbench with a model chosen, start segmenting; return what segments."""
    from qtpy.QtCore import QTimer

    from phaseguide.widgets.workbench.open import open_workbench

    viewer.open_sample("napari-phaseguide", sample)
    workbench = open_workbench(viewer)
    workbench.show_step("segment")
    widget = workbench.segment
    try:
        widget.panel.model_box.open_file(find_model(model))
    except PhaseguideError as error:
        widget.fail(error)
    else:
        QTimer.singleShot(0, widget.segment)  # once the window stands, so that it shows the progress
    return widget


WINDOW = (1400, 900)
SETTLED_MS = 500


def main(sample: str, model: str) -> None:
    """Open napari for the demonstration and run it until it is closed."""
    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer()
    set_up(viewer, sample, model)
    viewer.window.resize(*WINDOW)
    # Only when the window has its size does the view know how much room the dock leaves it.
    QTimer.singleShot(SETTLED_MS, viewer.reset_view)
    napari.run()


if __name__ == "__main__":
    main(*sys.argv[1:3])
