"""Make the pictures of the steps: ``python docs/make/screenshots.py [--model FILE] [--out DIR] [--theme dark]``.

Needs a display (or ``xvfb-run -a -s "-screen 0 1920x1200x24 -dpi 96"``) and the extra ``all``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = ""  # the pictures must not depend on anybody's settings
os.environ.setdefault("QT_FONT_DPI", "96")

IMAGES = Path(__file__).parents[1] / "images"
SAMPLE = "uhcs0220"
WINDOW = (1440, 980)
TALL = (1440, 1120)
"""Where a step needs more room to be seen whole."""
PANEL_WIDTH = 440

COLOURS = 256
RARE = 80
"""So many of the colours of a picture are kept for what is small and of its own colour: a chip, a cross, a line."""


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


def save_small(picture: Any, path: Path) -> None:
    """Write a picture as PNG with a palette, a third as large as in full colour."""
    import numpy as np
    from PIL import Image

    full = Image.fromarray(np.ascontiguousarray(np.asarray(picture)[..., :3]))
    counted = full.getcolors(full.width * full.height)
    counts, colours = np.array([one[0] for one in counted]), np.array([one[1] for one in counted], np.int64)
    palette = full.quantize(COLOURS - RARE, Image.Quantize.MEDIANCUT).getpalette()
    error = np.full(len(colours), np.inf)
    for entry in np.reshape(palette, (-1, 3)):
        error = np.minimum(error, ((colours - entry) ** 2).sum(axis=1))
    for _ in range(RARE):  # the colour that the palette is worst for, over all its pixels
        worst = colours[np.argmax(error * counts)]
        palette += worst.tolist()
        error = np.minimum(error, ((colours - worst) ** 2).sum(axis=1))
    holder = Image.new("P", (1, 1))
    holder.putpalette(palette)
    full.quantize(palette=holder, dither=Image.Dither.NONE).save(path, optimize=True)


def photograph(viewer: Any, path: Path) -> None:
    """Save what the window shows."""
    save_small(viewer.screenshot(canvas_only=False, flash=False), path)


def strokes_of(labels: Any, gap: tuple[int, int] = (90, 150), size: tuple[int, int] = (6, 50)) -> Any:
    """Return short strokes along rows of true labels; they stand for those of a user."""
    import numpy as np

    strokes = np.zeros_like(labels)
    for row in range(30, labels.shape[0], gap[0]):
        for column in range(25, labels.shape[1], gap[1]):
            part = slice(row, row + size[0]), slice(column, column + size[1])
            strokes[part] = labels[part]
    return strokes


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
    # The pictures must not depend on anybody's models and counts, or leave one there.
    os.environ["PHASEGUIDE_DATA_DIR"] = tempfile.mkdtemp()

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
        photograph(viewer, options.out / f"{name}{suffix}.png")

    def resize(size: tuple[int, int]) -> None:
        viewer.window.resize(*size)
        pump(app, 1)
        viewer.reset_view()

    workbench.show_step("image")
    while "looking" in widget.panel.device_line.text():
        pump(app, 0.1)
    shoot("image_step")
    workbench.show_step("segment")
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
    tools.flipped.compare()
    pump(app, 3)
    shoot("islands_that_change_phase")
    viewer.layers.remove(next(layer for layer in viewer.layers if layer.name.endswith("disputed")))
    tools.flipped_fold.collapse()

    workbench.show_step("segment")
    resize(TALL)
    widget.panel.advanced.expand()
    shoot("segment_advanced")
    widget.panel.advanced.collapse()
    resize(WINDOW)
    workbench.show_step("report")
    shoot("report")

    for box in widget.panel.table.boxes:
        box.share = float("nan")
    pump(app, 2)
    widget.panel.decisions.accept.click()
    workbench.show_step("segment")
    edits = viewer.layers[f"{SAMPLE} edits"]
    edits.data[:] = strokes_of(sample.labels)
    edits.refresh()
    tools.painted_fold.expand()
    tools.painted.extrapolated_button.click()
    while tools.painted.busy:
        pump(app, 0.1)
    shoot("painted_labels")
    tools.painted_fold.collapse()
    edits.data[:] = 0
    edits.refresh()
    workbench.show_part("point_count")
    count = workbench.point_count
    pump(app, 1)
    count.panel.start_button.click()
    for _ in range(12):
        plan, at = count.count.plan, count.count.position
        count.panel.counting.buttons[int(sample.labels[plan.rows[at], plan.columns[at]]) - 1].click()
    pump(app, 1)
    shoot("point_count")
    leave(app, viewer)


if __name__ == "__main__":
    main()
