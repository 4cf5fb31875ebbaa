"""The demonstration in napari: a sample, the Segment widget docked, the segmentation there.

``phaseguide demo`` starts it as ``python -m phaseguide.widgets.demo SAMPLE MODEL``.
"""

from __future__ import annotations

import sys


def main(sample_name: str, model: str) -> None:
    """Open napari on a sample and start segmenting it."""
    import napari
    from qtpy.QtCore import QTimer

    from phaseguide.datasets.samples import open_sample

    sample = open_sample(sample_name)
    viewer = napari.Viewer()
    viewer.add_image(sample.image, name=sample.name, metadata={"path": str(sample.image_path)})
    _, widget = viewer.window.add_plugin_dock_widget("napari-phaseguide", "Segment")
    if hasattr(widget, "choose_model"):
        widget.choose_model(model)
    start = getattr(widget, "segment", None)
    if callable(start):
        QTimer.singleShot(0, start)  # once the window stands, so that it shows the progress
    napari.run()


if __name__ == "__main__":
    main(*sys.argv[1:3])
