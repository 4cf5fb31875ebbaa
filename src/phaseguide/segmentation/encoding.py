"""An image in the network: encoded once in tiles, decoded for any ratio, within a memory budget."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from phaseguide.errors import DeviceError
from phaseguide.models.backbones import Features
from phaseguide.models.card import ViewCard
from phaseguide.models.segmenter import GuidedSegmenter, intensity_limits, normalise_image
from phaseguide.segmentation.device import Device
from phaseguide.segmentation.tiling import Tile, blend_window, plan_tiles

FLIP_AXES: dict[str, tuple[int, ...]] = {"none": (), "x": (-1,), "y": (-2,), "xy": (-2, -1)}


class EncodedImage:
    """Features of an image, tile by tile and view by view.

    Parameters
    ----------
    segmenter : GuidedSegmenter
        In evaluation mode.
    pixels : ndarray, shape (H, W) or (H, W, C)
        C equals the segmenter's channels.
    device : Device
    tile : int
        Largest side that is encoded at once, px; a multiple of 32.
    overlap : int
        Overlap of neighbouring tiles, px.
    views : sequence of ViewCard
        Mirrored and zoomed copies of the image whose scores are averaged.
    invert : bool
        See `normalise_image`.
    memory : int
        Budget in bytes for features and scores together. Features beyond it are dropped and made
        again when needed; scores beyond it go to a memory-mapped scratch file.
    """

    def __init__(
        self,
        segmenter: GuidedSegmenter,
        pixels: NDArray[Any],
        device: Device,
        *,
        tile: int,
        overlap: int,
        views: Sequence[ViewCard],
        invert: bool,
        memory: int,
    ) -> None:
        self.segmenter = segmenter.to(device.torch_device).to(memory_format=torch.channels_last)
        self.pixels, self.device = pixels, device
        self.height, self.width = pixels.shape[:2]
        self.overlap, self.invert, self.memory = overlap, invert, memory
        self.limits = intensity_limits(pixels)
        self.views = tuple(views)
        # A zoomed view makes a tile larger in the network; the limit holds there.
        side = max(overlap + 32, round(tile / max(1.0, *(view.zoom for view in self.views))))
        self.tiles = plan_tiles(self.height, self.width, side, overlap)
        self._kept: dict[tuple[int, int], Features] = {}
        self._kept_bytes = 0
        self._scratch: list[Any] = []

    def scores(
        self,
        ratios: NDArray[np.float64] | None,
        on_tile: Callable[[Tile, NDArray[np.float32]], None] | None = None,
    ) -> Generator[tuple[int, int], None, NDArray[np.float32]]:
        """Decode the whole image; yields (views done, views in all) and returns the scores.

        Parameters
        ----------
        ratios : ndarray, shape (T, K), or None
            One complete ratio a tile; None for no ratio.
        on_tile : callable, optional
            Called with each tile and its scores (K, h, w) before blending.

        Returns
        -------
        ndarray of float32, shape (K, H, W)
            Mean logits over views, blended over tiles (the generator's return value).
        """
        # Another session on the same model may have moved it meanwhile.
        self.segmenter.to(self.device.torch_device)
        shape = (len(self.segmenter.scheme), self.height, self.width)
        total = self._allocate(shape)
        weight = np.zeros(shape[1:], dtype=np.float32) if len(self.tiles) > 1 else None
        steps, done = len(self.tiles) * len(self.views), 0
        for index, tile in enumerate(self.tiles):
            mean: NDArray[np.float32] | None = None
            for number in range(len(self.views)):
                view = self._view_scores(index, tile, number, None if ratios is None else ratios[index])
                mean = view if mean is None else mean + view
                done += 1
                yield done, steps
            assert mean is not None
            logits = mean / np.float32(len(self.views))
            if on_tile is not None:
                on_tile(tile, logits)
            if weight is None:
                total[:] = logits
            else:
                window = blend_window(tile, self.height, self.width, self.overlap)
                rows, columns = tile.window
                total[:, rows, columns] += logits * window
                weight[rows, columns] += window
        if weight is not None:
            for plane in total:
                plane /= weight
        return total

    def _allocate(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if 4 * int(np.prod(shape)) * 2 <= self.memory:
            return np.zeros(shape, dtype=np.float32)
        # The file has no name once it is open, so it vanishes with the array whatever happens.
        scratch = tempfile.TemporaryFile(prefix="phaseguide-scores-")  # noqa: SIM115
        self._reserve(scratch, 4 * int(np.prod(shape)))
        self._scratch.append(scratch)
        return np.memmap(scratch, dtype=np.float32, mode="w+", shape=shape)

    @staticmethod
    def _reserve(scratch: Any, size: int) -> None:
        """Claim the disk space now: a mapped file that outgrows the disk kills the process."""
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(scratch.fileno(), 0, size)
            else:
                scratch.truncate(size)
        except OSError as error:
            raise DeviceError(
                f"The scores of this image need {size / 1e9:.1f} GB of scratch space in "
                f"{tempfile.gettempdir()}, and there is not as much ({error.strerror}). Free some space, "
                "raise the memory budget, or crop the image."
            ) from error

    def _view_scores(
        self, index: int, tile: Tile, number: int, ratio: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        given = None
        if ratio is not None:
            given = torch.as_tensor(ratio, dtype=torch.float32, device=self.device.torch_device)[None]
        size = (tile.height, tile.width)
        with torch.inference_mode(), self._precision():
            features = self._features(index, tile, number)
            logits = self.segmenter.decode(features, given).float()
            logits = torch.flip(logits, FLIP_AXES[self.views[number].flip])
            if logits.shape[-2:] != size:
                logits = F.interpolate(logits, size=size, mode="bilinear")
        scores: NDArray[np.float32] = logits[0].cpu().numpy()
        return scores

    def _features(self, index: int, tile: Tile, number: int) -> Features:
        kept = self._kept.get((index, number))
        if kept is not None:
            return kept
        view = self.views[number]
        planes = normalise_image(self.pixels[tile.window], self.limits, invert=self.invert)
        image = torch.from_numpy(planes)[None].to(self.device.torch_device)
        if view.zoom != 1:
            size = [max(2, round(n * view.zoom)) for n in image.shape[-2:]]
            image = F.interpolate(image, size=size, mode="bilinear", antialias=view.zoom < 1)
        image = torch.flip(image, FLIP_AXES[view.flip]).contiguous(memory_format=torch.channels_last)
        features = self.segmenter.encode(image)
        size_bytes = features.nbytes()
        if self._kept_bytes + size_bytes <= self.memory // 2:
            self._kept[index, number] = features
            self._kept_bytes += size_bytes
        return features

    def _precision(self) -> AbstractContextManager[Any]:
        if self.device.half:
            return torch.autocast(self.device.kind, dtype=torch.float16)
        return nullcontext()
