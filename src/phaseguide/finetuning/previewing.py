"""Predictions of what the user is looking at, every few seconds, while the model learns."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

import torch

from phaseguide.finetuning.events import Preview, PreviewField
from phaseguide.models.backbones import Features
from phaseguide.models.segmenter import GuidedSegmenter, normalise_image
from phaseguide.segmentation.matching import argmax_labels


class Previewer:
    """Asks for the field on show and predicts it, not more often than agreed.

    It draws no random number and changes no weight, so that a run with previews ends like one without.

    Parameters
    ----------
    ask : callable or None
        Returns the field, or None where there is nothing to show.
    every : float
        Seconds.
    device : torch.device
    """

    def __init__(
        self, ask: Callable[[], PreviewField | None] | None, every: float, device: torch.device
    ) -> None:
        self._ask, self._every, self._device = ask, every, device
        self._last = time.monotonic()
        self._key: Hashable = None
        self._features: Features | None = None
        self.spent = 0.0

    def look(self, segmenter: GuidedSegmenter, epoch: int, frozen: bool) -> Preview | None:
        """Predict the field if it is time for it.

        Parameters
        ----------
        segmenter : GuidedSegmenter
            In evaluation mode.
        epoch : int
        frozen : bool
            The encoder does not learn, so that its features of an unchanged field are still good.
        """
        if self._ask is None or time.monotonic() - self._last < self._every:
            return None
        started = time.monotonic()
        field = self._ask()
        shown = None if field is None else self._predict(segmenter, field, epoch, frozen)
        self._last = time.monotonic()
        self.spent += self._last - started
        return shown

    def _predict(self, segmenter: GuidedSegmenter, field: PreviewField, epoch: int, frozen: bool) -> Preview:
        with torch.no_grad():
            if not frozen or self._features is None or self._key != field.key:
                planes = torch.from_numpy(normalise_image(field.pixels, field.limits))[None]
                image = planes.to(self._device, memory_format=torch.channels_last)
                self._features, self._key = segmenter.encode(image), field.key
            scores = segmenter.decode(self._features)[0].float().cpu().numpy()
        return Preview(argmax_labels(scores), epoch, field.key)
