"""Scores of one image: without a ratio, for one, and calibrated for matching; computed when wanted and kept."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DeviceError, is_out_of_memory
from phaseguide.events import Notice, Progress
from phaseguide.models.card import ViewCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import Ratio, ratio_from_labels
from phaseguide.segmentation.device import choose_device
from phaseguide.segmentation.encoding import EncodedImage
from phaseguide.segmentation.islands import smooth_scores
from phaseguide.segmentation.matching import argmax_labels
from phaseguide.segmentation.request import Preview
from phaseguide.segmentation.score_head import calibrated_image, recalibrated
from phaseguide.segmentation.tiling import Tile, tile_ratios

Scores = NDArray[np.float32]
Window = tuple[slice, slice]

SMALLEST_TILE = 256


class Scoring:
    """Scores of one image by one model.

    Parameters
    ----------
    model : LoadedModel
    pixels : ndarray, shape (H, W) or (H, W, C)
        C equals the model's channels.
    device : str
    tile, overlap : int
        See `Session`.
    views : sequence of ViewCard
    invert : bool
    memory : int
        Budget in bytes.
    name : str
        What to call the image in errors.
    """

    def __init__(
        self,
        model: LoadedModel,
        pixels: NDArray[Any],
        device: str,
        *,
        tile: int,
        overlap: int,
        views: Sequence[ViewCard],
        invert: bool,
        memory: int,
        name: str,
    ) -> None:
        self.model, self.pixels, self.name = model, pixels, name
        self.device = choose_device(device)
        self._options: dict[str, Any] = {
            "overlap": min(max(0, overlap), max(SMALLEST_TILE, tile) // 2),
            "views": views,
            "invert": invert,
            "memory": memory,
        }
        self._tile = max(SMALLEST_TILE, tile // 32 * 32)
        self.generation = 0
        self.forget()

    @property
    def views(self) -> Sequence[ViewCard]:
        """The views of the image that are averaged."""
        views: Sequence[ViewCard] = self._options["views"]
        return views

    @property
    def plain(self) -> Scores | None:
        """Scores without a ratio, (K, H, W); None before they were first wanted."""
        return self._plain

    def forget(self) -> None:
        """Drop everything that was computed; ``generation`` tells scores of before from those of after."""
        self.generation += 1
        self._encoded: EncodedImage | None = None
        self._plain: Scores | None = None
        self._tile_shares: NDArray[np.float64] | None = None
        self._conditioned: tuple[tuple[float, ...], Scores] | None = None
        self._smoothed: tuple[float, Scores] | None = None
        self._matchable: dict[bool, tuple[tuple[Any, ...], Scores]] = {}

    def without_ratio(self, excluded: NDArray[np.uint8] | None) -> Generator[Progress | Notice, None, Scores]:
        """Return the scores without a ratio, shape (K, H, W)."""
        while True:
            try:
                if self._plain is None:
                    self._plain = yield from self._encode(excluded)
                return self._plain
            except (RuntimeError, MemoryError) as error:
                yield Notice(self._fall_back(error))

    def with_ratio(
        self, imposed: Ratio, excluded: NDArray[np.uint8] | None, focus: Window | None = None
    ) -> Generator[Progress | Notice | Preview, None, Scores]:
        """Return the scores of the network conditioned on a ratio; tiles in ``focus`` come first.

        Out of memory falls back to smaller tiles and then to the CPU, with a notice.
        """
        while True:
            yield from self.without_ratio(excluded)
            try:
                return (yield from self._decode(imposed, excluded, focus))
            except (RuntimeError, MemoryError) as error:
                yield Notice(self._fall_back(error))

    def smoothed(self, sigma_px: float) -> Scores:
        """Return the scores without a ratio, smoothed; the last smoothing is kept."""
        assert self._plain is not None
        if not sigma_px:
            return self._plain
        if self._smoothed is None or self._smoothed[0] != sigma_px:
            self._smoothed = (sigma_px, smooth_scores(self._plain, sigma_px))
        return self._smoothed[1]

    def matchable(self, imposed: Ratio | None, sigma_px: float) -> Scores:
        """Return what ratio matching works on: calibrated where the model can, then smoothed.

        Parameters
        ----------
        imposed : ndarray, shape (K,), or None
            That of the last `with_ratio`, whose scores are then taken; None for those without a ratio.
        sigma_px : float
        """
        conditioned = imposed is not None
        scores: Scores | None = self._plain
        key: tuple[float, ...] = ()
        if conditioned:
            assert self._conditioned is not None
            key, scores = self._conditioned
        assert scores is not None and self._encoded is not None
        head = self.model.card.calibration.head
        if head is None and not sigma_px:
            return scores
        if head is None and not conditioned:
            return self.smoothed(sigma_px)
        kept = self._matchable.get(conditioned)
        if kept is None or kept[0] != (key, sigma_px):
            self._matchable.pop(conditioned, None)  # memory for the new one
            if head is not None and conditioned and not sigma_px:
                assert self._plain is not None
                scores = recalibrated(self._plain, self.matchable(None, 0.0), scores, head)
            elif head is not None:
                scores = calibrated_image(scores, self._encoded.grey, head)
            if sigma_px:
                scores = smooth_scores(scores, sigma_px)
            kept = ((key, sigma_px), scores)
            self._matchable[conditioned] = kept
        return kept[1]

    def _encode(self, excluded: NDArray[np.uint8] | None) -> Generator[Progress, None, Scores]:
        shares: list[Ratio] = []
        n_phases = len(self.model.card.scheme)

        def measure(tile: Tile, logits: Scores) -> None:
            labels = argmax_labels(logits, None if excluded is None else excluded[tile.window])
            known = ratio_from_labels(labels, n_phases)
            shares.append(np.full(n_phases, np.nan) if known is None else known)

        if self._encoded is None:
            self._encoded = EncodedImage(
                self.model.segmenter, self.pixels, self.device, tile=self._tile, **self._options
            )
        yield Progress("Encoding the image", 0, len(self._encoded.tiles) * len(self.views))
        work = self._encoded.scores(None, measure)
        while True:
            try:
                done, total = next(work)
            except StopIteration as end:
                plain: Scores = end.value
                break
            yield Progress("Encoding the image", done, total)
        self._tile_shares = np.array(shares)
        return plain

    def _decode(
        self, imposed: Ratio, excluded: NDArray[np.uint8] | None, focus: Window | None
    ) -> Generator[Progress | Preview, None, Scores]:
        key = tuple(imposed.tolist())
        if self._conditioned is not None and self._conditioned[0] == key:
            return self._conditioned[1]
        assert self._encoded is not None and self._plain is not None
        seen: list[Preview] = []

        def look(scores: Scores) -> None:
            if focus is not None:
                fixed = None if excluded is None else excluded[focus]
                seen.append(Preview(argmax_labels(scores[:, *focus], fixed), focus))

        ratios = self._ratios_of_tiles(imposed, excluded)
        self._conditioned = None  # memory for the new one
        work = self._encoded.conditioned(ratios, self._plain, focus, look)
        while True:
            try:
                done, total = next(work)
            except StopIteration as end:
                scores: Scores = end.value
                break
            if seen:
                yield seen.pop()
            yield Progress("Decoding with the ratio", done, total)
        self._conditioned = (key, scores)
        return scores

    def _ratios_of_tiles(self, imposed: Ratio, excluded: NDArray[np.uint8] | None) -> NDArray[np.float64]:
        """Give each tile its own ratio so that the whole has the imposed one."""
        assert self._encoded is not None and self._tile_shares is not None
        areas = np.array(
            [
                t.height * t.width - (0 if excluded is None else np.count_nonzero(excluded[t.window]))
                for t in self._encoded.tiles
            ],
            dtype=np.float64,
        )
        # A tile that is excluded altogether gets the ratio of the whole; its labels count nowhere.
        ratios = np.tile(imposed, (areas.size, 1))
        seen = (areas > 0) & ~np.isnan(self._tile_shares).any(1)
        if seen.any():
            ratios[seen] = tile_ratios(self._tile_shares[seen], areas[seen], imposed)
        return ratios

    def _fall_back(self, error: BaseException) -> str:
        """Make the next attempt smaller and say so, or raise."""
        import torch

        if not is_out_of_memory(error):
            raise error
        self.forget()
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        if self._tile > SMALLEST_TILE:
            fits = max(self.pixels.shape[:2])
            self._tile = max(SMALLEST_TILE, min(self._tile, fits) // 2 // 32 * 32)
            self._options["overlap"] = min(self._options["overlap"], self._tile // 4)
            return f"Out of memory on {self.device.name}; trying again with tiles of {self._tile} px."
        if self.device.kind != "cpu":
            self.device = choose_device("cpu")
            return "Out of memory on the GPU even with small tiles; going on with the CPU."
        raise DeviceError(
            f"Not enough memory for {self.name} even in tiles of {SMALLEST_TILE} px. Close other programs, "
            "or crop the image."
        ) from error


def excluded_only(edits: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Return of manual edits only what is excluded; None without edits."""
    return None if edits is None else np.where(edits == EXCLUDED, np.uint8(EXCLUDED), np.uint8(0))
