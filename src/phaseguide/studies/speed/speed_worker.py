"""Measures one image size on one device, in a process of its own so that its peak memory is its own.

Run as ``python -m phaseguide.studies.speed.speed_worker`` with a task as JSON on standard input. Writes
lines of JSON: ``{"stage": ...}`` before each measurement, then ``{"row": ...}``, or ``{"error": ...}``.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.events import Finished
from phaseguide.studies.speed.worker import serve

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session

STAGES = (
    "first segmentation",
    "changed ratio by matching",
    "changed ratio with decode",
    "plain forward pass",
)


@dataclass(frozen=True)
class Task:
    """What one worker measures: a model, a device and the side of a square image in px."""

    model: str
    device: str
    size: int
    threads: int
    repeats: int


@dataclass(frozen=True)
class SpeedRow:
    """Times in seconds (medians), memory in MB (10^6 bytes).

    Attributes
    ----------
    first_s : float
        First segmentation of a new image without a ratio, encoding included; program and model warm.
    matching_s : float
        Segmentation after a changed ratio, by matching only.
    decode_s : float or None
        The same with the decoder run again for that ratio; None for a model without guidance.
    forward_s : float
        Plain forward pass of the same network over the same tiles: one view, no blending or labels.
    tiles, views : int
        Tiles of the image, and how many flipped copies of each the session averages.
    baseline_mb, peak_mb : float or None
        Resident memory with the model loaded, and the highest of the session's work.
    gpu_peak_mb : float or None
    """

    device: str
    device_name: str
    size: int
    threads: int
    tiles: int
    views: int
    first_s: float
    matching_s: float
    decode_s: float | None
    forward_s: float
    baseline_mb: float | None
    peak_mb: float | None
    gpu_peak_mb: float | None


def measure(task: Task, on_stage: Callable[[str], None]) -> SpeedRow:
    """Measure one row; ``on_stage`` hears what comes next."""
    import torch

    from phaseguide.models.model_file import load_model
    from phaseguide.segmentation.network.device import choose_device
    from phaseguide.segmentation.network.embeddings import MEMORY
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session

    if task.threads:
        torch.set_num_threads(task.threads)
    on_stage("loading the model")
    device = choose_device(task.device)
    model = load_model(Path(task.model))
    image = benchmark_image(task.size)
    guided = model.card.guidance.kind != "none"

    def open_session(pixels: NDArray[Any]) -> Session:
        MEMORY.clear()  # every repeat encodes
        return Session(model, pixels, device=task.device, embeddings="off")

    warm = open_session(image if device.kind == "cuda" else image[:256, :256])
    own = _run(warm.segment(Request())).own
    _run(warm.segment(Request(asked=own, uncertainty=0.0, mode="both" if guided else "matched")))
    del warm
    ratios = _changed_ratios(own)
    baseline = peak_memory_mb()
    if device.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()

    on_stage(STAGES[0])
    first = []
    for _ in range(task.repeats):
        session = open_session(image)
        first.append(_segment_seconds(session, Request()))
    on_stage(STAGES[1])
    matching = [
        _segment_seconds(session, Request(asked=next(ratios), uncertainty=0.0, mode="matched"))
        for _ in range(2 * task.repeats + 1)
    ]
    on_stage(STAGES[2])
    decode = [
        _segment_seconds(session, Request(asked=next(ratios), uncertainty=0.0, mode="both"))
        for _ in range(task.repeats if guided else 0)
    ]
    peak = peak_memory_mb()
    gpu_peak = torch.cuda.max_memory_allocated() / 1e6 if device.kind == "cuda" else None
    on_stage(STAGES[3])
    tiles, forward = _plain_forward(model, image, device, task.repeats)
    return SpeedRow(
        device=device.kind,
        device_name=device.name,
        size=task.size,
        threads=torch.get_num_threads(),
        tiles=tiles,
        views=len(model.card.inference.views),
        first_s=statistics.median(first),
        matching_s=statistics.median(matching),
        decode_s=statistics.median(decode) if decode else None,
        forward_s=forward,
        baseline_mb=baseline,
        peak_mb=peak,
        gpu_peak_mb=gpu_peak,
    )


def benchmark_image(size: int) -> NDArray[np.uint8]:
    """Return a real micrograph, mirrored at its borders until it is size x size px (uint8)."""
    from phaseguide.datasets.samples import open_sample, sample_names

    image = open_sample(sample_names()[0]).image
    missing = [(0, max(0, size - side)) for side in image.shape[:2]]
    grown = np.pad(image, missing, mode="symmetric")[:size, :size]
    return np.ascontiguousarray(grown, dtype=np.uint8)


def peak_memory_mb() -> float | None:
    """Highest resident memory of this process so far in MB; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, it does not count what the parent process held before
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _plain_forward(model: LoadedModel, image: NDArray[Any], device: Any, repeats: int) -> tuple[int, float]:
    """Tiles, and the median seconds of the network alone over them."""
    from contextlib import nullcontext

    import torch

    from phaseguide.models.segmenter import intensity_limits, normalise_image
    from phaseguide.segmentation.network.channels import fit_channels
    from phaseguide.segmentation.network.tiling import plan_tiles

    pixels = fit_channels(image, model.segmenter.in_channels, "benchmark image")
    limits = intensity_limits(pixels)
    backbone = model.segmenter.backbone
    tile = backbone.preferred_tile(device.kind)
    tiles = plan_tiles(pixels.shape[0], pixels.shape[1], tile, backbone.preferred_overlap(tile))
    planes = [torch.from_numpy(normalise_image(pixels[t.window], limits))[None] for t in tiles]
    batches = [p.to(device.torch_device, memory_format=torch.channels_last) for p in planes]

    def run() -> None:
        for batch in batches:
            model.segmenter(batch)
        if device.kind == "cuda":
            torch.cuda.synchronize()

    precision: Any = (
        torch.autocast("cuda", dtype=getattr(torch, backbone.half_dtype)) if device.half else nullcontext()
    )
    with torch.inference_mode(), precision:
        if device.kind == "cuda":
            run()
        return len(tiles), statistics.median(_seconds(run) for _ in range(repeats))


def _changed_ratios(own: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    while True:
        ratio = np.maximum(own, 0.02) * np.exp(0.2 * rng.standard_normal(own.size))
        yield ratio / ratio.sum()


def _run(events: Iterator[Any]) -> Any:
    return next(e.result for e in events if isinstance(e, Finished))


def _segment_seconds(session: Session, request: Request) -> float:
    return _seconds(lambda: _run(session.segment(request)))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    serve(Task, measure)
