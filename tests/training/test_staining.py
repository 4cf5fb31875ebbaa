"""Stains: grey changes by blob and by island, texture and labels stay, draws repeat with their seed."""

from __future__ import annotations

import pytest
import torch

from phaseguide.training.staining import stain_crops


def crops(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, and two islands of one phase in another with a strip that carries none."""
    images = torch.randn(3, channels, 64, 96, generator=torch.Generator().manual_seed(7)) * 0.3
    labels = torch.ones(3, 64, 96, dtype=torch.long)
    labels[:, 8:40, 8:40] = labels[:, 8:40, 56:88] = 2
    labels[:, 60:] = 0
    return images, labels


def stained(share: float, seed: int, channels: int = 1) -> torch.Tensor:
    return stain_crops(*crops(channels), share, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_changes_and_texture_stays(channels: int) -> None:
    before, _ = crops(channels)
    after = stained(1.0, 0, channels)
    assert after.shape == before.shape and bool(torch.isfinite(after).all())
    assert float((after - before).abs().mean()) > 0.02
    for one, other in zip(before, after, strict=True):
        together = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))
        assert float(together[0, 1]) > 0.5


def test_no_share_no_stain() -> None:
    assert torch.equal(stained(0.0, 0), crops()[0])


def test_same_seed_same_stains_other_seed_others() -> None:
    assert torch.equal(stained(0.7, 3), stained(0.7, 3))
    assert not torch.equal(stained(0.7, 3), stained(0.7, 4))


def test_crops_without_a_label_are_no_trouble() -> None:
    images, labels = crops()
    after = stain_crops(images, torch.zeros_like(labels), 1.0, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(after).all())
