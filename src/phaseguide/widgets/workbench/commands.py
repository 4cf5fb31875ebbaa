"""The entries of napari's menus: each opens the workbench of the viewer at its step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phaseguide.widgets.workbench.open import open_workbench

if TYPE_CHECKING:
    import napari.viewer


def segment(viewer: napari.viewer.Viewer) -> None:
    """Segment phases."""
    open_workbench(viewer).show_step("segment")


def correct(viewer: napari.viewer.Viewer) -> None:
    """Correct a result."""
    open_workbench(viewer).show_step("correct")


def teach(viewer: napari.viewer.Viewer) -> None:
    """Fine-tune the model."""
    open_workbench(viewer).show_step("teach")


def new_material(viewer: napari.viewer.Viewer) -> None:
    """Begin with a material that no model knows."""
    open_workbench(viewer).show_part("new_material")


def report(viewer: napari.viewer.Viewer) -> None:
    """Take results along."""
    open_workbench(viewer).show_step("report")


def project(viewer: napari.viewer.Viewer) -> None:
    """Open a project."""
    open_workbench(viewer).show_part("project")


def point_count(viewer: napari.viewer.Viewer) -> None:
    """Count points."""
    open_workbench(viewer).show_part("point_count")


def models(viewer: napari.viewer.Viewer) -> None:
    """Manage models."""
    open_workbench(viewer).show_part("models")


def look_inside(viewer: napari.viewer.Viewer) -> None:
    """Look inside the model that is chosen, at the image that is chosen."""
    widget = open_workbench(viewer).segment
    widget.tools.inside_fold.expand()
    widget.panel.reveal(widget.tools.inside_fold)
    widget.tools.inside.look()
