"""Make the picture of ``docs/new_material.md``: ``python docs/make/new_material_picture.py [--out DIR]``.

Needs a display (or ``xvfb-run -a -s "-screen 0 1920x1200x24 -dpi 96"``) and the extra ``all``. The model for a nickel
superalloy is left aside: its phases are named and painted as those of a material that no model knows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # the pictures must not depend on anybody's settings
os.environ.setdefault("QT_FONT_DPI", "96")

from screenshots import IMAGES, PANEL_WIDTH, WINDOW, leave, photograph, pump, strokes_of

SAMPLE = "spot2_0d_0"
PHASES = ("matrix", "precipitate")
"""Its two kinds of precipitates are painted as one."""


def main() -> None:
    """Name the phases, paint, and wait for the mask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["PHASEGUIDE_DATA_DIR"] = tempfile.mkdtemp()  # nor on anybody's models

    import numpy as np
    from napari import Viewer
    from napari.qt import get_qapp
    from qtpy.QtCore import Qt

    from phaseguide.datasets.samples import open_sample
    from phaseguide.widgets.workbench.open import open_workbench

    app = get_qapp()
    viewer = Viewer(show=True, show_welcome_screen=False)
    viewer.theme = "dark"
    sample = open_sample(SAMPLE)
    viewer.add_image(sample.image, name=SAMPLE)
    workbench = open_workbench(viewer)
    workbench.show_part("new_material")
    dock, made = workbench.parent(), workbench.new_material
    viewer.window.resize(*WINDOW)
    dock.window().resizeDocks([dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)
    pump(app, 2)
    viewer.reset_view()
    for number, name in enumerate(PHASES):
        made.panel.phases.names[number].setText(name)
        made.panel.phases.names[number].editingFinished.emit()
    pump(app, 0.5)
    made.panel.paint_button.click()
    edits = viewer.layers[f"{SAMPLE} edits"]
    edits.data[:] = strokes_of(np.minimum(sample.labels, len(PHASES)), gap=(150, 160), size=(5, 30))
    edits.refresh()
    while made.answer is None or not made.worker.idle:
        pump(app, 0.2)
    made.panel.paint_button.click()
    pump(app, 2)
    photograph(viewer, options.out / "new_material.png")
    leave(app, viewer)


if __name__ == "__main__":
    main()
