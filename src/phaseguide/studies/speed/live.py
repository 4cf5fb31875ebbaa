"""How quickly the mask follows a number, measured in a real viewer that runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import phaseguide
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files import resolved
from phaseguide.studies.speed.worker import worker_messages

LIVE_SIZES = (1024, 4096)
LIVE_CHANGES = 60
TO_LAYER, TO_FRAME, TO_CONDITIONED, LAG = (
    "value change to layer", "value change to painted frame", "value change to conditioned mask",
    "event-loop lag while values move",
)  # fmt: skip

_WORKER = "phaseguide.studies.speed.live_viewer"


@dataclass(frozen=True)
class LiveTask:
    """What one viewer measures: a model, the side of a square image in px, how many changes, threads (0: default)."""

    model: str
    size: int
    changes: int
    threads: int = 0


@dataclass(frozen=True)
class LiveRow:
    """Times of one kind in ms: percentiles and the largest.

    Attributes
    ----------
    size : int
        Side of the image in px.
    what : str
        `TO_LAYER`: from the key that changes a box to the layer's ``set_data`` event. `TO_FRAME`: to
        the end of the next frame on the screen. `TO_CONDITIONED`: to the ``set_data`` of the mask that
        the network made with the ratio, the rest of the hand that it waits for included. `LAG`: how late a timer
        of 10 ms was.
    count : int
        How many were measured.
    """

    size: int
    what: str
    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class LiveReport:
    """Rows of measurements with the machine and the display that they were made on."""

    machine: dict[str, Any]
    model: str
    rows: tuple[LiveRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``phaseguide benchmark live --json`` writes."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "version": phaseguide.__version__}


LiveEvent = Progress | Notice | LiveRow | Finished[LiveReport]


def benchmark_live(
    model: str | Path,
    *,
    sizes: Sequence[int] = LIVE_SIZES,
    changes: int = LIVE_CHANGES,
    threads: int = 0,
) -> Iterator[LiveEvent]:
    """Measure live mode in a viewer with a display; stop it by closing the generator.

    Parameters
    ----------
    model : path
        A model file.
    sizes : sequence of int
        Sides of the square images in px, at least 64.
    changes : int
        Of a value, one by one; as many again while the values move.
    threads : int
        CPU threads of torch; 0 leaves its default.

    Yields
    ------
    Progress, Notice, LiveRow
        While working.
    Finished of LiveReport
        Last.

    Raises
    ------
    PhaseguideError
        A size that is too small, or a viewer that did not come up.
    """
    from phaseguide.models.model_file import read_card
    from phaseguide.studies.speed.speed import describe_machine

    if not sizes or min(sizes) < 64:
        raise PhaseguideError(f"Sizes {list(sizes)} cannot be measured; give sides of at least 64 px.")
    card = read_card(model)
    rows: list[LiveRow] = []
    machine = describe_machine()
    for number, size in enumerate(sizes):
        yield Progress(f"{size} px: starting napari", number, len(sizes))
        task = LiveTask(str(resolved(model)), size, changes, threads)
        for message in worker_messages(_WORKER, asdict(task), f"live mode at {size} px"):
            if "row" in message:
                rows.append(LiveRow(**message["row"]))
                yield rows[-1]
            elif "machine" in message:
                machine = {**machine, **message["machine"]}
            else:
                yield Progress(f"{size} px: {message['stage']}", number, len(sizes))
    if card.guidance.kind == "none":
        yield Notice(f"Model {card.name!r} has no guidance, so there is no conditioned mask to measure.")
    yield Finished(LiveReport(machine, card.name, tuple(rows)))
