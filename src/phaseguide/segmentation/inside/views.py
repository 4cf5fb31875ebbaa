"""Look inside: principal components of what every block of the encoder and the guidance put out, as colours."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phaseguide.errors import DeviceError, ModelError, RatioError, is_out_of_memory
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.arrays import as_image_array
from phaseguide.micrographs.validation import check_image
from phaseguide.models.backbones.base import pad_to_stride
from phaseguide.models.guidance.base import NoGuidance
from phaseguide.models.metal import find_metal
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.segmenter import GuidedSegmenter, normalise_image
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Ratio, complete_ratio, ratio_from_labels, validate_ratio
from phaseguide.segmentation.inside.activations import (
    Block,
    Encoded,
    TokenMap,
    block_count,
    has_adapters,
    inner_pass,
    token_map,
)
from phaseguide.segmentation.inside.colours import Projection, fit_projection
from phaseguide.segmentation.network.channels import fit_channels
from phaseguide.segmentation.network.device import choose_device

WINDOW = 1024
"""Side of the part of an image that is looked at, px."""

SMALLEST_WINDOW = 32

AFTER_GUIDANCE = "after guidance"
"""Names of views of what guidance has made begin so."""

Side = Literal["base", "adapted"]
InsideEvent = Progress | Notice | Finished["list[InsideView]"]


@dataclass(frozen=True, eq=False)
class InsideView:
    """What one block of one encoder makes of an image.

    Attributes
    ----------
    name : str
        ``"block 3"``, ``"stage 2"``, ``"encoder output"``, ``"after guidance, no ratio"`` ...
    encoder : {"base", "adapted"}
        The encoder as it was before training, or as it is in the model.
    rgb : ndarray of uint8, shape (h, w, 3)
        Principal components 1, 2 and 3 as red, green and blue.
    explained : tuple of float
        Share of the variance that each of the three holds, 0..1.
    stride : tuple of float
        Pixels of the image to a pixel of the picture, down and across.
    origin : tuple of int
        Row and column of the image where the picture begins.
    """

    name: str
    encoder: Side
    rgb: NDArray[np.uint8]
    explained: tuple[float, float, float]
    stride: tuple[float, float]
    origin: tuple[int, int]

    @property
    def guided(self) -> bool:
        """Whether this is what guidance has made of a map."""
        return self.name.startswith(AFTER_GUIDANCE)

    @property
    def centre_of_first(self) -> tuple[float, float]:
        """Row and column of the image at the middle of the picture's first pixel; for layers that lie on top."""
        down, across = (o + (s - 1) / 2 for o, s in zip(self.origin, self.stride, strict=True))
        return down, across

    def describe(self) -> str:
        """Return name and explained variance in a line."""
        shares = " + ".join(f"{share * 100:.0f}" for share in self.explained)
        return f"{self.name}: {shares} % of the variance"


def look_inside(
    model: LoadedModel,
    image: NDArray[Any],
    *,
    ratio: Ratio | None = None,
    base: GuidedSegmenter | None = None,
    device: str = "auto",
    window: int = WINDOW,
    centre: tuple[float, float] | None = None,
    invert: bool = False,
    name: str = "image",
    labels: NDArray[np.uint8] | None = None,
) -> Iterator[InsideEvent]:
    """Show what every block of a model's encoder sees in an image.

    The tokens of a block (64 x 64 x 768 in Segment Anything) become a picture (64 x 64 x 3) by their
    first three principal components. **A block of the base and of the adapted encoder share one
    projection**, fitted on the tokens of both together, and one scale, so a colour means the same in both
    pictures; colours of different blocks have nothing to do with each other. What guidance makes of
    the encoder's output is shown in the projection and scale of that output. The same input gives the same pictures.

    The image is seen at its own scale, not mirrored or zoomed as the model's views may be. One block at
    a time is in memory, and of the base encoder a block's tokens as float16 until the other encoder has
    come to the same block (75 MB for ViT-B at 1024 px).

    Parameters
    ----------
    model : LoadedModel
        Any architecture. Its network is used as it is and must not be used by others meanwhile.
    image : ndarray, shape (H, W) or (H, W, 3)
        uint8, uint16 or float.
    ratio : ndarray, shape (K,), optional
        Show guidance with this ratio too; NaN where open, which is filled as in a session.
    base : GuidedSegmenter, optional
        The encoder to compare with, of the same architecture, for example
        `phaseguide.segmentation.inside.base_encoder.find_base`. Without it, a model with adapters is
        compared with itself without them, and any other is shown alone.
    device : {"auto", "cpu", "cuda", "mps"}
    window : int
        Largest side of the part that is looked at, px; at least 32.
    centre : tuple of float, optional
        Row and column of the middle of that part; the middle of the image by default. The part stays
        inside the image.
    invert : bool
        The image's contrast is inverted.
    name : str
        What to call the image in errors.
    labels : ndarray of uint8, shape (H, W), optional
        What is excluded (255) is left out, as in a session; the part stays within the rest.

    Yields
    ------
    Progress, Notice, and last Finished with a list of InsideView
        Base before adapted, each in the order of the network, guidance last.

    Raises
    ------
    MicrographError, ModelError, RatioError, DeviceError
        An image, a base, a ratio, a window or a device that cannot be used; memory that ran out.
    """
    image = as_image_array(image, name)
    check_image(image, name, labels)
    segmenter = model.segmenter
    if base is not None:
        _check_base(segmenter, base)
    asked = None if ratio is None or np.isnan(ratio).all() else validate_ratio(ratio, model.card.scheme)
    if asked is not None and not (segmenter.takes_ratio and len(segmenter.guidance)):
        raise RatioError(
            f"{model.card.name} has no guidance inside that takes a ratio, so one changes nothing there. Leave the "
            "ratio out, or choose a guided model."
        )
    pixels = fit_channels(image, segmenter.in_channels, name)
    metal = find_metal(pixels, labels)
    top, left = (side.start for side in metal.window)
    middle = None if centre is None else (centre[0] - top, centre[1] - left)
    rows, columns = choose_window((metal.seen.shape[0], metal.seen.shape[1]), window, middle)
    planes = normalise_image(metal.seen[rows, columns], metal.limits, invert=invert)
    place = choose_device(device).torch_device
    looker = _Look(model, asked, (top + rows.start, left + columns.start), (planes.shape[1], planes.shape[2]))
    try:
        segmenter.to(place)
        if base is not None:
            base.to(place)
        padded = pad_to_stride(torch.from_numpy(planes)[None].to(place), segmenter.backbone.stride)
        yield from looker.run(padded, base)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"{name}: memory ran out while looking inside {model.card.name} with a window of {window} px. Choose a "
            "smaller window, or another device."
        ) from error
    yield Finished(looker.views)


def choose_window(
    size: tuple[int, int], side: int, centre: tuple[float, float] | None = None
) -> tuple[slice, slice]:
    """Return rows and columns of the part of an image that is looked at.

    Raises `ModelError` for a side of less than 32 px, or a middle that is no number.
    """
    if side < SMALLEST_WINDOW:
        raise ModelError(
            f"A window of {side} px is smaller than what the network sees as one; give at least {SMALLEST_WINDOW} px."
        )
    middle = centre if centre is not None else (size[0] / 2, size[1] / 2)
    if not all(math.isfinite(at) for at in middle):
        raise ModelError(f"The middle of the window, {centre}, is no place. Give its row and column in px.")
    spans = []
    for length, at in zip(size, middle, strict=True):
        start = min(max(0, round(at - side / 2)), max(0, length - side))
        spans.append(slice(start, min(length, start + side)))
    return spans[0], spans[1]


class _Look:
    """One look: two passes, block by block; what a pass leaves behind is kept here."""

    def __init__(
        self, model: LoadedModel, asked: Ratio | None, origin: tuple[int, int], shown: tuple[int, int]
    ) -> None:
        self._segmenter: GuidedSegmenter = model.segmenter
        self._asked, self._origin, self._shown = asked, origin, shown
        self._base_views: list[InsideView] = []
        self._views: list[InsideView] = []

    @property
    def views(self) -> list[InsideView]:
        """Base before adapted."""
        return self._base_views + self._views

    def run(
        self, image: torch.Tensor, base: GuidedSegmenter | None
    ) -> Generator[Progress | Notice, None, None]:
        """Look at every block of both encoders, then at the guidance."""
        backbone = self._segmenter.backbone
        kept: dict[str, TokenMap] = {}
        before: Encoded | None = None
        if base is not None or has_adapters(backbone):
            encoder = backbone if base is None else base.backbone
            passing = inner_pass(encoder, image, self._shown, adapters=base is not None)
            stage = "Looking into the base encoder"
            before = yield from _each(passing, stage, block_count(encoder), lambda block: _keep(kept, block))
        last: list[TokenMap] = []

        def show(block: Block) -> str:
            if block.map is None:
                return f"{block.name} puts out no map of the image, so it is left out."
            self._show(block.name, kept.pop(block.name, None), block.map)
            last[:] = [block.map]
            return ""

        passing = inner_pass(backbone, image, self._shown)
        encoded = yield from _each(passing, "Looking into the encoder", block_count(backbone), show)
        yield Progress("Looking at the guidance", 0, 1)
        self._show_output(image, before, encoded, last[0] if last else None)
        yield Progress("Looking at the guidance", 1, 1)

    def _show_output(
        self, image: torch.Tensor, before: Encoded | None, after: Encoded, last: TokenMap | None
    ) -> None:
        """The encoder's output, unless it was the last block, and what each guidance makes of its map.

        Without a ratio every guidance lets its map pass, so that is shown once.
        """
        size = (int(image.shape[-2]), int(image.shape[-1]))
        ratio = self._completed(after)
        for level, guidance in enumerate(self._segmenter.guidance, start=1):
            now, then = after.output[-level], None if before is None else before.output[-level]
            known = last is not None and np.array_equal(last.tokens, now.tokens)
            if level == 1 and not known:
                projection = self._show("encoder output", then, now)
            elif isinstance(guidance, NoGuidance):
                continue
            else:
                projection = _fit(then, now)
            if isinstance(guidance, NoGuidance):
                continue
            where = AFTER_GUIDANCE if level == 1 else f"{AFTER_GUIDANCE} at 1/{now.stride[0]:g}"
            for words, given in self._ratios(ratio)[0 if level == 1 else 1 :]:
                with torch.no_grad():
                    guided = guidance(after.features.maps[-level], given)
                shown = token_map(guided, None, size, self._shown)
                assert shown is not None
                self._views.append(self._view(f"{where}, {words}", "adapted", projection, shown))

    def _ratios(self, ratio: Ratio | None) -> list[tuple[str, torch.Tensor | None]]:
        """No ratio, and the one that was asked for, with the words for it."""
        ratios: list[tuple[str, torch.Tensor | None]] = [("no ratio", None)]
        if ratio is not None and self._asked is not None:
            device = next(self._segmenter.parameters()).device
            given = torch.as_tensor(ratio, dtype=torch.float32, device=device)[None]
            ratios.append((f"with {describe_shares(self._asked, self._segmenter.scheme)}", given))
        return ratios

    def _completed(self, encoded: Encoded) -> Ratio | None:
        """The asked ratio with its open phases filled in the model's own proportions."""
        if self._asked is None or not np.isnan(self._asked).any():
            return self._asked
        with torch.no_grad():
            labels = self._segmenter.decode(encoded.features)[0].argmax(0) + 1
        seen = labels[: self._shown[0], : self._shown[1]].cpu().numpy().astype(np.uint8)
        own = ratio_from_labels(seen, len(self._segmenter.scheme))
        assert own is not None  # every pixel has a phase
        return complete_ratio(self._asked, own)

    def _show(self, name: str, base: TokenMap | None, adapted: TokenMap) -> Projection:
        projection = _fit(base, adapted)
        if base is not None:
            self._base_views.append(self._view(name, "base", projection, base))
        self._views.append(self._view(name, "adapted", projection, adapted))
        return projection

    def _view(self, name: str, encoder: Side, projection: Projection, shown: TokenMap) -> InsideView:
        return InsideView(
            name, encoder, projection.colours(shown.tokens), projection.explained, shown.stride, self._origin
        )


def describe_shares(ratio: Ratio, scheme: PhaseScheme) -> str:
    """Return what was asked for in words: ``20 % ferrite, 15 % bainite``; open phases are left out."""
    said = [
        f"{share * 100:.3g} % {phase.name}"
        for share, phase in zip(ratio, scheme, strict=True)
        if not np.isnan(share)
    ]
    return ", ".join(said) or "every phase open"


def _each(
    passing: Generator[Block, None, Encoded], stage: str, count: int, take: Any
) -> Generator[Progress | Notice, None, Encoded]:
    """Give every block of a pass to a function, and tell of each; the function may return a notice."""
    yield Progress(stage, 0, count)
    done = 0
    try:
        while True:
            try:
                block = next(passing)
            except StopIteration as end:
                encoded: Encoded = end.value
                return encoded
            notice = take(block)
            if notice:
                yield Notice(notice)
            done += 1
            yield Progress(stage, min(done, count), count)
    finally:
        passing.close()  # the pass must not go on in its thread when nobody looks any more


def _keep(kept: dict[str, TokenMap], block: Block) -> None:
    if block.map is not None:
        kept[block.name] = block.map


def _fit(base: TokenMap | None, adapted: TokenMap) -> Projection:
    """One projection for a block of both encoders."""
    return fit_projection([one.tokens for one in (base, adapted) if one is not None])


def _check_base(segmenter: GuidedSegmenter, base: GuidedSegmenter) -> None:
    mine, other = segmenter.backbone.options, base.backbone.options
    same = (mine.architecture, mine.encoder, mine.in_channels)
    if same != (other.architecture, other.encoder, other.in_channels):
        raise ModelError(
            f"The model has the encoder {mine.encoder} for {mine.in_channels} channels ({mine.architecture}), but the "
            f"base has {other.encoder} for {other.in_channels} ({other.architecture}). Only encoders of one kind can "
            "be compared block by block."
        )
