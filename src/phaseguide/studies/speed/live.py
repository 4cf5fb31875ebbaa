"""How quickly the mask follows a number, measured in a real viewer that runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.foreign import resolved
from phaseguide.studies.report import fixed, machine_line, table
from phaseguide.studies.speed.harness import SpeedReport, Task, check_sizes, measure_all, report_of

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


LiveEvent = Progress | Notice | LiveRow | Finished[SpeedReport]


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

    Raises
    ------
    PhaseguideError
        A size that is too small, or a viewer that did not come up.
    """
    from phaseguide.models.model_file import read_card

    check_sizes(sizes, 64)
    card = read_card(model)
    tasks = [
        Task(
            _WORKER,
            LiveTask(str(resolved(model)), size, changes, threads),
            LiveRow,
            f"live mode at {size} px",
        )
        for size in sizes
    ]
    measured = yield from measure_all(tasks)
    if not card.guidance.takes_ratio:
        yield Notice(
            f"Model {card.name!r} has no guidance that takes a ratio, so there is no conditioned mask to measure."
        )
    yield Finished(report_of(measured, model=card.name))


def to_lines(report: SpeedReport) -> list[str]:
    """Return the report as lines of Markdown."""
    machine, rows = report.machine, report.rows
    told = (f"napari {machine['napari']}", machine["opengl"], f"model {report.about['model']}")
    return [
        machine_line(machine, *told),
        "",
        *table(
            {
                "measured, ms": lambda row: row.what,
                "size": lambda row: row.size,
                "n": lambda row: row.count,
                "p50": lambda row: fixed(row.p50, 0),
                "p95": lambda row: fixed(row.p95, 0),
                "p99": lambda row: fixed(row.p99, 0),
                "max": lambda row: fixed(row.max, 0),
            },
            rows,
        ),
    ]
