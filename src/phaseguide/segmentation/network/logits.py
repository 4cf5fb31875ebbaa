"""Scores of one image: without a ratio, for one, and calibrated for matching; computed when wanted and kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DeviceError, WeightsTooLargeError, is_out_of_memory
from phaseguide.events import Notice, Progress
from phaseguide.models.card import ViewCard
from phaseguide.models.metal import Metal
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.sam.prompts import Prompts
from phaseguide.ratios import Ratio, ratio_from_labels, shift_to_mean
from phaseguide.segmentation.matching.islands import smooth_scores
from phaseguide.segmentation.matching.match import Matcher, argmax_labels
from phaseguide.segmentation.network.device import choose_device
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
from phaseguide.segmentation.network.embeddings import MEMORY
from phaseguide.segmentation.network.encoding import EncodedImage
from phaseguide.segmentation.network.refining import refine_scores
from phaseguide.segmentation.network.score_head import calibrated_image, recalibrated
from phaseguide.segmentation.network.scratch import empty_beside
from phaseguide.segmentation.network.tiling import Tile
from phaseguide.segmentation.network.told import Told
from phaseguide.segmentation.request import ENCODING, READING, SECOND_LOOK, FirstLook, Preview

Scores = NDArray[np.float32]
Window = tuple[slice, slice]

SMALLEST_TILE = 256


class Scoring:
    """Scores of one image by one model; parameters as those of `Session`, but ``memory`` is in bytes."""

    def __init__(
        self,
        model: LoadedModel,
        metal: Metal,
        device: str,
        *,
        tile: int | None,
        overlap: int | None,
        views: Sequence[ViewCard],
        invert: bool,
        memory: int,
        name: str,
        runtime: str = "torch",
        unsure_below: float | None = None,
        folder: EmbeddingFolder | None = None,
    ) -> None:
        self.model, self.metal, self.name, self._wish = model, metal, name, runtime
        self.device = choose_device(device)
        backbone = model.segmenter.backbone
        tile = backbone.preferred_tile(self.device.kind) if tile is None else tile
        self._tile = max(SMALLEST_TILE, tile // 32 * 32)
        overlap = backbone.preferred_overlap(self._tile) if overlap is None else overlap
        self._options: dict[str, Any] = {
            "overlap": min(max(0, overlap), self._tile // 2),
            "views": views,
            "invert": invert,
            "memory": memory,
            "unsure_below": unsure_below,
            "fold_norms": model.card.inference.fold_norms,
            "folder": folder,
        }
        self.generation = 0
        self.forget()

    @property
    def views(self) -> Sequence[ViewCard]:
        """The views of the image that are averaged."""
        views: Sequence[ViewCard] = self._options["views"]
        return views

    @property
    def unsure_below(self) -> float | None:
        """Where the views after the first look, see `phaseguide.models.card.InferenceCard`; None: everywhere."""
        below: float | None = self._options["unsure_below"]
        return below if len(self.views) > 1 else None

    @property
    def tile(self) -> int:
        """Largest side in the network at once, px; it shrinks when memory runs out."""
        return self._tile

    @property
    def runtime(self) -> str:
        """What made the scores without a ratio, see `EncodedImage.ran`."""
        return "torch" if self.encoded is None else self.encoded.ran

    @property
    def plain(self) -> Scores | None:
        """Scores without a ratio, (K, H, W); None before they were first wanted."""
        return self._plain

    def forget(self) -> None:
        """Drop everything that was computed; ``generation`` tells scores of before from those of after."""
        self.generation += 1
        self.encoded: EncodedImage | None = None
        self._plain: Scores | None = None
        self._tile_shares: NDArray[np.float64] | None = None
        self._forget_masked()

    def _forget_masked(self) -> None:
        """Drop what depends on the pixels that are excluded, even where the network sees the same."""
        # By whether a ratio acts, or prompts alone: the last ones and what the network made of them.
        self._guided: dict[bool, tuple[tuple[Any, ...], Scores]] = {}
        self._smoothed: tuple[float, Scores] | None = None
        self._matchable: dict[bool | None, tuple[tuple[Any, ...], Scores]] = {}
        self._offsets: tuple[int, Matcher] | None = None

    def show(self, metal: Metal) -> None:
        """Take other pixels of the image as metal; what the network has seen is kept where it would see the same."""
        same, self.metal = metal.looks_like(self.metal), metal
        if same and self.encoded is not None:
            self.encoded.metal = metal
            self._forget_masked()
        else:
            self.forget()

    def without_ratio(
        self, excluded: NDArray[np.uint8] | None
    ) -> Generator[Progress | Notice | FirstLook, None, Scores]:
        """Return the scores without a ratio, shape (K, H, W)."""
        while True:
            try:
                if self._plain is None:
                    try:
                        self._plain = yield from self._encode(excluded)
                    finally:
                        if self.encoded is not None:
                            self.encoded.release()
                return self._plain
            except (RuntimeError, MemoryError) as error:
                yield Notice(self._fall_back(error))

    def guided(
        self,
        told: Told | None,
        prompts: Prompts | None,
        excluded: NDArray[np.uint8] | None,
        focus: Window | None = None,
    ) -> Generator[Progress | Notice | Preview | FirstLook, None, Scores]:
        """Return the scores of the network that is told a ratio, or shown prompts, or both.

        Where the ratio acts on scores (`phaseguide.models.refinement`), these are calibrated already.

        Tiles in ``focus`` come first. Out of memory falls back to smaller tiles and then to the CPU, with a notice.
        """
        while True:
            yield from self.without_ratio(excluded)
            try:
                if told is not None and self.model.segmenter.refinement is not None:
                    return (yield from self._refine(told, prompts, excluded, focus))
                return (
                    yield from self._decode(None if told is None else told.imposed, prompts, excluded, focus)
                )
            except (RuntimeError, MemoryError) as error:
                yield Notice(self._fall_back(error))

    def smoothed(self, sigma_px: float, *, prompted: bool = False) -> Scores:
        """Return the scores without a ratio, of the last prompts or without any, smoothed.

        The last smoothing of those without prompts is kept.
        """
        if prompted:
            return self.smooth(self._guided[False][1], sigma_px)
        assert self._plain is not None
        head = self.model.card.calibration.head
        if head is not None and head.alone:
            return self.matchable(None, sigma_px)
        if not sigma_px:
            return self._plain
        if self._smoothed is None or self._smoothed[0] != sigma_px:
            self._smoothed = (sigma_px, self.smooth(self._plain, sigma_px))
        return self._smoothed[1]

    def smooth(self, scores: Scores, sigma_px: float) -> Scores:
        """Return scores of the image smoothed, each pixel with others that are not excluded."""
        if not sigma_px:
            return scores
        return self._in_window(scores, lambda seen: smooth_scores(seen, sigma_px, self.metal.excluded))

    def _in_window(self, scores: Scores, make: Callable[[Scores], Scores]) -> Scores:
        """Work on the scores in the window alone; outside they stay 0."""
        if self.metal.is_whole:
            return make(scores)
        made = empty_beside(scores)
        made[:] = 0
        window = (slice(None), *self.metal.window)
        made[window] = make(scores[window])
        return made

    def matchable(self, imposed: Ratio | None, sigma_px: float, prompts: Prompts | None = None) -> Scores:
        """Return what ratio matching works on: calibrated where the model can, then smoothed.

        ``imposed`` and ``prompts`` are those of the last `guided` with a ratio, or with prompts alone, whose scores are
        then taken; None for both: those without.
        """
        conditioned = imposed is not None or prompts is not None
        which = imposed is not None if conditioned else None
        scores: Scores | None = self._plain
        key: tuple[Any, ...] = ()
        if which is not None:
            key, scores = self._guided[which]
        assert scores is not None and self.encoded is not None
        head = self.model.card.calibration.head
        if imposed is not None and self.model.segmenter.refinement is not None:
            head = None  # what it corrects is calibrated
        if head is None and not sigma_px:
            return scores
        if head is None and not conditioned:
            return self.smoothed(sigma_px)
        kept = self._matchable.get(which)
        if kept is None or kept[0] != (key, sigma_px):
            self._matchable.pop(which, None)  # memory for the new one
            if head is not None and conditioned and not sigma_px:
                assert self._plain is not None
                scores = recalibrated(self._plain, self.matchable(None, 0.0), scores, head)
            elif head is not None:
                grey, excluded = self.encoded.grey, self.metal.excluded
                scores = self._in_window(scores, lambda seen: calibrated_image(seen, grey, head, excluded))
            if sigma_px:
                scores = self.smooth(scores, sigma_px)
            kept = ((key, sigma_px), scores)
            self._matchable[which] = kept
        return kept[1]

    def _encode(
        self, excluded: NDArray[np.uint8] | None
    ) -> Generator[Progress | Notice | FirstLook, None, Scores]:
        shares: list[Ratio] = []
        n_phases = len(self.model.card.scheme)

        def measure(tile: Tile, logits: Scores) -> None:
            labels = argmax_labels(logits, None if excluded is None else excluded[tile.window])
            known = ratio_from_labels(labels, n_phases)
            shares.append(np.full(n_phases, np.nan) if known is None else known)

        if self.encoded is None:
            self.encoded = EncodedImage(
                self.model.segmenter, self.metal, self.device, tile=self._tile, **self._options
            )
        yield from self.encoded.take_onnx(self._wish)
        tiles, embeddings = self.encoded.tiles, self.encoded.embeddings
        made = embeddings.made
        first_views = self.encoded.first_views
        stage = READING if embeddings.at_hand(tiles[0], first_views) else ENCODING
        yield Progress(stage, 0, len(tiles) * len(first_views))
        work = self.encoded.scores(None, measure)
        while True:
            try:
                done, total = next(work)
            except StopIteration as end:
                plain: Scores = end.value
                break
            yield from self._told()
            yield Progress(ENCODING if embeddings.made > made else stage, done, total)
        if self.unsure_below is not None:
            yield FirstLook(argmax_labels(plain, excluded))
            for done, total in self.encoded.second_look(plain):
                yield Progress(SECOND_LOOK, done, total)
            shares.clear()
            for tile in tiles:
                measure(tile, plain[:, *tile.window])
        yield from self._told()
        self._tile_shares = np.array(shares)
        return plain

    def _told(self) -> Iterator[Notice]:
        """What there is to say about the embeddings, once."""
        notices = [] if self.encoded is None else self.encoded.embeddings.notices
        while notices:
            yield Notice(notices.pop(0))

    def _decode(
        self,
        imposed: Ratio | None,
        prompts: Prompts | None,
        excluded: NDArray[np.uint8] | None,
        focus: Window | None,
    ) -> Generator[Progress | Notice | Preview, None, Scores]:
        has_ratio = imposed is not None
        key = (() if imposed is None else tuple(imposed.tolist()), () if prompts is None else prompts.key)
        if (kept := self._guided.get(has_ratio)) is not None and kept[0] == key:
            return kept[1]
        assert self.encoded is not None and self._plain is not None
        seen: list[Preview] = []

        def look(scores: Scores) -> None:
            if focus is not None:
                fixed = None if excluded is None else excluded[focus]
                seen.append(Preview(argmax_labels(scores[:, *focus], fixed), focus))

        ratios = None if imposed is None else self._ratios_of_tiles(imposed, excluded)
        kept = None
        self._guided.pop(has_ratio, None)  # memory for the new one
        stage = "Decoding with the ratio" if has_ratio else "Decoding with boxes and points"
        work = self.encoded.conditioned(ratios, self._plain, focus, look, prompts)
        while True:
            try:
                done, total = next(work)
            except StopIteration as end:
                scores: Scores = end.value
                break
            if seen:
                yield seen.pop()
            yield from self._told()
            yield Progress(stage, done, total)
        self._guided[has_ratio] = (key, scores)
        return scores

    def _refine(
        self,
        told: Told,
        prompts: Prompts | None,
        excluded: NDArray[np.uint8] | None,
        focus: Window | None,
    ) -> Generator[Progress | Notice | Preview, None, Scores]:
        """Correct the calibrated scores without a ratio, and with the prompts if there are any, for a ratio."""
        refinement = self.model.segmenter.refinement
        assert refinement is not None and self.encoded is not None
        key = (told.key, () if prompts is None else prompts.key)
        if (kept := self._guided.get(True)) is not None and kept[0] == key:
            return kept[1]
        kept = None
        self._guided.pop(True, None)  # memory for the new one
        calibrated = self.matchable(None, 0.0, prompts)
        if self._offsets is None or self._offsets[0] != id(calibrated):
            self._offsets = None
            self._offsets = (id(calibrated), Matcher(calibrated, excluded))
        scores = yield from refine_scores(
            refinement,
            calibrated,
            self.encoded.grey,
            self._offsets[1].match(told.imposed).offsets,
            told,
            window=self.metal.window,
            device=self.device.torch_device,
            focus=focus,
            excluded=excluded,
        )
        self._guided[True] = (key, scores)
        return scores

    def _ratios_of_tiles(self, imposed: Ratio, excluded: NDArray[np.uint8] | None) -> NDArray[np.float64]:
        """Give each tile its own ratio so that the whole has the imposed one."""
        assert self.encoded is not None and self._tile_shares is not None
        areas = np.array(
            [
                t.height * t.width - (0 if excluded is None else np.count_nonzero(excluded[t.window]))
                for t in self.encoded.tiles
            ],
            dtype=np.float64,
        )
        # A tile that is excluded altogether gets the ratio of the whole; its labels count nowhere.
        ratios = np.tile(imposed, (areas.size, 1))
        seen = (areas > 0) & ~np.isnan(self._tile_shares).any(1)
        if seen.any():
            # Tiles are to an image what fields are to a specimen.
            ratios[seen] = shift_to_mean(self._tile_shares[seen], areas[seen], imposed)
        return ratios

    def _fall_back(self, error: BaseException) -> str:
        """Make the next attempt smaller and say so, or raise."""
        import torch

        if not is_out_of_memory(error):
            raise error
        self.forget()
        MEMORY.clear()
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        too_large = isinstance(error, WeightsTooLargeError)  # smaller tiles would not help
        if self._tile > SMALLEST_TILE and not too_large:
            fits = max(self.metal.seen.shape[:2])
            self._tile = max(SMALLEST_TILE, min(self._tile, fits) // 2 // 32 * 32)
            self._options["overlap"] = min(self._options["overlap"], self._tile // 4)
            return f"Out of memory on {self.device.name}; trying again with tiles of {self._tile} px."
        if self.device.kind != "cpu":
            name = self.device.name
            self.device = choose_device("cpu")
            if too_large:
                return f"Not enough memory on {name} for the weights of the model; going on with the CPU."
            return "Out of memory on the GPU even with small tiles; going on with the CPU."
        if too_large:
            raise DeviceError(
                f"Not enough memory for the model {self.model.card.name!r}: {error}. Close other programs, or take "
                "a model with a smaller encoder."
            ) from error
        raise DeviceError(
            f"Not enough memory for {self.name} even in tiles of {SMALLEST_TILE} px. Close other programs, "
            "or crop the image."
        ) from error
