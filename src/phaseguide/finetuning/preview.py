"""Predictions of what the user is looking at, every few seconds, while the model learns."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterator

import torch

from phaseguide.events import Notice
from phaseguide.finetuning.events import Preview, PreviewField
from phaseguide.models.backbones.base import Features
from phaseguide.models.segmenter import GuidedSegmenter, normalise_image
from phaseguide.segmentation.matching.match import argmax_labels
from phaseguide.training.tiled import decode_field, encode_field

logger = logging.getLogger(__name__)

PAUSES = 4
"""A preview is followed by so many times its own duration without one."""


class Previewer:
    """Asks for the field on show and predicts it, not more often than agreed.

    It draws no random number and changes no weight, so that a run with previews ends like one without. ``ask`` returns
    the field, or None where there is nothing to show.
    """

    def __init__(
        self, ask: Callable[[], PreviewField | None] | None, every: float, device: torch.device
    ) -> None:
        self._ask, self._least, self._every, self._device = ask, every, every, device
        self._last = time.monotonic()
        self._key: Hashable = None
        self._features: list[Features] | None = None

    def look(self, segmenter: GuidedSegmenter, epoch: int, *, frozen: bool) -> Iterator[Preview | Notice]:
        """Predict the field if it is time for it; what goes wrong ends the previews, never the run.

        With a ``frozen`` encoder the features of an unchanged field are still good. The segmenter is in evaluation
        mode.
        """
        if self._ask is None or time.monotonic() - self._last < self._every:
            return
        began = time.monotonic()
        try:
            field = self._ask()
            if field is not None:
                yield self.predict(segmenter, field, epoch, frozen=frozen)
        except Exception as error:
            logger.warning("a preview failed", exc_info=error)
            self._ask = None
            yield Notice(
                f"Learning goes on without previews: the field on show could not be predicted ({error})."
            )
        self._last = time.monotonic()
        # A large network that takes long to predict is to spend its time learning.
        self._every = max(self._least, PAUSES * (self._last - began))

    def predict(
        self, segmenter: GuidedSegmenter, field: PreviewField, epoch: int, *, frozen: bool
    ) -> Preview:
        """Predict a field now; parameters as for `look`."""
        with torch.no_grad():
            planes = torch.from_numpy(normalise_image(field.pixels, field.limits))[None]
            image = planes.to(self._device, memory_format=torch.channels_last)
            if not frozen or self._features is None or self._key != field.key:
                self._features, self._key = encode_field(segmenter, image), field.key
            scores = decode_field(segmenter, image, self._features)
        return Preview(argmax_labels(scores), epoch, field.key)
