"""Weights of a tiny Segment Anything in the official file format, for tests; none of the real ones ships."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path

import pytest
import torch

from phaseguide.models.sam.checkpoint import build_official
from phaseguide.models.sam.shapes import find_shape


@cache
def base_bytes(size: str, seed: int) -> bytes:
    """Random weights as `segment_anything` would save them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_official(find_shape(size))
        for name, value in model.named_parameters():
            if "pos_embed" in name or "rel_pos" in name:
                torch.nn.init.trunc_normal_(value, std=0.2)  # zeros would hide an error
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


def write_base(folder: Path, size: str = "vit_tiny", *, seed: int = 0) -> tuple[Path, str]:
    """Write such a file; returns it and its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sam_{size}_{seed}.pth"
    path.write_bytes(base_bytes(size, seed))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def offer_base(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: str = "vit_tiny", *, seed: int = 0
) -> str:
    """Put such a file where bases are looked for, and return its sha256."""
    folder = tmp_path / "sam"
    _, sha256 = write_base(folder, size, seed=seed)
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(folder))
    return sha256
