"""What Segment Anything starts from in a study: official weights, or random ones that only prove the path."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from phaseguide.errors import ModelError
from phaseguide.files.atomic import write_bytes
from phaseguide.models.sam.download import WEIGHTS_VARIABLE
from phaseguide.models.sam.shapes import find_shape
from phaseguide.models.sam.weights import find_official
from phaseguide.studies.networks.run import FOLDER
from phaseguide.studies.study import Given

TINY = "vit_tiny"
RANKS = {"small": 4, "full": 512}
"""Of the adapters where a study does not compare ranks: as published in full."""

RANDOM = "random base: it proves the path, its scores say nothing"


def marked(name: str, what: str) -> str:
    """Return the name of a condition as tables and figures have it: one that is described as such has a random base."""
    return f"{name} (random base)" if RANDOM in what else name


@dataclass(frozen=True)
class SamBase:
    """Encoder and settings of adapters on it, and whether its weights are random."""

    encoder: str
    base: str
    random: bool

    def settings(self, rank: int) -> dict[str, Any]:
        """Return the settings of a network with adapters of a rank."""
        return {
            "architecture": "sam",
            "encoder": self.encoder,
            "decoder": {"head": "mask"},
            "adapter": {"rank": rank, **({"base": self.base} if self.base else {})},
            "encoder_weights": "base",
        }

    @property
    def note(self) -> str:
        """What a table has to say of it."""
        return f", {RANDOM}" if self.random else ""


def base_for(given: Given, conditions: Collection[str]) -> AbstractContextManager[SamBase]:
    """Use official weights of ViT-B where they are on this computer, else random ones, while this lasts.

    Random weights are of the full shape only in full size; they are written (seed 0) beside the networks where one of
    the conditions is to be trained, and not for a report.
    """
    official = True
    try:
        find_official("vit_b")
    except ModelError:
        official = False
    encoder = TINY if given.size == "small" and not official else "vit_b"
    asked = [name for name in conditions if given.conditions is None or name in given.conditions]
    if official or not asked:
        return nullcontext(SamBase(encoder, "", not official))
    if not given.train:
        there = _random_file(given.out / FOLDER, encoder)
        return nullcontext(SamBase(encoder, _sha256(there) if there.exists() else "", True))
    return _offered(given.out / FOLDER, encoder)


@contextmanager
def _offered(folder: Path, encoder: str) -> Iterator[SamBase]:
    """Have random weights in a folder found as base weights."""
    told = os.environ.get(WEIGHTS_VARIABLE)
    try:
        os.environ[WEIGHTS_VARIABLE] = str(folder)
        yield SamBase(encoder, _random(folder, encoder), True)
    finally:
        if told is None:
            del os.environ[WEIGHTS_VARIABLE]
        else:
            os.environ[WEIGHTS_VARIABLE] = told


def _random(folder: Path, shape: str) -> str:
    """Write random weights of a shape unless they are there; returns their checksum."""
    import torch

    from phaseguide.models.sam.checkpoint import build_official

    path = _random_file(folder, shape)
    if not path.exists():
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            model = build_official(find_shape(shape))
            for name, value in model.named_parameters():
                if "pos_embed" in name or "rel_pos" in name:
                    torch.nn.init.trunc_normal_(value, std=0.2)  # zeros would hide an error
        buffer = BytesIO()
        torch.save(model.state_dict(), buffer)
        write_bytes(path, buffer.getvalue())
    return _sha256(path)


def _random_file(folder: Path, shape: str) -> Path:
    return folder / f"random_{shape}.pth"


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
