"""Make the pictures of the fine-tuning tutorial: ``python docs/make/finetune_screenshots.py [--out DIR] [--epochs N]``.

Needs a display (or ``xvfb-run -a -s "-screen 0 1920x1200x24 -dpi 96"``) and the extra ``all``. Everything that is
seen is done as a user does it, on the shipped sample with the shipped strokes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = ""  # the pictures must not depend on anybody's settings
os.environ.setdefault("QT_FONT_DPI", "96")

from screenshots import IMAGES, PANEL_WIDTH, TALL, leave, photograph, pump, wait

PATIENCE_S = 900


def main() -> None:
    """Segment, fine-tune, compare, keep, look where to paint next; then a project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # The pictures must not depend on anybody's models, or leave one there.
    os.environ["PHASEGUIDE_DATA_DIR"] = tempfile.mkdtemp()

    from napari import Viewer
    from napari.qt import get_qapp
    from qtpy.QtCore import Qt

    from phaseguide.widgets.workbench.open import open_workbench

    app = get_qapp()
    viewer = Viewer(show=True, show_welcome_screen=False)
    viewer.theme = "dark"
    image = viewer.open_sample("napari-phaseguide", "uhcs0220-strokes")[0]
    workbench = open_workbench(viewer)
    dock, segment, tune = workbench.parent(), workbench.segment, workbench.teach
    viewer.window.resize(*TALL)
    window = dock.window()
    window.resizeDocks([dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)
    pump(app, 3)
    viewer.reset_view()

    def shoot(name: str, bottom: bool = False) -> None:
        pump(app, 0.5)
        bar = tune.panel._area.verticalScrollBar()
        for _ in range(2):  # what comes into sight may be measured anew
            bar.setValue(bar.maximum() if bottom else 0)
            pump(app, 0.5)
        photograph(viewer, options.out / f"{name}.png")

    def until(ready: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not ready():
            if time.monotonic() > end:
                raise TimeoutError("the window does not get on")
            pump(app, 0.1)

    segment.segment()
    wait(app, segment)
    workbench.show_step("teach")
    viewer.layers.selection.active = image
    until(lambda: tune.panel.start_button.isEnabled() and "About" in tune.panel.estimate.text())
    shoot("finetune_ready")
    tune.panel.form.amount.setValue(options.epochs)
    tune.panel.start_button.click()
    until(lambda: len(tune.panel.curves.points["Loss"].get("", ())) > 3)
    shoot("finetune_learning", bottom=True)
    until(lambda: not tune.runner.running)
    pump(app, 2)  # the next run is estimated a moment later
    until(lambda: "Estimating" not in tune.panel.estimate.text())
    shoot("finetune_end", bottom=True)
    tune.results.compare()
    until(lambda: tune.results.slider.maps is not None)
    shoot("finetune_compare", bottom=True)
    tune.results.slider.end()
    tune.results.keep()
    until(lambda: tune.state.outcome.used == "new")
    pump(app, 2)  # the segmentation with the new model begins by itself
    wait(app, segment)
    tune.places.find_places()
    until(lambda: tune.places.places)
    pump(app, 2)
    wait(app, segment)
    shoot("finetune_places", bottom=True)
    viewer.window.remove_dock_widget(dock)
    viewer.layers.clear()
    project_pictures(app, viewer, options.out)
    leave(app, viewer)


def project_pictures(app: Any, viewer: Any, out: Path) -> None:
    """Two samples as fields of a project."""
    from qtpy.QtCore import Qt

    from phaseguide.datasets.samples import TITLES, open_sample
    from phaseguide.jobs.project.rerun_project import rerun
    from phaseguide.projects.project import Project
    from phaseguide.widgets.workbench.open import open_workbench

    samples = [open_sample(name) for name in TITLES["uhcs"]]
    folder = Path(tempfile.mkdtemp()) / "heat 4711"
    project = Project.create(folder, samples[0].scheme, model="uhcs")
    for sample in samples:
        project.add_field(sample.image_path, specimen="heat 4711")
    for _ in rerun(project):
        pass
    project.review(project.fields[0].id)
    workbench = open_workbench(viewer)
    workbench.show_part("project")
    dock, widget = workbench.parent(), workbench.project
    dock.window().resizeDocks([dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)
    widget.open(folder)
    pump(app, 3)
    viewer.reset_view()
    pump(app, 1)
    photograph(viewer, out / "project.png")


if __name__ == "__main__":
    main()
