"""Keeping a fine-tuned model without a project: a new file among the user's models, never over another one."""

from __future__ import annotations

from pathlib import Path

from phaseguide.finetuning.events import FinetuneResult
from phaseguide.models.card import Card
from phaseguide.models.model_file import save_model
from phaseguide.models.zoo import SUFFIX, list_models


def free_name(folder: Path, name: str) -> str:
    """Return ``name``, or ``name-2``, ``name-3`` ... where a file or a known model has it already."""
    taken = {entry.name for entry in list_models()} | {path.stem for path in folder.glob(f"*{SUFFIX}")}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def keep(result: FinetuneResult, folder: Path, name: str) -> tuple[Path, Card]:
    """Save a fine-tuned model as a new file.

    Parameters
    ----------
    result : FinetuneResult
        Its card tells parent, data and settings.
    folder : Path
        Usually `phaseguide.models.zoo.user_model_folder`.
    name : str
        A number is added where it is taken.

    Returns
    -------
    tuple of Path and Card
        The file, and the card as stored.

    Raises
    ------
    PhaseguideError
        The file cannot be written; nothing is lost, the result can be kept elsewhere.
    """
    name = free_name(folder, name)
    path = folder / f"{name}{SUFFIX}"
    card = save_model(path, result.model.segmenter, result.model.card.model_copy(update={"name": name}))
    return path, card
