"""A session: one model on one image. Encode once, segment as often as the user changes a number."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
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
    validate_ratio,
)
from phaseguide.segmentation.constraints.prompts import check_prompts, describe_overhang
from phaseguide.segmentation.edits import excluded_only, say_the_same, take_edits
from phaseguide.segmentation.matching.match import argmax_labels
from phaseguide.segmentation.network.channels import fit_channels
from phaseguide.segmentation.network.device import Device, check_runtime, default_memory_mb
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder, usual_embedding_folder
from phaseguide.segmentation.network.logits import SMALLEST_TILE, Scoring, Window
from phaseguide.segmentation.request import FirstLook, Preview, Request, Segmentation
from phaseguide.segmentation.review.advice import (
    out_of_distribution_warning,
)
from phaseguide.segmentation.strategies import (
    KeptMatcher,
    Maps,
    Outcome,
    Task,
    area_shares,
    as_asked,
    by_region,
    cleaned,
    found_by_model,
    seen_scores,
    sentences,
    without_ratio,
)

__all__ = ["SMALLEST_TILE", "Session", "SessionEvent", "run_to_end"]

SessionEvent = Progress | Notice | FirstLook | Preview | Finished[Segmentation]
Labels = NDArray[np.uint8]


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
        case (True: the card's views of the whole image, or the four flips where it names one view only), or never.
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
    runtime : str
        What runs the network without a ratio: ``torch``; ``auto``, which is ONNX Runtime on the CPU where the extra
        ``fast-cpu`` is installed, the image has at least 512 x 512 px and the labels agree with those of torch; or
        ``onnx``, for small images too, and with a notice where it cannot be used.

    Raises
    ------
    MicrographError, ModelError, DeviceError
        An image that cannot be segmented, a model for other channels, a device or runtime that is not there.
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
        runtime: str = "torch",
    ) -> None:
        image = as_image_array(image, name)
        check_shape(image, name)
        self.model, self.scheme, self.name = model, model.card.scheme, name
        self.pixels = fit_channels(image, model.segmenter.in_channels, name)
        self.edits = take_edits(edits, self.pixels.shape[:2], self.scheme, name)
        check_values(image, name, self.edits)
        views, unsure_below = _choose_views(model, flips)
        self._scoring = Scoring(
            model,
            find_metal(self.pixels, self.edits),
            device,
            tile=tile,
            overlap=overlap,
            views=views,
            unsure_below=unsure_below,
            invert=invert,
            memory=(memory_mb or default_memory_mb()) * 1_000_000,
            name=name,
            folder=_choose_folder(embeddings),
            runtime=check_runtime(runtime),
        )
        self._invert, self._pixel_size_um = invert, pixel_size_um
        self._unlike_training: tuple[str, ...] | None = None
        self._own: tuple[tuple[float, ...], Labels, Ratio] | None = None
        self._seen: tuple[tuple[Any, ...], Labels, Ratio] | None = None
        self._matcher = KeptMatcher()

    @property
    def device(self) -> Device:
        """The device that the work runs on; it may change when memory runs out."""
        return self._scoring.device

    @property
    def tile(self) -> int:
        """Largest side in the network at once, px; it shrinks when memory runs out."""
        return self._scoring.tile

    @property
    def runtime(self) -> str:
        """What made the scores without a ratio: ``torch``, or ``onnxruntime`` and its version."""
        return self._scoring.runtime

    @property
    def views(self) -> Sequence[ViewCard]:
        """The views of the image that are averaged."""
        return self._scoring.views

    @property
    def unsure_below(self) -> float | None:
        """Where the views after the first look, see `phaseguide.models.card.InferenceCard`; None: everywhere."""
        return self._scoring.unsure_below

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
        self._own = self._seen = None
        self._matcher.forget()
        if not say_the_same(excluded_only(edits), excluded_only(before)):
            check_values(self.pixels, self.name, edits)
            self._scoring.show(find_metal(self.pixels, edits))
            self._unlike_training = None
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
        FirstLook
            While an image is encoded by a model that looks a second time at unsure places.
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
        task = Task(request, maps, self._scoring, self._matcher, self.edits, focus)
        if request.regions:
            outcome = yield from by_region(task, asked)
        elif request.auto:
            outcome = yield from found_by_model(task)
        elif asked is None:
            outcome = without_ratio(task)
        else:
            outcome = yield from as_asked(task, asked)
        yield Finished(self._result(request, maps, outcome))

    def prepare(self, request: Request) -> None:
        """Do now what the first ratio would have to wait for; after a `segment`."""
        if self.scores is not None:
            self._matcher.ready(self._scoring, replace(request, prompts=None), self.edits, None)

    def features_at(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return what a pixel classifier gets to see of pixels, for fitting it; the image is encoded once.

        Parameters
        ----------
        rows, columns : ndarray of int, shape (N,)

        Returns
        -------
        ndarray of float32, shape (N, C)
            NaN for pixels in margins that are excluded altogether.

        Raises
        ------
        ModelError
            The model's backbone is not ``pixels``.
        MicrographError
            Nothing was segmented yet, so nothing is encoded.
        """
        from phaseguide.segmentation.network.features_at import features_at

        if self._scoring.encoded is None:
            raise MicrographError(
                f"{self.name} was not segmented yet. Segment it once; then its features are there."
            )
        return features_at(self._scoring.encoded, rows, columns)

    def _training_domain(self) -> tuple[str, ...]:
        """Say whether the image is unlike the training images; looked at once."""
        if self._unlike_training is None:
            self._unlike_training = sentences(
                out_of_distribution_warning(
                    self.metal, self.model.card, self._pixel_size_um, invert=self._invert
                )
            )
        return self._unlike_training

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
    ) -> Generator[Progress | Notice | Preview | FirstLook, None, Maps]:
        """The maps without a ratio: of the model alone, and with the prompts."""
        if request.prompts is None:
            return Maps(*self._own_map(request), *self._own_map(request))
        excluded = excluded_only(self.edits)
        yield from self._scoring.guided(None, request.prompts, excluded, focus)
        own = self._own_map(request)  # now, since memory may have run out and all of it begun anew
        sizes = (self._scoring.generation, request.smoothing_px, request.min_island_px)
        key = (sizes, request.prompts.key)
        if self._seen is None or self._seen[0] != key:
            labels = cleaned(argmax_labels(seen_scores(self._scoring, request), excluded), excluded, request)
            self._seen = (key, labels, self._shares(labels))
        return Maps(*own, *self._seen[1:])

    def _own_map(self, request: Request) -> tuple[Labels, Ratio]:
        """The map without a ratio and its shares; the last one is kept."""
        key = (self._scoring.generation, request.smoothing_px, request.min_island_px)
        if self._own is None or self._own[0] != key:
            excluded = excluded_only(self.edits)
            labels = argmax_labels(self._scoring.smoothed(request.smoothing_px), excluded)
            labels = cleaned(labels, excluded, request)
            self._own = (key, labels, self._shares(labels))
        return self._own[1:]

    def _result(self, request: Request, maps: Maps, outcome: Outcome) -> Segmentation:
        asked = None if request.asked is None or np.isnan(request.asked).all() else request.asked
        return Segmentation(
            labels=outcome.labels,
            scheme=self.scheme,
            asked=asked,
            own=maps.own,
            imposed=outcome.imposed,
            achieved=self._shares(outcome.labels),
            own_labels=maps.own_labels,
            mode=outcome.mode,
            uncertainty=None if asked is None else request.uncertainty,
            notices=outcome.notices + self._training_domain(),
            regions=outcome.regions,
            prompts=request.prompts,
            found=outcome.found,
        )

    def _shares(self, labels: Labels) -> Ratio:
        return area_shares(labels, self.scheme, self.name)


def _choose_views(model: LoadedModel, flips: bool | None) -> tuple[Sequence[ViewCard], float | None]:
    """Views, and where those after the first look; see `phaseguide.models.card.InferenceCard.unsure_below`."""
    how = model.card.inference
    if flips is None:
        return how.views, how.unsure_below
    if not flips:
        return (ViewCard(),), None
    return FOUR_FLIPS if len(how.views) == 1 else how.views, None


def _choose_folder(wish: EmbeddingFolder | Literal["off"] | None) -> EmbeddingFolder | None:
    if wish == "off":
        return None
    return usual_embedding_folder() if wish is None else wish
