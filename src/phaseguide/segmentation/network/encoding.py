"""An image in the network: encoded once in tiles, decoded for any ratio, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.events import Notice, Progress
from phaseguide.models.backbones.base import Features
from phaseguide.models.card import ViewCard
from phaseguide.models.folding import folded
from phaseguide.models.metal import Metal
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.segmenter import GuidedSegmenter, normalise_image
from phaseguide.segmentation.network.device import Device, computes_bfloat16
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
from phaseguide.segmentation.network.embeddings import Embeddings
from phaseguide.segmentation.network.fast_cpu import SAMPLE_PX, OnnxError, OnnxNetwork, onnx_network
from phaseguide.segmentation.network.scratch import copy_beside, release, scratch_array
from phaseguide.segmentation.network.tiling import Tile, blend_windows, middle_of, plan_tiles
from phaseguide.segmentation.network.unsure import add_views, leads_of_cells, plan_places

_BYTES_A_PIXEL = 6
_STRIP = 1024  # rows a step
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
    unsure_below : float, optional
        See `phaseguide.models.card.InferenceCard`: the views after the first are then left to `second_look`.
    fold_norms : bool
        Whether the network runs with its normalisations folded, where it runs in single precision.
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
    onnx : OnnxNetwork or None
        Runs the network without a ratio where nobody has its features yet; None: torch does.
    ran : str
        What made the scores without a ratio: ``torch``, or ``onnxruntime`` and its version.
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
        unsure_below: float | None = None,
        fold_norms: bool = False,
        folder: EmbeddingFolder | None = None,
    ) -> None:
        self.segmenter = segmenter.to(device.torch_device).to(memory_format=torch.channels_last)
        self._network = self.segmenter
        self._folds = fold_norms and not device.half
        self.metal, self.pixels, self.device = metal, metal.pixels, device
        self.height, self.width = self.pixels.shape[:2]
        self.overlap, self.invert, self.memory = overlap, invert, memory
        self.limits = metal.limits
        self.views = tuple(views)
        self.unsure_below = unsure_below if len(self.views) > 1 else None
        self.first_views = self.views if self.unsure_below is None else self.views[:1]
        # A zoomed view makes a tile larger in the network; the limit holds there.
        side = max(overlap + 32, round(tile / max(1.0, *(view.zoom for view in self.views))))
        self._side = side
        (height, width), (rows, columns) = metal.seen.shape[:2], metal.window
        tiles = plan_tiles(height, width, side, overlap)
        self._windows = blend_windows(tiles, height, width, overlap)
        self.tiles = [tile.moved(rows.start, columns.start) for tile in tiles]
        self._first_view: dict[int, NDArray[np.float32]] = {}
        self._first_view_bytes = 0
        self.onnx: OnnxNetwork | None = None
        self.ran = "torch"
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

    def take_onnx(self, wish: str) -> Generator[Progress | Notice, None, None]:
        """Let ONNX Runtime run the network without a ratio where it can; ``wish`` as in `onnx_network`."""
        self.onnx = yield from onnx_network(
            self.segmenter,
            wish,
            self.device,
            keeps_features=self.embeddings.on_disk,
            shape=self.metal.seen.shape[:2],
            sample=lambda: self._shown(middle_of(self.metal.window, SAMPLE_PX), self.views[0]),
        )

    def release(self) -> None:
        """Give back the memory that ONNX Runtime keeps from one view to the next."""
        if self.onnx is not None:
            self.onnx.release(self.segmenter.in_channels)

    def scores(
        self,
        ratios: NDArray[np.float64] | None,
        on_tile: Callable[[Tile, NDArray[np.float32]], None] | None = None,
    ) -> Generator[tuple[int, int], None, NDArray[np.float32]]:
        """Decode the whole image; yields (views done, views in all) and returns the scores.

        They are mean logits over views (without those of a `second_look`), blended over tiles: float32, (K, H, W).
        ``ratios``, (T, K), is one complete ratio a tile, or None for none; ``on_tile`` is called with each tile and its
        scores (K, h, w) before blending.
        """
        self._get_ready()
        total = self._allocate((len(self.segmenter.scheme), self.height, self.width))
        views = self.first_views
        steps, done = len(self.tiles) * len(views), 0
        for index, tile in enumerate(self.tiles):
            kept = self.embeddings.scores(tile, views) if ratios is None else None
            if kept is not None:
                logits = kept
                done += len(views)
                yield done, steps
            else:
                mean: NDArray[np.float32] | None = None
                ratio = None if ratios is None else ratios[index]
                for number in range(len(views)):
                    if ratio is None and not self._wants_features(tile, number):
                        view = self._fresh(tile, number)
                    else:
                        view = self._decoded(self.features(tile, number), tile, number, ratio)
                    mean = view if mean is None else mean + view
                    done += 1
                    yield done, steps
                assert mean is not None
                logits = mean / np.float32(len(views))
                if ratios is None:
                    self.embeddings.keep_scores(tile, views, logits)
            if on_tile is not None:
                on_tile(tile, logits)
            down, across = self._windows[index]
            weight = down[:, None] * across
            for whole, part in zip(total, logits, strict=True):
                whole[tile.window] += part * weight
            release(total)
        return total

    def second_look(self, total: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
        """Show the network the views after the first where that was unsure; yields (places done, places in all).

        Places are chosen in the whole image, not in tiles, and fade out around unsure cells: no border shows.

        Parameters
        ----------
        total : ndarray of float32, shape (K, H, W)
            What `scores` returned; changed in place.
        """
        assert self.unsure_below is not None
        kept = [self.embeddings.scores(tile, self.views, self.unsure_below) for tile in self.tiles]
        if all(one is not None for one in kept):
            for tile, scores in zip(self.tiles, kept, strict=True):
                total[:, *tile.window] = scores
            return
        self._get_ready()
        rows, columns = self.metal.window
        seen = total[:, rows, columns]
        phases, height, width = seen.shape
        leads = leads_of_cells(seen, self.metal.excluded)
        places = plan_places(leads, self.unsure_below, height, width, self._side, self.views[1])
        found = self._allocate((phases, height, width))
        weights = np.zeros((height, width), dtype=np.float32)
        for done, place in enumerate(places):
            yield done, len(places)
            weight = place.down[:, None] * place.across
            weights[place.tile.window] += weight
            tile = place.tile.moved(rows.start, columns.start)
            for number in range(1, len(self.views)):
                scores = self._fresh(tile, number)
                for whole, part in zip(found, scores, strict=True):
                    whole[place.tile.window] += part * weight
            release(found)
        for top in range(0, height, _STRIP):
            strip = slice(top, top + _STRIP)
            add_views(seen[:, strip], found[:, strip], weights[strip], len(self.views) - 1)
            release(total)
            release(found)
        for tile in self.tiles:
            self.embeddings.keep_scores(tile, self.views, np.array(total[:, *tile.window]), self.unsure_below)
        yield len(places), len(places)

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
        self._get_ready()
        total = copy_beside(plain)
        shown = [self._prompts_of(tile, prompts) for tile in self.tiles]
        todo = [i for i in range(len(self.tiles)) if ratios is not None or shown[i] is not None]
        late = [i for i in todo if focus is not None and not self.tiles[i].touches(focus)]
        order = [i for i in todo if i not in set(late)] + late
        for done, index in enumerate(order, start=1):
            tile = self.tiles[index]
            features = self.features(tile, 0)
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

    def _get_ready(self) -> None:
        """Put the network where it works: another session may have moved it meanwhile, or somebody trained it."""
        self.segmenter.to(self.device.torch_device)
        self._network = self.segmenter
        if self._folds:
            self._network = folded(self.segmenter).to(self.device.torch_device)

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
        with torch.inference_mode(), self._precision():
            logits = self._network.decode(features, given, prompts).float()
        return self._turned_back(logits, tile, number)

    def _turned_back(self, logits: Tensor, tile: Tile, number: int) -> NDArray[np.float32]:
        """Scores of one view of a tile as the image lies."""
        size = (tile.height, tile.width)
        with torch.inference_mode():
            logits = torch.flip(logits, FLIP_AXES[self.views[number].flip])
            if logits.shape[-2:] != size:
                logits = F.interpolate(logits, size=size, mode="bilinear")
            scores: NDArray[np.float32] = logits[0].cpu().numpy()
        return scores

    def _wants_features(self, tile: Tile, number: int) -> bool:
        """Whether torch makes the scores of a view without a ratio, and its features are kept."""
        return self.onnx is None or self.embeddings.at_hand(tile, self.views[number : number + 1])

    def _fresh(self, tile: Tile, number: int) -> NDArray[np.float32]:
        """Scores of one view of a tile without a ratio, whose features are not kept."""
        self.embeddings.made += 1
        image = self._shown(tile, self.views[number])
        if self.onnx is not None:
            try:
                logits = self.onnx.scores(image)
                self.ran = self.onnx.name
                return self._turned_back(logits, tile, number)
            except OnnxError as error:
                self.onnx = None
                self.embeddings.notices.append(str(error))
        with torch.inference_mode(), self._precision():
            features = self._network.encode(image)
        return self._decoded(features, tile, number, None)

    def features(self, tile: Tile, number: int) -> Features:
        """Features of one view of a tile; kept as far as the budget goes."""
        view = self.views[number]
        room = self._room - self._first_view_bytes
        return self.embeddings.features(tile, view, lambda: self._encoded(tile, view), room)

    def _encoded(self, tile: Tile, view: ViewCard) -> Features:
        """Run the encoder on one view of a tile."""
        with torch.inference_mode(), self._precision():
            return self._network.encode(self._shown(tile, view))

    def _shown(self, tile: Tile, view: ViewCard) -> Tensor:
        """One view of a tile as the network gets it."""
        planes = normalise_image(self.pixels[tile.window], self.limits, invert=self.invert)
        with torch.inference_mode(), self._precision():
            image = torch.from_numpy(planes)[None].to(self.device.torch_device)
            if view.zoom != 1:
                size = [max(2, round(n * view.zoom)) for n in image.shape[-2:]]
                image = F.interpolate(image, size=size, mode="bilinear", antialias=view.zoom < 1)
            return torch.flip(image, FLIP_AXES[view.flip]).contiguous(memory_format=torch.channels_last)

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
            name = str(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32)
        return f"{name} folded" if self._folds else name
