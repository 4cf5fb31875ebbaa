"""An image in the network: encoded once in tiles, decoded for any ratio, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from phaseguide.models.backbones.base import Features
from phaseguide.models.card import ViewCard
from phaseguide.models.metal import Metal
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.segmenter import GuidedSegmenter, normalise_image
from phaseguide.segmentation.network.device import Device, computes_bfloat16
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
from phaseguide.segmentation.network.embeddings import Embeddings
from phaseguide.segmentation.network.scratch import copy_beside, release, scratch_array
from phaseguide.segmentation.network.tiling import Tile, blend_windows, plan_tiles

_BYTES_A_PIXEL = 6
FLIP_AXES: dict[str, tuple[int, ...]] = {"none": (), "x": (-1,), "y": (-2,), "xy": (-2, -1)}


class EncodedImage:
    """Features of an image, tile by tile and view by view.

    Parameters
    ----------
    segmenter : GuidedSegmenter
        In evaluation mode.
    metal : Metal
        Of an image with the segmenter's channels. Only its window is encoded; outside, all scores are 0.
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
        Budget in bytes for what grows with the image. Features beyond it are dropped and made again
        when needed; scores beyond it go to a memory-mapped scratch file.
    folder : EmbeddingFolder, optional
        Where features and scores without a ratio are kept on disk, and looked for; None: nowhere.

    Attributes
    ----------
    embeddings : Embeddings
        The features; those in memory are shared with other sessions on the same image.
    """

    def __init__(
        self,
        segmenter: GuidedSegmenter,
        metal: Metal,
        device: Device,
        *,
        tile: int,
        overlap: int,
        views: Sequence[ViewCard],
        invert: bool,
        memory: int,
        folder: EmbeddingFolder | None = None,
    ) -> None:
        self.segmenter = segmenter.to(device.torch_device).to(memory_format=torch.channels_last)
        self.metal, self.pixels, self.device = metal, metal.pixels, device
        self.height, self.width = self.pixels.shape[:2]
        self.overlap, self.invert, self.memory = overlap, invert, memory
        self.limits = metal.limits
        self.views = tuple(views)
        # A zoomed view makes a tile larger in the network; the limit holds there.
        side = max(overlap + 32, round(tile / max(1.0, *(view.zoom for view in self.views))))
        (height, width), (rows, columns) = metal.seen.shape[:2], metal.window
        tiles = plan_tiles(height, width, side, overlap)
        self._windows = blend_windows(tiles, height, width, overlap)
        self.tiles = [tile.moved(rows.start, columns.start) for tile in tiles]
        self._first_view: dict[int, NDArray[np.float32]] = {}
        self._first_view_bytes = 0
        # What else grows with the image is taken off: its pixels, label maps, masks of a step.
        self._room = self.memory // 2 - _BYTES_A_PIXEL * self.height * self.width
        self.embeddings = Embeddings(
            self.segmenter,
            self.pixels,
            limits=self.limits,
            invert=invert,
            device=device.kind,
            precision=self._precision_name(),
            room=self._room,
            folder=folder,
        )

    def scores(
        self,
        ratios: NDArray[np.float64] | None,
        on_tile: Callable[[Tile, NDArray[np.float32]], None] | None = None,
    ) -> Generator[tuple[int, int], None, NDArray[np.float32]]:
        """Decode the whole image; yields (views done, views in all) and returns the scores.

        They are mean logits over views, blended over tiles: float32, (K, H, W). ``ratios``, (T, K), is one complete
        ratio a tile, or None for none; ``on_tile`` is called with each tile and its scores (K, h, w) before blending.
        """
        # Another session on the same model may have moved it meanwhile.
        self.segmenter.to(self.device.torch_device)
        total = self._allocate((len(self.segmenter.scheme), self.height, self.width))
        steps, done = len(self.tiles) * len(self.views), 0
        for index, tile in enumerate(self.tiles):
            kept = self.embeddings.scores(tile, self.views) if ratios is None else None
            if kept is not None:
                logits = kept
                done += len(self.views)
                yield done, steps
            else:
                mean: NDArray[np.float32] | None = None
                for number in range(len(self.views)):
                    features = self._features(tile, number)
                    view = self._decoded(features, tile, number, None if ratios is None else ratios[index])
                    mean = view if mean is None else mean + view
                    done += 1
                    yield done, steps
                assert mean is not None
                logits = mean / np.float32(len(self.views))
                if ratios is None:
                    self.embeddings.keep_scores(tile, self.views, logits)
            if on_tile is not None:
                on_tile(tile, logits)
            down, across = self._windows[index]
            weight = down[:, None] * across
            for whole, part in zip(total, logits, strict=True):
                whole[tile.window] += part * weight
            release(total)
        return total

    def conditioned(
        self,
        ratios: NDArray[np.float64] | None,
        plain: NDArray[np.float32],
        focus: tuple[slice, slice] | None = None,
        look: Callable[[NDArray[np.float32]], None] = lambda _: None,
        prompts: Prompts | None = None,
    ) -> Generator[tuple[int, int], None, NDArray[np.float32]]:
        """Decode with a ratio, or prompts, or both; yields (tiles done, tiles in all) and returns the scores.

        What they change is taken from the first view alone and added to the scores without them:
        a change then costs one pass of the decoder and not one a view. Without a ratio only tiles that have
        prompts are decoded.

        Parameters
        ----------
        ratios : ndarray, shape (T, K), or None
            One complete ratio a tile; None for no ratio.
        plain : ndarray of float32, shape (K, H, W)
            What `scores` returned without a ratio.
        focus : (slice, slice), optional
            Tiles that touch these rows and columns come first.
        look : callable
            Called once with the scores, when those in ``focus`` are there.
        prompts : Prompts, optional
            In px of the image; each tile is shown what lies in it.

        Returns
        -------
        ndarray of float32, shape (K, H, W)
        """
        self.segmenter.to(self.device.torch_device)
        total = copy_beside(plain)
        shown = [self._prompts_of(tile, prompts) for tile in self.tiles]
        todo = [i for i in range(len(self.tiles)) if ratios is not None or shown[i] is not None]
        late = [i for i in todo if focus is not None and not _touches(self.tiles[i], focus)]
        order = [i for i in todo if i not in set(late)] + late
        for done, index in enumerate(order, start=1):
            tile = self.tiles[index]
            features = self._features(tile, 0)
            ratio = None if ratios is None else ratios[index]
            change = self._decoded(features, tile, 0, ratio, shown[index])
            change = change - self._unguided(index, tile, features)
            down, across = self._windows[index]
            weight = down[:, None] * across
            for whole, part in zip(total, change, strict=True):
                whole[tile.window] += part * weight
            if done == len(order) - len(late):
                look(total)
            release(total)
            yield done, len(order)
        return total

    def _unguided(self, index: int, tile: Tile, features: Features) -> NDArray[np.float32]:
        """Scores of a tile's first view without a ratio; kept as far as the budget goes."""
        kept = self._first_view.get(index)
        if kept is None:
            kept = self._decoded(features, tile, 0, None)
            if self._kept_bytes + kept.nbytes <= self._room:
                self._first_view[index] = kept
                self._first_view_bytes += kept.nbytes
        return kept

    @property
    def _kept_bytes(self) -> int:
        return self.embeddings.held + self._first_view_bytes

    def grey(self, rows: slice) -> NDArray[np.float32]:
        """Rows of the window as the network sees them, colours averaged; shape (rows, w)."""
        planes = normalise_image(self.metal.seen[rows], self.limits, invert=self.invert)
        grey: NDArray[np.float32] = planes[0] if len(planes) == 1 else planes.mean(axis=0)
        return grey

    def _allocate(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        # Five arrays are kept at most: without a ratio and with one, both calibrated, and one smoothed (with
        # boxes and points, which go to networks with tiles, one or two more).
        fits = 5 * 4 * int(np.prod(shape)) <= self.memory // 2
        return np.zeros(shape, dtype=np.float32) if fits else scratch_array(shape)

    def _prompts_of(self, tile: Tile, prompts: Prompts | None) -> Prompts | None:
        """What of the prompts lies in a tile, as its first view shows it; None for nothing."""
        inside = None if prompts is None else prompts.within(tile.top, tile.left, tile.height, tile.width)
        if inside is None or not len(inside):
            return None
        view = self.views[0]
        height, width = (max(2, round(n * view.zoom)) for n in (tile.height, tile.width))
        return inside.scaled(view.zoom).flipped(height, width, FLIP_AXES[view.flip])

    def _decoded(
        self,
        features: Features,
        tile: Tile,
        number: int,
        ratio: NDArray[np.float64] | None,
        prompts: Prompts | None = None,
    ) -> NDArray[np.float32]:
        """Scores of one view of a tile, turned and scaled back."""
        given = None
        if ratio is not None:
            given = torch.as_tensor(ratio, dtype=torch.float32, device=self.device.torch_device)[None]
        size = (tile.height, tile.width)
        with torch.inference_mode(), self._precision():
            logits = self.segmenter.decode(features, given, prompts).float()
            logits = torch.flip(logits, FLIP_AXES[self.views[number].flip])
            if logits.shape[-2:] != size:
                logits = F.interpolate(logits, size=size, mode="bilinear")
        scores: NDArray[np.float32] = logits[0].cpu().numpy()
        return scores

    def _features(self, tile: Tile, number: int) -> Features:
        """Features of one view of a tile; kept as far as the budget goes."""
        view = self.views[number]
        room = self._room - self._first_view_bytes
        return self.embeddings.features(tile, view, lambda: self._encoded(tile, view), room)

    def _encoded(self, tile: Tile, view: ViewCard) -> Features:
        """Run the encoder on one view of a tile."""
        planes = normalise_image(self.pixels[tile.window], self.limits, invert=self.invert)
        with torch.inference_mode(), self._precision():
            image = torch.from_numpy(planes)[None].to(self.device.torch_device)
            if view.zoom != 1:
                size = [max(2, round(n * view.zoom)) for n in image.shape[-2:]]
                image = F.interpolate(image, size=size, mode="bilinear", antialias=view.zoom < 1)
            image = torch.flip(image, FLIP_AXES[view.flip]).contiguous(memory_format=torch.channels_last)
            return self.segmenter.encode(image)

    def _precision(self) -> AbstractContextManager[Any]:
        if not self.device.half:
            return nullcontext()
        name = self.segmenter.backbone.half_dtype
        if name == "bfloat16" and not computes_bfloat16(self.device.kind):
            return nullcontext()
        return torch.autocast(self.device.kind, dtype=getattr(torch, name))

    def _precision_name(self) -> str:
        kind = self.device.kind
        with self._precision():
            return str(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32)


def _touches(tile: Tile, window: tuple[slice, slice]) -> bool:
    """Whether a tile and a window of the image have pixels in common."""
    rows, columns = window
    return bool(
        tile.top < rows.stop
        and rows.start < tile.top + tile.height
        and tile.left < columns.stop
        and columns.start < tile.left + tile.width
    )
