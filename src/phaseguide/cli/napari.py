"""``phaseguide napari``: napari in a process of its own, with the workbench docked, or with a project open."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from phaseguide.errors import PhaseguideError

OPEN_QT = "from qtpy.QtWidgets import QApplication; QApplication([])"
LONGEST_TRY_S = 20  # Qt may have to be read from a slow disk
PROJECT_FILE = "project.json"
HOW_TO_INSTALL = 'Install it with: pip install "napari-phaseguide[all]"'


def start_napari(
    image: Annotated[Path | None, typer.Argument(metavar="[IMAGE]", help="Image to open.")] = None,
    project: Annotated[
        Path | None, typer.Option("--project", metavar="DIR", help="Open this project folder.")
    ] = None,
) -> None:
    """Open napari with Phase Guide docked, and with a project if one is given.

    \b
    [bold]Examples[/bold]
      phaseguide napari
      phaseguide napari steel.tif
      phaseguide napari --project heat-treatment
    """  # noqa: D301
    if not napari_is_installed():
        raise PhaseguideError(f"napari is not installed. {HOW_TO_INSTALL}")
    if image is not None and not image.exists():
        raise PhaseguideError(f"{image}: there is no such file. Check the path.")
    if project is not None:
        if not (project / PROJECT_FILE).is_file():
            raise PhaseguideError(
                f"{project}: is no project folder (it has no {PROJECT_FILE}). Make one with: phaseguide project "
                "create, or in napari: Phase Guide, step Image, Project."
            )
        images = [] if image is None else [str(image)]
        run_python("-m", "phaseguide.widgets.project_start", str(project), *images)
        return
    files = [] if image is None else [str(image)]
    run_python("-m", "napari", *files, "-w", "napari-phaseguide", "Phase Guide")


def napari_is_installed() -> bool:
    """Whether napari can be started; looks for it without importing it."""
    return importlib.util.find_spec("napari") is not None


def has_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether windows can be opened here.

    Under X and Wayland a process of its own tries it, since a variable may outlive its server, and Qt
    ends the process where the server does not answer or one of its libraries is missing.
    """
    if environment.get("QT_QPA_PLATFORM", "").partition(":")[0] in ("offscreen", "minimal"):
        return False  # Qt would open windows there that nobody sees, and nobody could close
    if platform in ("win32", "darwin"):
        return True
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return False
    try:
        tried = subprocess.run(
            [sys.executable, "-c", OPEN_QT],
            env=dict(environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_TRY_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def run_python(*arguments: str) -> None:
    """Run Python in a process of its own and leave with its exit code if it is not 0."""
    code = subprocess.run([sys.executable, *arguments], check=False).returncode
    if code:
        raise typer.Exit(code if code > 0 else 128 - code)
