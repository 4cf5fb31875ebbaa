"""Tiles add up to the whole, features and scores stay within the budget, scratch files come and go."""

from __future__ import annotations

import gc
import re
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phaseguide.errors import DeviceError
from phaseguide.models.backbones.base import Features
from phaseguide.models.card import FOUR_FLIPS, ViewCard
from phaseguide.models.metal import find_metal
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.network import encoding, scratch
from phaseguide.segmentation.network.device import choose_device
from phaseguide.segmentation.network.encoding import EncodedImage
from phaseguide.segmentation.network.scratch import copy_beside, empty_beside, release, scratch_array
from phaseguide.segmentation.network.tiling import Tile

PLENTY = 1 << 30


class Pixelwise(nn.Module):
    """Looks at each pixel by itself, so that tiles can make no difference; the ratio is added."""

    scheme = PhaseScheme.from_names(("a", "b"))
    encoded = 0

    def encode(self, image: Tensor) -> Features:
        self.encoded += 1
        return Features([image.float()], *image.shape[-2:])

    def decode(self, features: Features, ratio: Tensor | None = None, prompts: None = None) -> Tensor:
        image = features.maps[0]
        logits = torch.cat([image, image**2], dim=1)
        return logits if ratio is None else logits + ratio[:, :, None, None]


def encode(shape: tuple[int, int] = (150, 220), memory: int = PLENTY, **options: Any) -> EncodedImage:
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    options = {"tile": 64, "overlap": 16, "views": (ViewCard(),), "invert": False} | options
    metal = find_metal(pixels, None)
    return EncodedImage(Pixelwise(), metal, choose_device("cpu"), memory=memory, **options)  # type: ignore[arg-type]


def run(work: Generator[Any, None, NDArray[np.float32]]) -> NDArray[np.float32]:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("views", [(ViewCard(),), FOUR_FLIPS])
def test_tiles_and_mirrored_views_of_a_pixelwise_net_add_up_to_the_whole(views: tuple[ViewCard, ...]) -> None:
    whole, tiled = encode(tile=512, views=views), encode(views=views)
    assert len(whole.tiles) == 1 and len(tiled.tiles) > 6
    np.testing.assert_allclose(run(tiled.scores(None)), run(whole.scores(None)), atol=1e-5)


def test_each_tile_is_decoded_with_its_own_ratio() -> None:
    tiled = encode((64, 96), overlap=32)
    assert len(tiled.tiles) == 2
    plain = run(tiled.scores(None))
    changed = run(tiled.conditioned(np.array([[0.0, 1.0], [1.0, 0.0]]), plain)) - plain
    np.testing.assert_allclose(changed[0], 1 - changed[1], atol=1e-5)
    np.testing.assert_allclose(changed[0][:, :32], 0, atol=1e-5)
    np.testing.assert_allclose(changed[0][:, 64:], 1, atol=1e-5)
    across = changed[0][0, 32:64]
    assert np.all(np.diff(across) > 0) and np.diff(across).max() < 0.1, "one ratio fades into the other"


def test_the_caller_sees_each_tile_before_blending() -> None:
    tiled = encode()
    seen: list[tuple[Tile, NDArray[np.float32]]] = []
    total = run(tiled.scores(None, lambda tile, logits: seen.append((tile, logits))))
    assert [tile for tile, _ in seen] == tiled.tiles
    for tile, logits in seen:
        np.testing.assert_allclose(logits, total[:, *tile.window], atol=1e-5)


class Doubtful(Pixelwise):
    """Sure of dark and bright pixels; a view that is enlarged shows it another score."""

    def decode(self, features: Features, ratio: Tensor | None = None, prompts: None = None) -> Tensor:
        image = features.maps[0]
        shift = 0.0 if features.width <= 400 else 0.1
        return torch.cat([20 * image + shift, -20 * image], dim=1)


TWICE = (ViewCard(), ViewCard(zoom=2.0, flip="xy"))


def doubtful(**options: Any) -> EncodedImage:
    """Sure at both sides, and unsure in a band in the middle."""
    pixels = np.zeros((128, 400), dtype=np.uint8)
    pixels[:, 200:] = 255
    pixels[:, 190:210] = 127
    options = {"tile": 1024, "overlap": 64, "views": TWICE, "invert": False, "memory": PLENTY} | options
    return EncodedImage(Doubtful(), find_metal(pixels, None), choose_device("cpu"), **options)  # type: ignore[arg-type]


def looked_twice(image: EncodedImage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    total = run(image.scores(None))
    first = total.copy()
    steps = list(image.second_look(total))
    assert [done for done, _ in steps] == list(range(steps[-1][1] + 1))
    return first, total


def test_a_second_look_changes_what_was_unsure_and_nothing_else() -> None:
    # The band is 300 px wide with its halo when it is enlarged, which `Doubtful` does not take for the whole.
    first, total = looked_twice(doubtful(unsure_below=0.9))
    everywhere = run(doubtful().scores(None))
    np.testing.assert_array_equal(total[:, :, :100], first[:, :, :100])
    np.testing.assert_array_equal(total[:, :, 300:], first[:, :, 300:])
    np.testing.assert_array_equal(run(doubtful(views=TWICE[:1]).scores(None)), first)
    assert np.abs(everywhere[1] - total[1]).max() < 0.5 < np.abs(first[1] - total[1]).max()


def test_a_second_look_at_everything_is_the_mean_of_all_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseguide.segmentation.network.unsure.MOST", 100.0)
    monkeypatch.setattr(encoding, "leads_of_cells", lambda *_: np.zeros((5, 7), dtype=np.float32))
    pixels = np.random.default_rng(0).integers(0, 255, (150, 220), dtype=np.uint8)
    for tile in (512, 200):
        options = {"tile": tile, "overlap": 32, "views": TWICE, "invert": False, "memory": PLENTY}
        made = [
            EncodedImage(Pixelwise(), find_metal(pixels, None), choose_device("cpu"), **options, **more)  # type: ignore[arg-type]
            for more in ({}, {"unsure_below": 0.999})
        ]
        _, total = looked_twice(made[1])
        np.testing.assert_allclose(total, run(made[0].scores(None)), atol=2e-2)


def test_a_second_look_gives_the_same_with_little_memory() -> None:
    _, plenty = looked_twice(doubtful(unsure_below=0.9))
    _, mapped = looked_twice(doubtful(unsure_below=0.9, memory=1))
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, plenty)


def test_features_beyond_the_budget_are_made_again() -> None:
    plain_bytes = 6 * 150 * 220
    rich, poor = encode(), encode(memory=2 * (plain_bytes + 40_000))
    for image in (rich, poor):
        run(image.scores(None))
        run(image.scores(None))
    assert rich.segmenter.encoded == len(rich.tiles)
    assert len(poor.tiles) < poor.segmenter.encoded < 2 * len(poor.tiles)
    assert poor._kept_bytes <= 40_000


def test_a_ratio_needs_each_tile_encoded_once_at_most() -> None:
    poor = encode(memory=1)
    plain = run(poor.scores(None))
    before = poor.segmenter.encoded
    run(poor.conditioned(np.full((len(poor.tiles), 2), 0.5), plain))
    assert poor.segmenter.encoded - before == len(poor.tiles)


def test_scores_beyond_the_budget_lie_in_a_scratch_file_and_are_the_same() -> None:
    rich, poor = encode(), encode(memory=1)
    plenty, mapped = run(rich.scores(None)), run(poor.scores(None))
    assert not isinstance(plenty, np.memmap) and isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, plenty)
    ratios = np.full((len(rich.tiles), 2), 0.5)
    guided = run(poor.conditioned(ratios, mapped))
    assert isinstance(guided, np.memmap)
    np.testing.assert_array_equal(guided, run(rich.conditioned(ratios, plenty)))
    np.testing.assert_array_equal(mapped, plenty)


def scratch_mappings() -> list[int]:
    """How many bytes of each scratch file count as memory of this process."""
    text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    name = re.escape(tempfile.gettempdir()) + r"/(?:#\d+|phaseguide-scores-\w+) \(deleted\)"
    return [1024 * int(kilobytes) for kilobytes in re.findall(name + r"\n(?:.*\n)*?Rss:\s+(\d+)", text)]


needs_proc = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells")


@needs_proc
def test_a_released_array_takes_no_memory_and_keeps_its_values() -> None:
    array = scratch_array((2, 500, 1000))
    array[1] = 3
    assert max(scratch_mappings()) >= 2_000_000
    release(array.reshape(-1))
    assert max(scratch_mappings()) == 0
    assert array[0].sum() == 0 and np.all(array[1] == 3)


@needs_proc
def test_a_scratch_file_goes_with_its_array() -> None:
    gc.collect()
    before = len(scratch_mappings())
    array = scratch_array((1, 10, 10))
    part = array[:, 2:]
    assert len(scratch_mappings()) == before + 1
    del array
    part[:] = 2
    assert len(scratch_mappings()) == before + 1
    del part
    gc.collect()
    assert len(scratch_mappings()) == before


def test_arrays_are_made_where_their_model_lies() -> None:
    plain = np.ones((2, 3, 4), np.float32)
    assert not isinstance(empty_beside(plain), np.memmap) and not isinstance(copy_beside(plain), np.memmap)
    mapped = scratch_array((2, 3, 4))
    mapped[:] = 5
    copy = copy_beside(mapped)
    assert isinstance(empty_beside(mapped), np.memmap) and isinstance(copy, np.memmap)
    copy[0] = 1
    assert np.all(mapped == 5) and np.all(copy[1] == 5)


def test_a_private_mapping_keeps_what_was_written(tmp_path: Path) -> None:
    np.zeros(5000, np.float32).tofile(tmp_path / "x")
    private = np.memmap(tmp_path / "x", np.float32, "c")
    private[:] = 7
    release(private)
    assert np.all(private == 7)
    release(np.zeros(3))


def test_a_full_disk_is_said_before_work_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.os, "posix_fallocate", full, raising=False)
    with pytest.raises(DeviceError, match="scratch space"):
        run(encode(memory=1).scores(None))
