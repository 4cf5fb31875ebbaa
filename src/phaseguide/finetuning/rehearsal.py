"""Crops that a shipped model was trained on, to be seen again while it learns something new."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from phaseguide.datasets.folder import open_dataset
from phaseguide.finetuning.sources import Source
from phaseguide.models.card import Card
from phaseguide.models.rephase import origin_by_name
from phaseguide.models.zoo import list_models


def rehearsal_folder() -> Path:
    """Folder with a data set of training crops for each shipped model."""
    return Path(str(files("phaseguide"))) / "rehearsal"


def shipped_rehearsal(card: Card) -> list[Source]:
    """Return the original training crops of a model or of the shipped model that it descends from.

    Labels are those of the card's phases: a phase that the model no longer has is not classified.
    """
    name = _shipped_name(card)
    folder = rehearsal_folder() / (name or "")
    if name is None or not folder.is_dir():
        return []
    dataset = open_dataset(folder)
    assert dataset.scheme is not None
    relabel = np.zeros(256, dtype=np.uint8)
    relabel[255] = 255
    for new, old in origin_by_name(dataset.scheme, card.scheme).items():
        relabel[list(old)] = new
    found = []
    for item in dataset.labelled().items:
        image = item.read_image().data
        labels = relabel[item.read_labels(dataset.scheme, (image.shape[0], image.shape[1]))]
        found.append(Source(f"rehearsal {item.stem}", image, labels, "full"))
    channels = card.backbone.in_channels
    return [s for s in found if (1 if s.image.ndim == 2 else s.image.shape[2]) == channels]


def root_checksum(card: Card) -> str:
    """Checksum of the tensors of the model that a model descends from; its own where it is not fine-tuned."""
    record: Any = card.training
    return str(record.get("root_sha256", "")) or card.tensors_sha256


def _shipped_name(card: Card) -> str | None:
    """Name of the shipped model that a model is, or descends from, whatever it is called now."""
    wanted = root_checksum(card)
    for entry in list_models():
        if entry.origin == "built-in" and entry.card is not None and entry.card.tensors_sha256 == wanted:
            return entry.name
    return None
