"""Weights of a tiny Segment Anything in the official file format, for tests; none of the real ones ships."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from phaseguide.models.sam.checkpoint import build_official
from phaseguide.models.sam.shapes import find_shape


def write_base(folder: Path, size: str = "vit_tiny", *, seed: int = 0) -> tuple[Path, str]:
    """Write random weights as `segment_anything` would save them; returns the file and its sha256."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_official(find_shape(size))
        for name, value in model.named_parameters():
            if "pos_embed" in name or "rel_pos" in name:
                torch.nn.init.trunc_normal_(value, std=0.2)  # zeros would hide an error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sam_{size}_{seed}.pth"
    torch.save(model.state_dict(), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def offer_base(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: str = "vit_tiny", *, seed: int = 0
) -> str:
    """Put such a file where bases are looked for, and return its sha256."""
    folder = tmp_path / "sam"
    _, sha256 = write_base(folder, size, seed=seed)
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(folder))
    return sha256
