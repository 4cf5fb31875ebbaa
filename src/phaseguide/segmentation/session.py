"""A session: one model on one image. Encode once, segment as often as the user changes a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DeviceError, MicrographError, ModelError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.validation import check_image
from phaseguide.models.card import FOUR_FLIPS, ViewCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import Ratio, blend_ratios, ratio_from_labels, total_variation, validate_ratio
from phaseguide.segmentation.device import choose_device
from phaseguide.segmentation.encoding import EncodedImage
from phaseguide.segmentation.islands import remove_small_islands, settle, smooth_scores
from phaseguide.segmentation.matching import argmax_labels, match_ratio
from phaseguide.segmentation.request import Mode, Request, Segmentation
from phaseguide.segmentation.tiling import tile_ratios

SessionEvent = Progress | Notice | Finished[Segmentation]

SMALLEST_TILE = 256
AUTO_ROUNDS = 10
AUTO_SETTLED = 0.001


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
        Largest side encoded at once and overlap of tiles, px.
    flips : bool, optional
        Average over mirrored and zoomed views of the image: as the model's card says (None), in any
        case (True: the card's views, or the four flips where it names one view only), or never.
    invert : bool
        The image's contrast is inverted.
    memory_mb : int
        Budget for features and scores in MB.
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
        tile: int = 1280,
        overlap: int = 128,
        flips: bool | None = None,
        invert: bool = False,
        memory_mb: int = 4096,
        name: str = "image",
    ) -> None:
        check_image(image, name)
        self.model, self.scheme, self.name = model, model.card.scheme, name
        self.pixels = fit_channels(image, model.segmenter.in_channels, name)
        self.device = choose_device(device)
        self._options: dict[str, Any] = {
            "overlap": overlap,
            "views": _choose_views(model, flips),
            "invert": invert,
            "memory": memory_mb * 1_000_000,
        }
        self._tile = max(SMALLEST_TILE, tile // 32 * 32)
        self._encoded: EncodedImage | None = None
        self._plain: NDArray[np.float32] | None = None
        self._tile_shares: NDArray[np.float64] | None = None
        self._conditioned: tuple[tuple[float, ...], NDArray[np.float32]] | None = None
        self._smoothed: tuple[int, float, NDArray[np.float32]] | None = None
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
        yield from self._encode()
        plain = self._prepared(0, self._plain, request)
        excluded = self._excluded()
        own_labels = self._clean(argmax_labels(plain, excluded), excluded, request)
        own = self._shares(own_labels)
        if asked is None and not request.auto:
            labels = argmax_labels(plain, self.edits)
            labels = self._clean(labels, self.edits, request)
            yield Finished(self._result(labels, request, own, own_labels, None, None, ()))
            return
        guided = self.model.card.guidance.kind != "none"
        if asked is None:
            yield from self._auto(request, own, own_labels, guided)
            return
        mode: Mode = request.mode or self.model.card.inference.mode
        if not guided and mode != "matched":
            mode = "matched"
            yield Notice(f"Model {self.model.card.name!r} has no guidance; the ratio acts by matching only.")
        imposed = blend_ratios(asked, own, request.uncertainty, self.model.card.own_error)
        scores = plain
        if mode != "matched":
            scores = yield from self._conditioned_scores(imposed)
            scores = self._prepared(1, scores, request)
        notices: tuple[str, ...] = ()
        if mode == "conditioned":
            labels = self._clean(argmax_labels(scores, self.edits), self.edits, request)
        else:
            labels, notices = self._match(scores, imposed, request)
        yield Finished(self._result(labels, request, own, own_labels, imposed, mode, notices))

    def _auto(
        self, request: Request, own: Ratio, own_labels: NDArray[np.uint8], guided: bool
    ) -> Iterator[SessionEvent]:
        """Auto-regressive inference: feed the measured composition back until it settles."""
        estimate, labels = own, own_labels
        if guided:
            for round_ in range(AUTO_ROUNDS):
                yield Progress("Estimating the ratio", round_, AUTO_ROUNDS)
                scores = yield from self._conditioned_scores(estimate)
                labels = argmax_labels(self._prepared(1, scores, request), self._excluded())
                measured = self._shares(labels)
                settled = np.abs(measured - estimate).max() < AUTO_SETTLED
                estimate = measured
                if settled:
                    break
        labels = labels if self.edits is None else np.where(self.edits > 0, self.edits, labels)
        labels = self._clean(labels, self.edits, request)
        yield Finished(
            self._result(labels, request, own, own_labels, estimate, "conditioned" if guided else None, ())
        )

    def _encode(self) -> Iterator[SessionEvent]:
        """Run the unguided pass once, falling back to smaller tiles and then to the CPU."""
        while self._plain is None:
            shares: dict[int, NDArray[np.float64]] = {}

            def measure(index: int, logits: NDArray[np.float32], into: dict[int, Any] = shares) -> None:
                into[index] = self._shares(argmax_labels(logits))

            try:
                if self._encoded is None:
                    self._encoded = EncodedImage(
                        self.model.segmenter, self.pixels, self.device, tile=self._tile, **self._options
                    )
                yield Progress("Encoding the image", 0, len(self._encoded.tiles))
                plain = yield from _with_progress("Encoding the image", self._encoded.scores(None, measure))
                self._tile_shares = np.array([shares[i] for i in range(len(self._encoded.tiles))])
                self._plain = plain
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                yield Notice(self._fall_back(error))

    def _fall_back(self, error: RuntimeError) -> str:
        self._encoded = None
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

    def _conditioned_scores(self, imposed: Ratio) -> Any:
        """Scores decoded with a ratio; the last ones are kept."""
        key = tuple(imposed.tolist())
        if self._conditioned is not None and self._conditioned[0] == key:
            return self._conditioned[1]
        assert self._encoded is not None and self._tile_shares is not None
        areas = np.array([t.height * t.width for t in self._encoded.tiles], dtype=np.float64)
        ratios = tile_ratios(self._tile_shares, areas, imposed)
        scores = yield from _with_progress("Decoding with the ratio", self._encoded.scores(ratios))
        self._conditioned = (key, scores)
        self._smoothed = None if self._smoothed is None or self._smoothed[0] == 1 else self._smoothed
        return scores

    def _prepared(self, slot: int, scores: Any, request: Request) -> NDArray[np.float32]:
        """Smooth scores if asked, remembering the last smoothing of the unguided ones."""
        if not request.smoothing_px:
            plain: NDArray[np.float32] = scores
            return plain
        if slot == 0 and self._smoothed is not None and self._smoothed[1] == request.smoothing_px:
            return self._smoothed[2]
        smooth = smooth_scores(scores, request.smoothing_px)
        if slot == 0:
            self._smoothed = (slot, request.smoothing_px, smooth)
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
        notices: tuple[str, ...],
    ) -> Segmentation:
        asked = None if request.asked is None or np.isnan(request.asked).all() else request.asked
        achieved = self._shares(labels)
        if asked is not None and imposed is not None and total_variation(own, imposed) > 0.15:
            notices = (
                *notices,
                f"The expected ratio moves {total_variation(own, imposed) * 100:.0f} % of the area away from "
                "what the model sees. Check where, and whether the value belongs to this field.",
            )
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


def _choose_views(model: LoadedModel, flips: bool | None) -> Sequence[ViewCard]:
    views = model.card.inference.views
    if flips is False:
        return (ViewCard(),)
    return FOUR_FLIPS if flips and len(views) == 1 else views


def fit_channels(image: NDArray[Any], channels: int, name: str) -> NDArray[Any]:
    """Give an image the channels that a model expects: grey from RGB by luminance, RGB from grey by copies.

    Raises
    ------
    ModelError
        No sensible way from the one to the other.
    """
    have = 1 if image.ndim == 2 else image.shape[-1]
    if have == channels:
        return image if image.ndim == 2 or channels > 1 else image[..., 0]
    if channels == 1 and have in (3, 4):
        # ITU-R BT.601 luma, in float32 so that 16-bit images keep their range.
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        grey: NDArray[np.float32] = image[..., :3].astype(np.float32) @ weights
        return grey
    if have == 1 and channels == 3:
        plane = image if image.ndim == 2 else image[..., 0]
        return np.repeat(plane[..., None], 3, axis=-1)
    raise ModelError(
        f"{name} has {have} channels, but the model was made for {channels}. Choose a model for {have} "
        f"channels, or an image with {channels}."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or numpy means that memory ran out."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
        or ("not enough memory" in text)
    )


def _with_progress(stage: str, work: Iterator[tuple[int, int]]) -> Any:
    """Turn (done, total) pairs into `Progress` events and return the work's return value."""
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            return end.value
        yield Progress(stage, done, total)


def run_to_end(events: Iterator[Any]) -> Any:
    """Run a generator of events and return the result of its last one; for scripts and tests."""
    result = None
    for event in events:
        if isinstance(event, Finished):
            result = event.result
    return result
