"""Keeping a fine-tuned model without a project: a new file among the user's models, never over another one."""

from __future__ import annotations

from pathlib import Path

from phaseguide.finetuning.events import FinetuneResult
from phaseguide.models.card import Card
from phaseguide.models.model_file import model_bytes
from phaseguide.models.new_file import write_new
from phaseguide.models.zoo import SUFFIX, check_name, free_name


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
        No model can have that name, or the file cannot be written; nothing is lost, the result can be kept
        elsewhere.
    """
    check_name(name)
    name = free_name(name)
    while (path := folder / f"{name}{SUFFIX}").exists():  # the folder may be another than the user's
        name = f"{name}-2"
    card = result.model.card.model_copy(update={"name": name})
    data, card = model_bytes(result.model.segmenter, card)
    write_new(path, data)
    return path, card
