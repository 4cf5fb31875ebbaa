"""Whether the base weights of a model seem to be here, told in a moment: no file of weights is read for it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from phaseguide.errors import ModelError
from phaseguide.models.sam.checksums import known_checksum, read_index
from phaseguide.models.sam.places import official_files, own_files, size_of_checksum

if TYPE_CHECKING:
    from phaseguide.models.card import Card


def named_base(card: Card) -> str:
    """Return the checksum of the base that a model needs; empty if it needs none."""
    adapter = card.backbone.adapter
    return "" if adapter.get("merged") else str(adapter.get("base", ""))


def is_sam(card: Card) -> bool:
    """Whether a model is one of Segment Anything, merged or not."""
    return card.backbone.architecture == "sam"


def base_title(sha256: str, encoder: str) -> str:
    """Name base weights as people do: ``SAM ViT-B weights``; those that are not official with their checksum."""
    title = f"SAM {size_title(size_of_checksum(sha256) or encoder)} weights"
    return title if size_of_checksum(sha256) is not None else f"{title} (checksum {sha256[:12]}...)"


def size_title(size: str) -> str:
    """``ViT-B`` for ``vit_b``."""
    name = size.removeprefix("vit_")
    return f"ViT-{name.upper() if len(name) == 1 else name}"


def seems_there(sha256: str) -> bool:
    """Whether a file with a checksum is known, or there is one that could be it and was never read."""
    size, index = size_of_checksum(sha256), read_index()
    for file in own_files() if size is None else official_files(size):
        with suppress(ModelError):
            if known_checksum(file, index) in (sha256, None):
                return True
    return False


def missing_base(card: Card) -> str:
    """Return what a model lacks, such as ``needs SAM ViT-B weights``; empty if it seems to have all."""
    sha256 = named_base(card)
    if not sha256 or seems_there(sha256):
        return ""
    return f"needs {base_title(sha256, card.backbone.encoder)}"
