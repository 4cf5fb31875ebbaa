"""Models on their way: under another name, out as one file with a card that is filled in, and in again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from phaseguide.errors import ModelError
from phaseguide.files.new_file import write_new
from phaseguide.models.card import Card
from phaseguide.models.model_file import METADATA_KEY, check_card, check_model
from phaseguide.models.summary import without_folders
from phaseguide.models.zoo import SUFFIX, ZooEntry, add_model


@dataclass(frozen=True)
class ShareText:
    """What the receiver of a model should read in its card, in place of what that says now."""

    name: str
    description: str
    model_licence: str
    data_licence: str
    citation: str

    @classmethod
    def from_card(cls, card: Card) -> ShareText:
        """Return what a card says now."""
        return cls(card.name, card.description, card.model_licence, card.data_licence, card.citation)


def save_as(source: Path, name: str) -> ZooEntry:
    """Copy a model among the user's under another name, byte for byte; errors as of `add_model`."""
    return add_model(source, name)


def export_model(source: Path, target: Path) -> Path:
    """Write a copy of a model, byte for byte, so that its checksum stays that of the records; returns its path.

    The target is a new file, and gets its suffix where that is missing. Raises `ModelError` where the model is damaged,
    or there is a file of that name.
    """
    check_model(source)
    target = _with_suffix(target)
    write_new(target, _read(source))
    return target


def share_model(source: Path, target: Path, text: ShareText) -> Path:
    """Write a model as one file to hand over: the same weights, and a card that says what it is.

    Texts of the card that are paths of files lose their folders. Files and errors as of `export_model`; a description
    and a licence of the model are needed, and no text may be too long.
    """
    for value, what in (
        (text.description, "what it is for"),
        (text.model_licence, "the licence of the model"),
    ):
        if not value.strip():
            raise ModelError(f"{source.name}: say {what}; who gets the model has only its card to go by.")
    model = check_model(source)
    update = {key: value.strip() for key, value in asdict(text).items()}
    shared = model.card.model_copy(update={**update, "training": without_folders(model.card.training)})
    check_card(shared.model_dump())
    target = _with_suffix(target)
    write_new(target, with_card(_read(source), shared))
    return target


def with_card(data: bytes, card: Card) -> bytes:
    """Return the bytes of a sound model file with another card; its weights stay as they are.

    The file: 8 bytes with the length of the header, JSON header, tensors.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = {METADATA_KEY: json.dumps(card.model_dump(), sort_keys=True, ensure_ascii=False)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8, as safetensors writes them
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _with_suffix(path: Path) -> Path:
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}).") from error
