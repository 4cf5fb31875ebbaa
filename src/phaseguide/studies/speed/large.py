"""Time and memory of large images on the CPU: cost a megapixel, and the most memory that was held."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phaseguide.events import Finished, Progress
from phaseguide.files.foreign import resolved
from phaseguide.ratios import Ratio
from phaseguide.segmentation.request import Request
from phaseguide.studies.report import machine_line, number, plain_table
from phaseguide.studies.speed.clock import benchmark_image, changed_ratios, timed
from phaseguide.studies.speed.harness import (
    OnStage,
    SpeedReport,
    Task,
    check_sizes,
    measure_all,
    report_of,
    serve,
)
from phaseguide.studies.speed.machine import peak_mb
from phaseguide.studies.speed.random_models import NARROW, narrow_model

SIZES = (2048, 4096, 8192, 16384)
STAGES = ("first segmentation", "changed ratio by matching", "changed ratio with decode")


@dataclass(frozen=True)
class LargeTask:
    """What one worker measures: a model file, the side of a square image in px, threads (0: torch's default)."""

    model: str
    size: int
    threads: int
    memory_mb: int | None


@dataclass(frozen=True)
class LargeRow:
    """Seconds a megapixel (10^6 px), and the highest resident memory so far in GB (10^9 bytes).

    Each measurement has three numbers: ``_s`` on the clock, ``_cpu_s`` of the processor (all threads
    added up; what other programs take is not in it), ``_gb`` the memory.

    Attributes
    ----------
    loaded_gb : float or None
        With the model and the image loaded, before any work; None where the system does not tell.
    first
        First result of a new image without a ratio, encoding included.
    matching
        After a changed ratio, by matching only; the second change, as the first one after an encoding
        looks at the scores once more.
    decode
        After a changed ratio, by the decoder and matching; None for a model without guidance.
    error_px : float
        Largest difference between imposed and achieved composition, in px.
    scratch : bool
        Whether the scores went to a scratch file.
    """

    size: int
    phases: int
    threads: int
    scratch: bool
    loaded_gb: float | None
    first_s: float
    first_cpu_s: float
    first_gb: float | None
    matching_s: float
    matching_cpu_s: float
    matching_gb: float | None
    decode_s: float | None
    decode_cpu_s: float | None
    decode_gb: float | None
    error_px: float


LargeEvent = Progress | LargeRow | Finished[SpeedReport]


def benchmark_large(
    model: str | Path | None = None,
    *,
    sizes: Sequence[int] = SIZES,
    threads: int = 0,
    memory_mb: int | None = None,
) -> Iterator[LargeEvent]:
    """Measure each size in a process of its own; stop it by closing the generator.

    Parameters
    ----------
    model : path, optional
        A model file; None makes a narrow one with random weights, for the time and memory of everything
        around the network.
    sizes : sequence of int
        Sides of the square images in px.
    threads : int
        CPU threads of torch; 0 leaves its default.
    memory_mb : int, optional
        Budget of the session; None leaves its default.

    Raises
    ------
    PhaseguideError
        A size that is too small, or a worker that failed.
    """
    from phaseguide.models.model_file import read_card

    check_sizes(sizes, 32)
    with tempfile.TemporaryDirectory(prefix="phaseguide-large-") as folder:
        path = narrow_model(Path(folder)) if model is None else Path(model)
        name = NARROW if model is None else read_card(path).name
        tasks = [
            Task(
                __name__,
                LargeTask(str(resolved(path)), size, threads, memory_mb),
                LargeRow,
                f"{size} px",
                STAGES,
            )
            for size in sizes
        ]
        measured = yield from measure_all(tasks)
    yield Finished(report_of(measured, model=name))


def measure(task: LargeTask, on_stage: OnStage) -> LargeRow:
    """Measure one size; ``on_stage`` hears what comes next."""
    import torch

    from phaseguide.models.model_file import load_model
    from phaseguide.segmentation.session import Session, run_to_end

    model = load_model(Path(task.model))
    guided = model.card.guidance.takes_ratio
    session = Session(
        model, benchmark_image(task.size), device="cpu", memory_mb=task.memory_mb, embeddings="off"
    )
    loaded, errors, megapixels = _peak_gb(), [0.0], task.size**2 / 1e6

    def run(request: Request) -> tuple[float, float, Ratio]:
        result, clock = timed(lambda: run_to_end(session.segment(request)))
        if result.imposed is not None:
            errors.append(float(np.abs(result.achieved - result.imposed).max()) * task.size**2)
        return clock.wall / megapixels, clock.cpu / megapixels, result.own

    on_stage(STAGES[0])
    first, first_cpu, own = run(Request())
    first_gb, ratios = _peak_gb(), changed_ratios(own)
    on_stage(STAGES[1])
    run(Request(asked=next(ratios), uncertainty=0.0, mode="matched"))
    matching, matching_cpu, _ = run(Request(asked=next(ratios), uncertainty=0.0, mode="matched"))
    matching_gb = _peak_gb()
    decode = decode_cpu = None
    if guided:
        on_stage(STAGES[2])
        decode, decode_cpu, _ = run(Request(asked=next(ratios), uncertainty=0.0, mode="both"))
    return LargeRow(
        size=task.size,
        phases=len(model.card.scheme),
        threads=torch.get_num_threads(),
        scratch=isinstance(session.scores, np.memmap),
        loaded_gb=loaded,
        first_s=first,
        first_cpu_s=first_cpu,
        first_gb=first_gb,
        matching_s=matching,
        matching_cpu_s=matching_cpu,
        matching_gb=matching_gb,
        decode_s=decode,
        decode_cpu_s=decode_cpu,
        decode_gb=_peak_gb() if guided else None,
        error_px=max(errors),
    )


def _peak_gb() -> float | None:
    peak = peak_mb()
    return None if peak is None else peak / 1000


def to_lines(report: SpeedReport) -> list[str]:
    """Return the report as lines of Markdown."""
    rows: Sequence[LargeRow] = report.rows
    stages = {
        "first": "first result",
        "matching": "changed ratio, matching",
        "decode": "changed ratio, decode",
    }
    cells: list[tuple[object, ...]] = []
    for row in rows:
        cells.append((row.size, "model and image loaded", None, None, number(row.loaded_gb)))
        for stage, name in stages.items():
            seconds, cpu, memory = (getattr(row, f"{stage}_{unit}") for unit in ("s", "cpu_s", "gb"))
            if seconds is not None:
                cells.append((None, name, number(seconds), number(cpu), number(memory)))
    worst = max(row.error_px for row in rows)
    return [
        machine_line(report.machine, f"model {report.about['model']}"),
        "",
        *plain_table(("size", "", "s/Mpx", "CPU s/Mpx", "peak GB"), cells),
        "",
        "peak GB is the most memory held up to then, the program included.",
        f"Largest difference between imposed and achieved composition: {worst:.1f} px.",
    ]


if __name__ == "__main__":
    serve(LargeTask, measure)
