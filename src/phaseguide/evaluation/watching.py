"""What looks on while a study runs, and sees every prediction with the labels that judge it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset, Item
from phaseguide.evaluation.evaluate import Predicted, StudyEvent
from phaseguide.events import Finished


class Watcher(Protocol):
    """What looks on."""

    def see(self, item: Item, labels: NDArray[np.uint8], predicted: Predicted) -> None:
        """Take notice of a prediction, with the labels of its field, shape (H, W)."""

    def finish(self) -> None:
        """Do what is left when all predictions were seen."""


def watched(
    events: Iterator[StudyEvent], dataset: Dataset, watchers: Sequence[Watcher]
) -> Iterator[StudyEvent]:
    """Pass the events of a study on, and show its predictions to watchers, which cannot change them."""
    items = {item.stem: item for item in dataset.items}
    for event in events:
        if isinstance(event, Predicted) and watchers:
            item, made = items[event.stem], event.segmentation
            labels = item.read_labels(made.scheme, (made.labels.shape[0], made.labels.shape[1]))
            for watcher in watchers:
                watcher.see(item, labels, event)
        elif isinstance(event, Finished):
            for watcher in watchers:
                watcher.finish()
        yield event
