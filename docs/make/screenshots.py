"""Make the pictures of the docks: ``python docs/make/screenshots.py [--model FILE] [--out DIR] [--theme dark]``.

Needs a display (or ``xvfb-run -a -s "-screen 0 1920x1200x24 -dpi 96"``) and the extra ``all``.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = ""  # the pictures must not depend on anybody's settings
os.environ.setdefault("QT_FONT_DPI", "96")

IMAGES = Path(__file__).parents[1] / "images"
SAMPLE = "uhcs0220"
WINDOW = (1500, 1080)
PANEL_WIDTH = 440


def pump(app: Any, seconds: float) -> None:
    """Let the window work for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        app.processEvents()
        time.sleep(0.01)


def wait(app: Any, widget: Any) -> None:
    """Let the window work until the segmentation has ended."""
    while widget.runner.running:
        pump(app, 0.05)
    pump(app, 1.0)


def leave(app: Any, viewer: Any) -> None:
    """Close the window and quit as a user does: what works in the background is waited for."""
    from qtpy.QtCore import QTimer

    viewer.close()
    QTimer.singleShot(0, app.quit)
    app.exec()


def main() -> None:
    """Open the sample, segment it without and with a ratio, and save what is seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="model file; without it the first built-in model")
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    import numpy as np
    from napari import Viewer
    from napari.qt import get_qapp
    from qtpy.QtCore import Qt

    from phaseguide.datasets.samples import open_sample
    from phaseguide.ratios import expert_ratio, ratio_from_labels
    from phaseguide.widgets.workbench.open import open_workbench

    app = get_qapp()
    viewer = Viewer(show=True, show_welcome_screen=False)
    viewer.theme = options.theme
    viewer.open_sample("napari-phaseguide", SAMPLE)
    workbench = open_workbench(viewer)
    workbench.show_step("segment")
    dock, widget = workbench.parent(), workbench.segment
    viewer.window.resize(*WINDOW)
    window = dock.window()
    window.resizeDocks([dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)
    if options.model:
        widget.panel.model_box.open_file(options.model)
    pump(app, 3)
    viewer.reset_view()

    def shoot(name: str) -> None:
        pump(app, 0.5)
        suffix = "" if options.theme == "dark" else f"_{options.theme}"
        viewer.screenshot(str(options.out / f"{name}{suffix}.png"), canvas_only=False, flash=False)

    shoot("segment_start")
    widget.segment()
    wait(app, widget)
    shoot("segment_without_ratio")

    sample = open_sample(SAMPLE)
    true = ratio_from_labels(sample.labels, len(sample.scheme))
    assert true is not None
    # The demo's ratio: a simulated expert with 10 % error, seed 0, who leaves two phases open.
    expert = expert_ratio(true, 0.1, np.random.default_rng(0))
    for phase in sample.scheme.phases[1:3]:
        widget.panel.table.boxes[phase.label - 1].share = round(float(expert[phase.label - 1]), 3)
    pump(app, 2)  # the mask follows live
    shoot("segment_with_ratio")
    widget.panel.decisions.accept.click()

    tools = widget.tools
    workbench.show_step("correct")
    tools.flipped_fold.expand()
    tools.flipped.before.setCurrentText("Automatic estimate")
    tools.flipped.after.setCurrentText("Expected values")
    tools.flipped.compare()
    pump(app, 3)
    shoot("islands_that_flip")
    viewer.layers.remove(next(layer for layer in viewer.layers if layer.name.endswith("disputed")))
    tools.flipped_fold.collapse()

    # Strokes along rows of the true labels stand for those of a user.
    edits = viewer.layers[f"{SAMPLE} edits"]
    for row in range(30, sample.labels.shape[0], 55):
        edits.data[row : row + 5] = sample.labels[row : row + 5]
    edits.refresh()
    workbench.show_step("segment")
    tools.painted_fold.expand()
    tools.painted.extrapolated_button.click()
    while tools.painted.busy:
        pump(app, 0.1)
    shoot("painted_labels")
    tools.painted_fold.collapse()

    widget.panel.advanced.expand()
    shoot("segment_advanced")
    edits.data[:] = 0
    edits.refresh()
    workbench.show_part("point_count")
    pump(app, 1)
    shoot("point_count")
    leave(app, viewer)


if __name__ == "__main__":
    main()
