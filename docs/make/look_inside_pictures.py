"""Make the pictures of ``docs/look_inside.md``: ``python docs/make/look_inside_pictures.py [--out DIR]``.

Needs a display (or ``xvfb-run -a -s "-screen 0 1920x1200x24 -dpi 96"``) and the extra ``all``. The sheet is what
``phaseguide look-inside`` writes; the window is what the menu entry *Look inside the model* leads to.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # the pictures must not depend on anybody's settings
os.environ.setdefault("QT_FONT_DPI", "96")

from screenshots import IMAGES, PANEL_WIDTH, SAMPLE, WINDOW, leave, photograph, pump, save_small, wait


def main() -> None:
    """Write the sheet, then the window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["PHASEGUIDE_DATA_DIR"] = tempfile.mkdtemp()  # nor on anybody's models
    write_sheet(options.out / "look_inside_sheet.png")
    show_window(options.out / "look_inside.png")


def write_sheet(path: Path) -> None:
    """Run the command on the sample and keep its sheet."""
    from PIL import Image

    from phaseguide.datasets.samples import open_sample

    folder = Path(tempfile.mkdtemp())
    command = (
        "-c",
        "from phaseguide.cli import app; app()",
        "look-inside",
        str(open_sample(SAMPLE).image_path),
    )
    subprocess.run([sys.executable, *command, "--model", "uhcs", "--out", str(folder)], check=True)
    with Image.open(folder / f"{SAMPLE}_inside.png") as sheet:
        save_small(sheet.convert("RGB"), path)


def show_window(path: Path) -> None:
    """Look inside as a user does, with the base beside the image."""
    from napari import Viewer
    from napari._app_model import get_app_model
    from napari.qt import get_qapp
    from qtpy.QtCore import Qt

    from phaseguide.widgets.workbench.open import open_workbench

    app = get_qapp()
    viewer = Viewer(show=True, show_welcome_screen=False)
    viewer.theme = "dark"
    image = viewer.open_sample("napari-phaseguide", SAMPLE)[0]
    workbench = open_workbench(viewer)
    dock, widget = workbench.parent(), workbench.segment
    viewer.window.resize(*WINDOW)
    viewer.window._qt_window.resizeDocks([dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)
    pump(app, 2)
    viewer.layers.selection.active = image
    get_app_model().commands.execute_command("napari-phaseguide.look_inside").result()
    wait(app, widget.tools.inside)
    widget.tools.inside.beside.setChecked(True)
    pump(app, 2)
    widget.panel.reveal(widget.tools.inside_fold)
    pump(app, 1)
    photograph(viewer, path)
    leave(app, viewer)


if __name__ == "__main__":
    main()
