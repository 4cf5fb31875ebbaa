"""A session: one model on one image. Encode once, segment as often as the user changes a number."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError, RatioError
from phaseguide.events import Finished, Notice, Progress, run_to_end
from phaseguide.micrographs.arrays import as_image_array
from phaseguide.micrographs.validation import check_shape, check_values
from phaseguide.models.card import FOUR_FLIPS, ViewCard
from phaseguide.models.metal import Metal, find_metal
from phaseguide.models.model_file import LoadedModel
from phaseguide.ratios import (
    Ratio,
    blend_ratios,
    complete_ratio,
    held_back,
    ratio_from_labels,
    validate_ratio,
)
from phaseguide.segmentation.constraints.prompts import check_prompts, describe_overhang
from phaseguide.segmentation.constraints.regions import (
    RegionShares,
    check_regions,
    impose_regions,
    match_regions,
    measure_regions,
    regions_labels,
    report_regions,
    whole_composition,
)
from phaseguide.segmentation.edits import say_the_same, take_edits
from phaseguide.segmentation.matching.islands import remove_small_islands, settle
from phaseguide.segmentation.matching.match import Match, Matcher, argmax_labels, match_ratio
from phaseguide.segmentation.matching.prior_shift import prior_shift
from phaseguide.segmentation.network.channels import fit_channels
from phaseguide.segmentation.network.device import Device, default_memory_mb
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder, usual_embedding_folder
from phaseguide.segmentation.network.logits import SMALLEST_TILE, Scoring, Window, excluded_only
from phaseguide.segmentation.request import Mode, Preview, Request, Segmentation
from phaseguide.segmentation.review.advice import (
    describe_conflict,
    describe_estimate,
    describe_limit,
    describe_match,
    describe_miss,
    describe_strangeness,
)

__all__ = ["SMALLEST_TILE", "Session", "SessionEvent", "run_to_end"]

SessionEvent = Progress | Notice | Preview | Finished[Segmentation]
Labels = NDArray[np.uint8]

AUTO_ROUNDS = 10
AUTO_SETTLED = 0.001


@dataclass(frozen=True)
class _Maps:
    """Maps that no ratio had a part in, with their area shares.

    ``own`` is that of the model alone. ``seen`` is what it sees when it is shown the user's prompts, which a
    ratio is weighed against; the same where there are none.
    """

    own_labels: Labels
    own: Ratio
    seen_labels: Labels
    seen: Ratio


class Session:
    """One model on one image.

    Parameters
    ----------
    model : LoadedModel
    image : array_like, shape (H, W) or (H, W, 3)
        Of any kind that `as_image_array` takes. RGB is turned grey for a grey model and the other way round.
    edits : array_like of int, shape (H, W), optional
        Manual edits: 1..K is that phase, 255 excluded, 0 nothing said. See `set_edits`.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    tile, overlap : int, optional
        Largest side in the network at once (after zooming, where views zoom) and overlap of tiles, px; None: what
        suits the model's backbone, on this device.
    flips : bool, optional
        Average over mirrored and zoomed views of the image: as the model's card says (None), in any
        case (True: the card's views, or the four flips where it names one view only), or never.
    invert : bool
        The image's contrast is inverted.
    memory_mb : int, optional
        Budget for features and scores in MB; None: half of the free memory, at most 4096.
    name : str
        What to call the image in errors.
    pixel_size_um : float, optional
        Edge of a pixel in micrometres; to tell an image of another scale than the model knows.
    embeddings : EmbeddingFolder or "off", optional
        Where features and scores without a ratio are kept on disk for later sessions. None: as the variable
        PHASEGUIDE_EMBEDDINGS says, which by default is nowhere.

    Raises
    ------
    MicrographError, ModelError, DeviceError
        An image that cannot be segmented, a model for other channels, a device that is not there.
    """

    def __init__(
        self,
        model: LoadedModel,
        image: ArrayLike,
        *,
        edits: ArrayLike | None = None,
        device: str = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        flips: bool | None = None,
        invert: bool = False,
        memory_mb: int | None = None,
        name: str = "image",
        pixel_size_um: float | None = None,
        embeddings: EmbeddingFolder | Literal["off"] | None = None,
    ) -> None:
        image = as_image_array(image, name)
        check_shape(image, name)
        self.model, self.scheme, self.name = model, model.card.scheme, name
        self.pixels = fit_channels(image, model.segmenter.in_channels, name)
        self.edits = take_edits(edits, self.pixels.shape[:2], self.scheme, name)
        check_values(image, name, self.edits)
        self._scoring = Scoring(
            model,
            find_metal(self.pixels, self.edits),
            device,
            tile=tile,
            overlap=overlap,
            views=_choose_views(model, flips),
            invert=invert,
            memory=(memory_mb or default_memory_mb()) * 1_000_000,
            name=name,
            folder=_choose_folder(embeddings),
        )
        self._invert, self._pixel_size_um = invert, pixel_size_um
        self._strange: tuple[str, ...] | None = None
        self._own: tuple[tuple[float, ...], Labels, Ratio] | None = None
        self._seen: tuple[tuple[Any, ...], Labels, Ratio] | None = None
        self._matcher: tuple[tuple[Any, ...], Matcher] | None = None

    @property
    def device(self) -> Device:
        """The device that the work runs on; it may change when memory runs out."""
        return self._scoring.device

    @property
    def tile(self) -> int:
        """Largest side in the network at once, px; it shrinks when memory runs out."""
        return self._scoring.tile

    @property
    def views(self) -> Sequence[ViewCard]:
        """The views of the image that are averaged."""
        return self._scoring.views

    @property
    def scores(self) -> NDArray[np.float32] | None:
        """Mean logits without a ratio, shape (K, H, W); None before the first `segment`. Maybe a memory map."""
        return self._scoring.plain

    @property
    def own(self) -> tuple[Labels, Ratio] | None:
        """The map without a ratio and its area shares; None before the first `segment`."""
        return None if self._own is None else self._own[1:]

    @property
    def metal(self) -> Metal:
        """What of the image counts, and what the network is shown of it."""
        return self._scoring.metal

    def set_edits(self, edits: ArrayLike | None) -> None:
        """Take the user's manual edits; they are ground truth in every later result.

        Where they change what is excluded so that the image looks different to the network, it is encoded anew.

        Raises
        ------
        MicrographError
            Another shape than the image, or no label map at all.
        SchemeError
            A value that is not in the scheme.
        """
        edits = take_edits(edits, self.pixels.shape[:2], self.scheme, self.name)
        before = self.edits
        if say_the_same(edits, before):
            return
        self._own = self._seen = self._matcher = None
        if not say_the_same(excluded_only(edits), excluded_only(before)):
            check_values(self.pixels, self.name, edits)
            self._scoring.show(find_metal(self.pixels, edits))
            self._strange = None
        self.edits = edits

    def segment(self, request: Request, focus: Window | None = None) -> Iterator[SessionEvent]:
        """Segment the image as requested.

        The first call encodes the image; later ones reuse that. Close the generator to stop; the
        session stays usable.

        Parameters
        ----------
        request : Request
        focus : (slice, slice), optional
            Rows and columns that are on show: where the network works in tiles, these come first.

        Yields
        ------
        Progress, Notice
            While working.
        Preview
            At most once, when the network has looked at ``focus`` with the ratio or the prompts.
        Finished of Segmentation
            Last.

        Raises
        ------
        RatioError, MicrographError, SchemeError
            A ratio, a region, or a prompt that cannot be meant.
        DeviceError
            Not even the smallest tile fits into memory on the CPU.
        """
        asked = None if request.asked is None else validate_ratio(request.asked, self.scheme)
        if asked is not None and np.isnan(asked).all():
            asked = None
        if request.auto and (asked is not None or request.regions):
            given = "A ratio" if asked is not None else "A region with its own ratio"
            raise RatioError(
                f"{given} was given, and the model is to estimate the ratio. Choose one of the two."
            )
        request = yield from self._usable_prompts(request)
        yield from self._scoring.without_ratio(excluded_only(self.edits))
        alone = asked is None and not request.regions and not request.auto
        maps = yield from self._maps(request, focus if alone else None)
        if request.regions:
            yield from self._segment_regions(request, asked, maps, focus)
        elif request.auto:
            yield from self._segment_auto(request, maps)
        elif asked is None:
            labels = argmax_labels(self._seen_scores(request), self.edits)
            yield Finished(self._result(self._clean(labels, self.edits, request), request, maps))
        else:
            yield from self._segment_asked(request, asked, maps, focus)

    def prepare(self, request: Request) -> None:
        """Do now what the first ratio would have to wait for; after a `segment`."""
        if self.scores is not None:
            self._ready_matcher(replace(request, prompts=None), None)

    def _segment_asked(
        self, request: Request, asked: Ratio, maps: _Maps, focus: Window | None
    ) -> Iterator[SessionEvent]:
        mode = yield from self._mode(request)
        own = maps.seen
        imposed = self._blend(asked, own, request.uncertainty)
        notices: tuple[str, ...] = ()
        if request.scope == "field":
            notices = _sentences(describe_conflict(complete_ratio(asked, own), own, imposed, self.model.card))
        if mode == "conditioned":
            scores = yield from self._conditioned(imposed, request, focus)
            labels = self._clean(argmax_labels(scores, self.edits), self.edits, request)
        else:
            if mode == "both":
                yield from self._conditioned(imposed, request, focus)
            match = self._match(imposed, request, conditioned=imposed if mode == "both" else None)
            labels, notices = match.labels, _sentences(describe_match(match))
        achieved = self._shares(labels)
        if request.scope == "field":
            held = held_back(asked, own, request.uncertainty, self.model.card.own_error)
            notices = (
                *_sentences(describe_conflict(complete_ratio(asked, own), own, achieved, self.model.card)),
                *_sentences(describe_limit(asked, imposed, held, self.scheme)),
                *notices,
            )
        if mode == "conditioned":
            notices += _sentences(describe_miss(imposed, achieved, self.scheme))
        yield Finished(self._result(labels, request, maps, imposed, mode, notices))

    def _segment_regions(
        self,
        request: Request,
        asked: Ratio | None,
        maps: _Maps,
        focus: Window | None,
    ) -> Iterator[SessionEvent]:
        shape = (self.pixels.shape[0], self.pixels.shape[1])
        regions = check_regions(request.regions, shape, self.scheme)
        mode = yield from self._mode(request)
        owner = regions_labels(regions, shape)
        seen, areas = measure_regions(maps.seen_labels, owner, len(regions), len(self.scheme))
        owns = seen
        if maps.seen_labels is not maps.own_labels:
            owns, _ = measure_regions(maps.own_labels, owner, len(regions), len(self.scheme))
        field = (asked, request.uncertainty)
        imposed, notices = impose_regions(regions, field, seen, self._blend)
        conditioned = None
        if mode != "matched":
            conditioned = whole_composition(imposed, seen, areas)
            yield from self._conditioned(conditioned, request, focus)
        scores = self._scoring.matchable(conditioned, request.smoothing_px, request.prompts)
        match = match_regions(
            scores,
            regions,
            owner,
            imposed,
            start=maps.seen_labels,
            fixed=self.edits,
            min_island_px=request.min_island_px,
        )
        shares = report_regions(regions, field, owns, areas, imposed, match.achieved)
        if np.isnan(imposed).all():  # the regions are only measured
            labels = match.labels
            yield Finished(self._result(labels, request, maps, regions=shares))
            return
        whole = whole_composition(imposed, seen, areas)
        used: Mode = "both" if mode != "matched" else "matched"
        if mode == "conditioned":
            notices += ("Regions are always matched too: the network takes one ratio for the whole field.",)
        yield Finished(
            self._result(match.labels, request, maps, whole, used, notices + match.notices, shares)
        )

    def _segment_auto(self, request: Request, maps: _Maps) -> Iterator[SessionEvent]:
        """Let the model find the ratio, and match the calibrated scores to it."""
        if request.estimator == "prior-shift":
            scores = self._scoring.matchable(None, request.smoothing_px, request.prompts)
            estimate = prior_shift(
                scores[:, *self.metal.window], self.model.card.training_ratio_mean, self.metal.excluded
            )
            settled = True
        elif request.estimator == "own":
            estimate, settled = maps.seen, True
        else:
            estimate, settled = yield from self._autoregression(request, maps.seen)
        match = self._match(estimate, request, conditioned=None)
        notices = _sentences(describe_estimate(self.model.card))
        if not settled:
            notices += (f"The estimate had not settled after {AUTO_ROUNDS} rounds.",)
        yield Finished(
            self._result(
                match.labels,
                request,
                maps,
                estimate,
                "matched",
                notices + _sentences(describe_match(match)),
            )
        )

    def _autoregression(
        self, request: Request, own: Ratio
    ) -> Generator[Progress | Notice | Preview, None, tuple[Ratio, bool]]:
        """Feed the measured composition back until it settles; returns it and whether it did."""
        estimate = own
        if self.model.card.guidance.kind == "none":
            return estimate, True
        for round_ in range(AUTO_ROUNDS):
            yield Progress("Estimating the ratio", round_, AUTO_ROUNDS)
            scores = yield from self._conditioned(estimate, request, None)
            measured = self._shares(argmax_labels(scores, excluded_only(self.edits)))
            settled = bool(np.abs(measured - estimate).max() < AUTO_SETTLED)
            estimate = measured
            if settled:
                return estimate, True
        return estimate, False

    def _strangeness(self) -> tuple[str, ...]:
        """Say whether the image is unlike the training images; looked at once."""
        if self._strange is None:
            self._strange = _sentences(
                describe_strangeness(self.metal, self.model.card, self._pixel_size_um, invert=self._invert)
            )
        return self._strange

    def _mode(self, request: Request) -> Generator[Notice, None, Mode]:
        mode: Mode = request.mode or self.model.card.inference.mode
        if mode != "matched" and self.model.card.guidance.kind == "none":
            mode = "matched"
            yield Notice(f"Model {self.model.card.name!r} has no guidance; the ratio acts by matching only.")
        return mode

    def _blend(self, asked: Ratio, own: Ratio, uncertainty: float | tuple[float, ...]) -> Ratio:
        return blend_ratios(asked, own, uncertainty, self.model.card.own_error)

    def _conditioned(
        self, imposed: Ratio, request: Request, focus: Window | None
    ) -> Generator[Progress | Notice | Preview, None, NDArray[np.float32]]:
        """Scores of the network that knows the ratio, and the prompts, smoothed if asked."""
        excluded = excluded_only(self.edits)
        scores = yield from self._scoring.guided(imposed, request.prompts, excluded, focus)
        return self._scoring.smooth(scores, request.smoothing_px)

    def _usable_prompts(self, request: Request) -> Generator[Notice, None, Request]:
        """Return the request with the prompts that the network will be shown, or with none."""
        if request.prompts is None or not len(request.prompts):
            return replace(request, prompts=None)
        if not self.model.segmenter.takes_prompts:
            yield Notice(f"Model {self.model.card.name!r} takes no boxes and points; they are left out.")
            return replace(request, prompts=None)
        shape = (self.pixels.shape[0], self.pixels.shape[1])
        check_prompts(request.prompts, shape, self.scheme)
        if overhang := describe_overhang(request.prompts, shape):
            yield Notice(overhang)
        return request

    def _maps(
        self, request: Request, focus: Window | None
    ) -> Generator[Progress | Notice | Preview, None, _Maps]:
        """The maps without a ratio: of the model alone, and with the prompts."""
        if request.prompts is None:
            return _Maps(*self._own_map(request), *self._own_map(request))
        excluded = excluded_only(self.edits)
        yield from self._scoring.guided(None, request.prompts, excluded, focus)
        own = self._own_map(request)  # now, since memory may have run out and all of it begun anew
        sizes = (self._scoring.generation, request.smoothing_px, request.min_island_px)
        key = (sizes, request.prompts.key)
        if self._seen is None or self._seen[0] != key:
            labels = self._clean(argmax_labels(self._seen_scores(request), excluded), excluded, request)
            self._seen = (key, labels, self._shares(labels))
        return _Maps(*own, *self._seen[1:])

    def _seen_scores(self, request: Request) -> NDArray[np.float32]:
        """Scores without a ratio, with the prompts that the network was shown last, if any; smoothed."""
        return self._scoring.smoothed(request.smoothing_px, prompted=request.prompts is not None)

    def _own_map(self, request: Request) -> tuple[Labels, Ratio]:
        """The map without a ratio and its shares; the last one is kept."""
        key = (self._scoring.generation, request.smoothing_px, request.min_island_px)
        if self._own is None or self._own[0] != key:
            excluded = excluded_only(self.edits)
            labels = argmax_labels(self._scoring.smoothed(request.smoothing_px), excluded)
            labels = self._clean(labels, excluded, request)
            self._own = (key, labels, self._shares(labels))
        return self._own[1:]

    def _match(self, imposed: Ratio, request: Request, *, conditioned: Ratio | None) -> Match:
        """Match the calibrated scores, of the network with or without the ratio."""
        scores, matcher = self._ready_matcher(request, conditioned)
        match = matcher.match(imposed)
        if not request.min_island_px:
            return match
        # Cleaning changes the composition, so matching runs again, last, on scores that hold
        # the cleaned islands where they now belong.
        cleaned = remove_small_islands(match.labels, request.min_island_px, self.edits)
        return match_ratio(settle(scores, cleaned, match.offsets), imposed, fixed=self.edits)

    def _ready_matcher(
        self, request: Request, conditioned: Ratio | None
    ) -> tuple[NDArray[np.float32], Matcher]:
        """Return what is matched; the last is kept, so that another number costs only the matching."""
        scores = self._scoring.matchable(conditioned, request.smoothing_px, request.prompts)
        ratio = None if conditioned is None else tuple(conditioned.tolist())
        shown = None if request.prompts is None else request.prompts.key
        key = (id(scores), ratio, shown, request.smoothing_px)
        if self._matcher is None or self._matcher[0] != key:
            self._matcher = None
            self._matcher = (key, Matcher(scores, self.edits))
        return scores, self._matcher[1]

    def _clean(self, labels: Labels, fixed: Labels | None, request: Request) -> Labels:
        return remove_small_islands(labels, request.min_island_px, fixed) if request.min_island_px else labels

    def _shares(self, labels: Labels) -> Ratio:
        shares = ratio_from_labels(labels, len(self.scheme))
        if shares is None:
            raise MicrographError(f"{self.name}: every pixel is excluded. Erase some of the exclusion.")
        return shares

    def _result(
        self,
        labels: Labels,
        request: Request,
        maps: _Maps,
        imposed: Ratio | None = None,
        mode: Mode | None = None,
        notices: tuple[str, ...] = (),
        regions: tuple[RegionShares, ...] = (),
    ) -> Segmentation:
        asked = None if request.asked is None or np.isnan(request.asked).all() else request.asked
        return Segmentation(
            labels=labels,
            scheme=self.scheme,
            asked=asked,
            own=maps.own,
            imposed=imposed,
            achieved=self._shares(labels),
            own_labels=maps.own_labels,
            mode=mode,
            uncertainty=None if asked is None else request.uncertainty,
            notices=notices + self._strangeness(),
            regions=regions,
            prompts=request.prompts,
        )


def _sentences(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _choose_views(model: LoadedModel, flips: bool | None) -> Sequence[ViewCard]:
    views = model.card.inference.views
    if flips is False:
        return (ViewCard(),)
    return FOUR_FLIPS if flips and len(views) == 1 else views


def _choose_folder(wish: EmbeddingFolder | Literal["off"] | None) -> EmbeddingFolder | None:
    if wish == "off":
        return None
    return usual_embedding_folder() if wish is None else wish
