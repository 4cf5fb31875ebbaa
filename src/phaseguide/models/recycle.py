"""The recycle folder: models that were deleted wait there until they are restored, or thrown away by hand."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.files.new_file import move_new
from phaseguide.folders import user_data_folder, user_model_folder
from phaseguide.models.card import Card
from phaseguide.models.model_file import read_card
from phaseguide.models.zoo import (
    SUFFIX,
    ZooEntry,
    check_name,
    list_models,
    user_model_path,
)

_STAMP = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class RecycledModel:
    """A deleted model: what it was called, where it waits, when it was deleted, and its card if that can be read."""

    name: str
    path: Path
    deleted: datetime
    card: Card | None


def recycle_folder() -> Path:
    """Folder of the deleted models, beside that of the user's models; one folder inside for each deletion."""
    return user_data_folder() / "recycle"


def recycle_model(name: str) -> RecycledModel:
    """Move a model of the user's to the recycle folder, or raise `ModelError`."""
    source = user_model_path(name)
    now = datetime.now().astimezone()
    stamp, number = now.strftime(_STAMP), 1
    target = recycle_folder() / stamp / source.name
    while os.path.lexists(target):
        number += 1
        target = recycle_folder() / f"{stamp}-{number}" / source.name
    move_new(source, target)
    return RecycledModel(name, target, now.replace(microsecond=0), _card(target))


def has_recycled() -> bool:
    """Whether any deleted model can be restored."""
    return any(not path.parent.is_symlink() for path in recycle_folder().glob(f"*/[!.]*{SUFFIX}"))


def list_recycled() -> list[RecycledModel]:
    """Deleted models, the latest first."""
    found = []
    for path in recycle_folder().glob(f"*/[!.]*{SUFFIX}"):
        if path.parent.is_symlink():  # what lies elsewhere was not deleted here
            continue
        with suppress(ValueError):  # a folder that somebody else made
            deleted = datetime.strptime(path.parent.name[:15], _STAMP).astimezone()
            found.append(RecycledModel(path.stem, path, deleted, _card(path)))
    return sorted(found, key=lambda model: model.deleted, reverse=True)


def restore_model(model: RecycledModel, name: str | None = None) -> ZooEntry:
    """Bring a deleted model back among the user's, under a new name if its own was given to another one meanwhile.

    Raises `ModelError` where the name is taken or cannot be one, or the file cannot be moved; the model stays recycled.
    """
    name = model.name if name is None else name
    check_name(name)
    if name in {entry.name for entry in list_models()}:
        raise ModelError(f"There is a model {name!r} already. Restore the deleted one under another name.")
    target = user_model_folder() / f"{name}{SUFFIX}"
    move_new(model.path, target)
    with suppress(OSError):  # the folder of this deletion, if nothing else lies in it
        model.path.parent.rmdir()
    card = _card(target)
    return ZooEntry(name, target, "user", "" if card is not None else "Its card cannot be read.", card)


def _card(path: Path) -> Card | None:
    try:
        return read_card(path)
    except ModelError:
        return None
