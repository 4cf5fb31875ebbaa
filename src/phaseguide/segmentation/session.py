"""A session: one model on one image. Encode once, segment as often as the user changes a number."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DeviceError, MicrographError, is_out_of_memory
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.validation import check_image
from phaseguide.models.card import FOUR_FLIPS, ViewCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import (
    Ratio,
    blend_ratios,
    complete_ratio,
    ratio_from_labels,
    total_variation,
    validate_ratio,
)
from phaseguide.segmentation.channels import fit_channels
from phaseguide.segmentation.device import choose_device, default_memory_mb
from phaseguide.segmentation.encoding import EncodedImage
from phaseguide.segmentation.islands import remove_small_islands, settle, smooth_scores
from phaseguide.segmentation.matching import argmax_labels, match_ratio
from phaseguide.segmentation.request import Mode, Request, Segmentation
from phaseguide.segmentation.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, Tile, tile_ratios

SessionEvent = Progress | Notice | Finished[Segmentation]

SMALLEST_TILE = 256
AUTO_ROUNDS = 10
AUTO_SETTLED = 0.001
CONFLICT = 0.15
"""Total variation between user and model above which a sentence says so."""


class Session:
    """One model on one image.

    Parameters
    ----------
    model : LoadedModel
    image : ndarray, shape (H, W) or (H, W, 3)
        uint8, uint16 or float. RGB is turned grey for a grey model and the other way round.
    edits : ndarray of uint8, shape (H, W), optional
        Manual edits: 1..K is that phase, 255 excluded, 0 nothing said. See `set_edits`.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    tile, overlap : int
        Largest side in the network at once (after zooming, where views zoom) and overlap of tiles, px.
    flips : bool, optional
        Average over mirrored and zoomed views of the image: as the model's card says (None), in any
        case (True: the card's views, or the four flips where it names one view only), or never.
    invert : bool
        The image's contrast is inverted.
    memory_mb : int, optional
        Budget for features and scores in MB; None: half of the free memory, at most 4096.
    name : str
        What to call the image in errors.

    Raises
    ------
    MicrographError, ModelError, DeviceError
        An image that cannot be segmented, a model for other channels, a device that is not there.
    """

    def __init__(
        self,
        model: LoadedModel,
        image: NDArray[Any],
        *,
        edits: NDArray[np.uint8] | None = None,
        device: str = "auto",
        tile: int = DEFAULT_TILE,
        overlap: int = DEFAULT_OVERLAP,
        flips: bool | None = None,
        invert: bool = False,
        memory_mb: int | None = None,
        name: str = "image",
    ) -> None:
        check_image(image, name)
        self.model, self.scheme, self.name = model, model.card.scheme, name
        self.pixels = fit_channels(image, model.segmenter.in_channels, name)
        self.device = choose_device(device)
        self._options: dict[str, Any] = {
            "overlap": min(max(0, overlap), max(SMALLEST_TILE, tile) // 2),
            "views": _choose_views(model, flips),
            "invert": invert,
            "memory": (memory_mb or default_memory_mb()) * 1_000_000,
        }
        self._tile = max(SMALLEST_TILE, tile // 32 * 32)
        self._encoded: EncodedImage | None = None
        self._plain: NDArray[np.float32] | None = None
        self._tile_shares: NDArray[np.float64] | None = None
        self._conditioned: tuple[tuple[float, ...], NDArray[np.float32]] | None = None
        self._smoothed: tuple[float, NDArray[np.float32]] | None = None
        self._own: tuple[tuple[float, int], NDArray[np.uint8], Ratio] | None = None
        self.edits: NDArray[np.uint8] | None = None
        self.set_edits(edits)

    @property
    def views(self) -> Sequence[ViewCard]:
        """The views of the image that are averaged."""
        views: Sequence[ViewCard] = self._options["views"]
        return views

    def set_edits(self, edits: NDArray[np.uint8] | None) -> None:
        """Take the user's manual edits; they are ground truth in every later result.

        Raises
        ------
        MicrographError
            Another shape than the image.
        SchemeError
            A value that is not in the scheme.
        """
        self._own = None
        if edits is None or not np.any(edits):
            self.edits = None
            return
        if edits.shape != self.pixels.shape[:2]:
            raise MicrographError(
                f"The edits are {' x '.join(map(str, edits.shape))} px, but {self.name} is "
                f"{' x '.join(map(str, self.pixels.shape[:2]))} px. Use edits that were painted on this image."
            )
        self.scheme.check_labels(np.unique(edits).tolist(), source=f"edits of {self.name}")
        self.edits = np.asarray(edits, dtype=np.uint8)

    def segment(self, request: Request) -> Iterator[SessionEvent]:
        """Segment the image as requested.

        The first call encodes the image; later ones reuse that. Close the generator to stop; the
        session stays usable.

        Yields
        ------
        Progress, Notice
            While working.
        Finished of Segmentation
            Last.

        Raises
        ------
        RatioError
            A ratio that cannot be meant.
        DeviceError
            Not even the smallest tile fits into memory on the CPU.
        """
        asked = None if request.asked is None else validate_ratio(request.asked, self.scheme)
        if asked is not None and np.isnan(asked).all():
            asked = None
        plain = self._prepared(0, (yield from self._scores(None)), request)
        own_labels, own = self._own_map(plain, request)
        if asked is None and request.auto:
            yield from self._auto(request, own, own_labels)
            return
        if asked is None:
            labels = self._clean(argmax_labels(plain, self.edits), self.edits, request)
            yield Finished(self._result(labels, request, own, own_labels, None, None))
            return
        mode: Mode = request.mode or self.model.card.inference.mode
        if mode != "matched" and self.model.card.guidance.kind == "none":
            mode = "matched"
            yield Notice(f"Model {self.model.card.name!r} has no guidance; the ratio acts by matching only.")
        imposed = blend_ratios(asked, own, request.uncertainty, self.model.card.own_error)
        notices = _conflict(complete_ratio(asked, own), own, imposed)
        scores = plain
        if mode != "matched":
            scores = self._prepared(1, (yield from self._scores(imposed)), request)
        if mode == "conditioned":
            labels = self._clean(argmax_labels(scores, self.edits), self.edits, request)
        else:
            labels, doubts = self._match(scores, imposed, request)
            notices += doubts
        yield Finished(self._result(labels, request, own, own_labels, imposed, mode, notices))

    def _auto(self, request: Request, own: Ratio, own_labels: NDArray[np.uint8]) -> Iterator[SessionEvent]:
        """Auto-regressive inference: feed the measured composition back until it settles."""
        estimate, labels = own, own_labels
        guided, settled = self.model.card.guidance.kind != "none", True
        for round_ in range(AUTO_ROUNDS if guided else 0):
            yield Progress("Estimating the ratio", round_, AUTO_ROUNDS)
            scores = self._prepared(1, (yield from self._scores(estimate)), request)
            labels = argmax_labels(scores, self._excluded())
            measured = self._shares(labels)
            settled = bool(np.abs(measured - estimate).max() < AUTO_SETTLED)
            estimate = measured
            if settled:
                break
        if self.edits is not None:
            labels = np.where(self.edits > 0, self.edits, labels)
        labels = self._clean(labels, self.edits, request)
        notices = () if settled else (f"The estimate had not settled after {AUTO_ROUNDS} rounds.",)
        mode: Mode | None = "conditioned" if guided else None
        yield Finished(self._result(labels, request, own, own_labels, estimate, mode, notices))

    def _own_map(self, plain: NDArray[np.float32], request: Request) -> tuple[NDArray[np.uint8], Ratio]:
        """The map without a ratio and its shares; the last one is kept."""
        key = (request.smoothing_px, request.min_island_px)
        if self._own is None or self._own[0] != key:
            excluded = self._excluded()
            labels = self._clean(argmax_labels(plain, excluded), excluded, request)
            self._own = (key, labels, self._shares(labels))
        return self._own[1], self._own[2]

    def _scores(self, imposed: Ratio | None) -> Generator[Progress | Notice, None, NDArray[np.float32]]:
        """Scores without a ratio (kept) or for one (the last kept).

        Out of memory falls back to smaller tiles and then to the CPU, with a notice.
        """
        while True:
            try:
                if self._plain is None:
                    self._plain = yield from self._encode()
                if imposed is None:
                    return self._plain
                return (yield from self._decode(imposed))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                yield Notice(self._fall_back(error))

    def _encode(self) -> Generator[Progress, None, NDArray[np.float32]]:
        shares: list[Ratio] = []
        excluded = self._excluded()

        def measure(tile: Tile, logits: NDArray[np.float32]) -> None:
            labels = argmax_labels(logits, None if excluded is None else excluded[tile.window])
            known = ratio_from_labels(labels, len(self.scheme))
            shares.append(np.full(len(self.scheme), np.nan) if known is None else known)

        if self._encoded is None:
            self._encoded = EncodedImage(
                self.model.segmenter, self.pixels, self.device, tile=self._tile, **self._options
            )
        yield Progress("Encoding the image", 0, len(self._encoded.tiles) * len(self.views))
        plain = yield from _with_progress("Encoding the image", self._encoded.scores(None, measure))
        self._tile_shares = np.array(shares)
        return plain

    def _decode(self, imposed: Ratio) -> Generator[Progress, None, NDArray[np.float32]]:
        key = tuple(imposed.tolist())
        if self._conditioned is not None and self._conditioned[0] == key:
            return self._conditioned[1]
        assert self._encoded is not None and self._tile_shares is not None
        excluded = self._excluded()
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
        scores = yield from _with_progress("Decoding with the ratio", self._encoded.scores(ratios))
        self._conditioned = (key, scores)
        return scores

    def _fall_back(self, error: BaseException) -> str:
        import torch

        self._encoded = self._plain = self._conditioned = self._smoothed = self._own = None
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

    def _prepared(self, slot: int, scores: NDArray[np.float32], request: Request) -> NDArray[np.float32]:
        """Smooth scores if asked; the last smoothing of the unguided ones (slot 0) is kept."""
        if not request.smoothing_px:
            return scores
        if slot == 0 and self._smoothed is not None and self._smoothed[0] == request.smoothing_px:
            return self._smoothed[1]
        smooth = smooth_scores(scores, request.smoothing_px)
        if slot == 0:
            self._smoothed = (request.smoothing_px, smooth)
        return smooth

    def _match(
        self, scores: NDArray[np.float32], imposed: Ratio, request: Request
    ) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        match = match_ratio(scores, imposed, fixed=self.edits)
        if request.min_island_px:
            # Cleaning changes the composition, so matching runs again, last, on scores that hold
            # the cleaned islands where they now belong.
            cleaned = remove_small_islands(match.labels, request.min_island_px, self.edits)
            match = match_ratio(settle(scores, cleaned, match.offsets), imposed, fixed=self.edits)
        notices = []
        if not match.determinable:
            notices.append(
                "The model's scores are the same all over this image, so no place is more one phase than "
                "another: the ratio could not be imposed."
            )
        elif not match.reachable:
            notices.append("Your manual edits hold more of a phase than the ratio allows; the edits win.")
        return match.labels, tuple(notices)

    def _clean(
        self, labels: NDArray[np.uint8], fixed: NDArray[np.uint8] | None, request: Request
    ) -> NDArray[np.uint8]:
        return remove_small_islands(labels, request.min_island_px, fixed) if request.min_island_px else labels

    def _excluded(self) -> NDArray[np.uint8] | None:
        if self.edits is None:
            return None
        return np.where(self.edits == EXCLUDED, np.uint8(EXCLUDED), np.uint8(0))

    def _shares(self, labels: NDArray[np.uint8]) -> Ratio:
        shares = ratio_from_labels(labels, len(self.scheme))
        if shares is None:
            raise MicrographError(f"{self.name}: every pixel is excluded. Erase some of the exclusion.")
        return shares

    def _result(
        self,
        labels: NDArray[np.uint8],
        request: Request,
        own: Ratio,
        own_labels: NDArray[np.uint8],
        imposed: Ratio | None,
        mode: Mode | None,
        notices: tuple[str, ...] = (),
    ) -> Segmentation:
        asked = None if request.asked is None or np.isnan(request.asked).all() else request.asked
        achieved = self._shares(labels)
        return Segmentation(
            labels=labels,
            scheme=self.scheme,
            asked=asked,
            own=own,
            imposed=imposed,
            achieved=achieved,
            own_labels=own_labels,
            mode=mode,
            uncertainty=None if asked is None else request.uncertainty,
            notices=notices,
        )


def _conflict(asked: Ratio, own: Ratio, imposed: Ratio) -> tuple[str, ...]:
    """One sentence when the user and the model are far apart, however little of it was imposed."""
    gap, moved = total_variation(own, asked), total_variation(own, imposed)
    if gap <= CONFLICT:
        return ()
    return (
        f"The expected ratio differs from what the model sees in {gap * 100:.0f} % of the area; "
        f"{moved * 100:.0f} % was moved. Check where, and whether the value belongs to this field.",
    )


def _choose_views(model: LoadedModel, flips: bool | None) -> Sequence[ViewCard]:
    views = model.card.inference.views
    if flips is False:
        return (ViewCard(),)
    return FOUR_FLIPS if flips and len(views) == 1 else views


def _with_progress(
    stage: str, work: Generator[tuple[int, int], None, NDArray[np.float32]]
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Turn (done, total) pairs into `Progress` events and return the work's return value."""
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            scores: NDArray[np.float32] = end.value
            return scores
        yield Progress(stage, done, total)


def run_to_end(events: Iterator[Any]) -> Any:
    """Run a generator of events and return the result of its last one; for scripts and tests."""
    result = None
    for event in events:
        if isinstance(event, Finished):
            result = event.result
    return result
