"""Time and memory of large images on the CPU: cost a megapixel, and the most memory that was held.

Run as ``python -m phaseguide.studies.speed.large`` with a task as JSON on standard input, it measures
one size and writes lines of JSON: ``{"stage": ...}`` before each measurement, then ``{"row": ...}``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import phaseguide
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Progress
from phaseguide.files import resolved
from phaseguide.studies.speed.speed import describe_machine
from phaseguide.studies.speed.speed_worker import benchmark_image, peak_memory_mb
from phaseguide.studies.speed.worker import serve, worker_messages

if TYPE_CHECKING:
    from phaseguide.segmentation.request import Request, Segmentation
    from phaseguide.segmentation.session import Session

SIZES = (2048, 4096, 8192, 16384)
NARROW = "narrow (random weights)"
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


@dataclass(frozen=True)
class LargeReport:
    """Rows of measurements with the machine and the model they were made with."""

    machine: dict[str, Any]
    model: str
    rows: tuple[LargeRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``phaseguide benchmark large --json`` writes."""
        return {**asdict(self), "rows": [asdict(r) for r in self.rows], "version": phaseguide.__version__}


LargeEvent = Progress | LargeRow | Finished[LargeReport]


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

    Yields
    ------
    Progress, LargeRow
        While working.
    Finished of LargeReport
        Last.

    Raises
    ------
    PhaseguideError
        A size that is too small, or a worker that failed.
    """
    from phaseguide.models.model_file import read_card

    if not sizes or min(sizes) < 32:
        raise PhaseguideError(f"Sizes {list(sizes)} cannot be measured; give sides of at least 32 px.")
    with tempfile.TemporaryDirectory(prefix="phaseguide-large-") as folder:
        path = narrow_model(Path(folder)) if model is None else Path(model)
        name = NARROW if model is None else read_card(path).name
        rows = []
        for index, size in enumerate(sizes):
            task = LargeTask(str(resolved(path)), size, threads, memory_mb)
            for message in worker_messages(__name__, asdict(task), f"{size} px"):
                if "row" in message:
                    rows.append(LargeRow(**message["row"]))
                    yield rows[-1]
                else:
                    step = index * len(STAGES) + STAGES.index(message["stage"])
                    yield Progress(f"{size} px: {message['stage']}", step, len(sizes) * len(STAGES))
    machine = {**describe_machine(), "threads": rows[0].threads}
    yield Finished(LargeReport(machine, name, tuple(rows)))


def narrow_model(folder: Path) -> Path:
    """Write a cheap guided model with random weights (seed 0) and four phases into a folder."""
    import torch

    from phaseguide.models.backbones.base import BackboneOptions
    from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard
    from phaseguide.models.model_file import save_model
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
    from phaseguide.phases import PhaseScheme

    scheme = PhaseScheme.from_names(("a", "b", "c", "d"))
    encoder, k = "tu-lcnet_050", len(scheme)
    backbone = BackboneOptions("unet", encoder, 1, {"decoder_channels": [16, 8, 8, 8, 4]})
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        segmenter = GuidedSegmenter(backbone, GuidanceOptions("additive", {}), scheme)
    card = Card(
        name=NARROW,
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(architecture="unet", encoder=encoder, in_channels=1),
        guidance=GuidanceCard(kind="additive"),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[0.3] * k,
        calibration=CalibrationCard(own_error=[0.3] * k),
    )
    path = folder / "narrow.safetensors"
    save_model(path, segmenter, card)
    return path


def measure(task: LargeTask, on_stage: Callable[[str], None]) -> LargeRow:
    """Measure one size; ``on_stage`` hears what comes next."""
    import torch

    from phaseguide.models.model_file import load_model
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session

    if task.threads:
        torch.set_num_threads(task.threads)
    model = load_model(Path(task.model))
    guided = model.card.guidance.kind != "none"
    session = Session(
        model, benchmark_image(task.size), device="cpu", memory_mb=task.memory_mb, embeddings="off"
    )
    loaded, errors, megapixels = _peak_gb(), [0.0], task.size**2 / 1e6

    def run(request: Request) -> tuple[float, float, Segmentation]:
        started, started_cpu = time.perf_counter(), time.process_time()
        result = _segment(session, request)
        seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
        if result.imposed is not None:
            errors.append(float(np.abs(result.achieved - result.imposed).max()) * task.size**2)
        return seconds / megapixels, cpu / megapixels, result

    on_stage(STAGES[0])
    first, first_cpu, result = run(Request())
    own, first_gb = result.own, _peak_gb()
    del result
    rng = np.random.default_rng(0)
    ratios = np.maximum(own, 0.02) * np.exp(0.2 * rng.standard_normal((3, own.size)))
    ratios /= ratios.sum(1, keepdims=True)
    on_stage(STAGES[1])
    run(Request(asked=ratios[0], uncertainty=0.0, mode="matched"))
    matching, matching_cpu, _ = run(Request(asked=ratios[1], uncertainty=0.0, mode="matched"))
    matching_gb = _peak_gb()
    decode = decode_cpu = None
    if guided:
        on_stage(STAGES[2])
        decode, decode_cpu, _ = run(Request(asked=ratios[2], uncertainty=0.0, mode="both"))
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


def _segment(session: Session, request: Request) -> Segmentation:
    result: Segmentation = next(e.result for e in session.segment(request) if isinstance(e, Finished))
    return result


def _peak_gb() -> float | None:
    peak = peak_memory_mb()
    return None if peak is None else peak / 1000


if __name__ == "__main__":
    serve(LargeTask, measure)
