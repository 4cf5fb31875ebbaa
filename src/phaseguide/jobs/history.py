"""Earlier results: the last runs of each image, so that any of them is one click away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phaseguide.jobs.inputs import Inputs
from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.results import PlaneResult
from phaseguide.phases import PhaseScheme

KEPT_RUNS = 10
KEPT_BYTES = 256_000_000


@dataclass
class Run:
    """What stood in the result layer at one time: a result for each plane, and what had been set for it."""

    scheme: PhaseScheme
    planes: dict[Index, PlaneResult] = field(default_factory=dict)
    inputs: Inputs = field(default_factory=Inputs)

    def maps(self) -> Iterator[NDArray[np.uint8]]:
        """All label maps that are held in memory."""
        for plane in self.planes.values():
            yield plane.segmentation.labels
            yield plane.segmentation.own_labels


class History:
    """Runs of one image and which of them is on show."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.position = -1

    @property
    def shown(self) -> Run | None:
        """The run on show."""
        return self.runs[self.position] if self.runs else None

    def add(self, run: Run) -> None:
        """Append a run and show it; the oldest go when there are too many or they fill the memory."""
        self.runs.append(run)
        self.trim()

    def trim(self) -> None:
        """Forget the oldest runs and show the newest."""
        while len(self.runs) > KEPT_RUNS or (len(self.runs) > 2 and self._nbytes() > KEPT_BYTES):
            self.runs.pop(0)
        self.position = len(self.runs) - 1

    def step(self, by: int) -> Run | None:
        """Show an earlier (-1) or later (1) run, as far as there are any."""
        if self.runs:
            self.position = min(max(self.position + by, 0), len(self.runs) - 1)
        return self.shown

    def _nbytes(self) -> int:
        # Runs share the maps of planes that they did not touch.
        return sum({id(m): m.nbytes for run in self.runs for m in run.maps()}.values())
