"""Files that ``phaseguide train`` writes: told before the training what cannot be written, and never a lost model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from phaseguide.cli.shared.output import STANDARD_OUTPUT
from phaseguide.errors import ModelError, OutputError, PhaseguideError, TrainingError
from phaseguide.files.foreign import free_path

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter


def check_outputs(out: Path, json_target: str | None, checkpoint: Path | None) -> None:
    """Raise `PhaseguideError` now if a file that the run will write cannot be written."""
    from phaseguide.files.atomic import check_writable

    numbers = None if json_target in (None, STANDARD_OUTPUT) else Path(json_target)
    paths = [path for path in (out, numbers, checkpoint) if path is not None]
    if len({os.path.realpath(path).casefold() for path in paths}) < len(paths):
        raise TrainingError("--out, --json and --checkpoint must be different files. Choose other names.")
    for path in paths:
        check_writable(path)


def check_free(out: Path, overwrite: bool) -> None:
    """Make sure (`OutputError`) that a model may be written to a file: a free name, or with ``overwrite`` a model's."""
    from phaseguide.models.model_file import read_card

    if not os.path.lexists(out):
        return
    if not overwrite:
        raise OutputError(f"{out} exists already. Choose another --out, or add --overwrite.")
    try:
        if out.is_symlink():
            raise ModelError("a link")
        read_card(out)
    except ModelError as error:
        raise OutputError(
            f"{out}: is there already, and is no model of Phase Guide. It stays; choose another --out."
        ) from error


def save_or_rescue(out: Path, segmenter: GuidedSegmenter, card: Card, *, overwrite: bool = True) -> Card:
    """Save a trained model; where that fails, save it into the user's data folder and say so."""
    from phaseguide.folders import user_model_folder
    from phaseguide.models.model_file import save_model

    try:
        check_free(out, overwrite)  # once more: the training may have taken a night
        return save_model(out, segmenter, card)
    except PhaseguideError as error:
        rescued = free_path(user_model_folder() / "rescued" / out.name)
        try:
            save_model(rescued, segmenter, card)
        except PhaseguideError:
            raise error from None
        raise TrainingError(f"{error} The trained model is safe in {rescued}.") from error
