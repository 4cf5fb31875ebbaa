"""A model that was fitted to strokes is saved: among the user's models, or as a version of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from phaseguide.folders import user_model_folder
from phaseguide.jobs.keep_model import keep

if TYPE_CHECKING:
    from phaseguide.finetuning.strokes.classifier import StrokeModel
    from phaseguide.projects.project import Project


def save_strokes(fitted: StrokeModel, name: str, project: Project | None) -> Path:
    """Save a fitted model: among the user's, or as a version of a project, which then uses it.

    Parameters
    ----------
    fitted : StrokeModel
    name : str
        A number is added where it is taken; a version has the name that the project gives it.
    project : Project or None

    Returns
    -------
    Path
        Its file.

    Raises
    ------
    PhaseguideError
        No model can have that name, or the file cannot be written; nothing is lost.
    """
    if project is None:
        return keep(fitted.model, user_model_folder(), name)[0]
    card = fitted.model.card
    version = project.add_version(
        fitted.model.segmenter,
        card,
        parent=str(card.training["parent"]),
        parent_sha256=str(card.training["parent_sha256"]),
        data_sha256=fitted.data_sha256,
        settings=card.training,
        before=None,
        after=None,
        note=name,
    )
    project.use(version.id)
    return Path(project.version_path(version.id))
