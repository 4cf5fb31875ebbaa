"""What the workers of the Segment Anything benchmark share: a model on random weights, an image, clocks, memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phaseguide.studies.speed.speed_worker import benchmark_image, peak_memory_mb

PHASES = ("a", "b", "c")
"""Of the models that are measured; three, as in the published work."""


@dataclass(frozen=True)
class Clock:
    """Seconds of one run: on the clock, and of the processor (all threads added up)."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any], device: str) -> tuple[Any, Clock]:
    """Run something to its end, on a GPU too, and take its time."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return result, Clock(time.perf_counter() - wall, time.process_time() - cpu)


def build_segmenter(
    encoder: str, rank: int, *, blocks: int = 0, head: str = "mask", guidance: str = "none"
) -> Any:
    """Return a segmenter on random base weights (seed 0), whose adapters are at work (not zero)."""
    import torch

    from phaseguide.models.backbones.base import BackboneOptions
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
    from phaseguide.phases import PhaseScheme

    torch.manual_seed(0)
    options = BackboneOptions("sam", encoder, 1, {"head": head}, {"rank": rank, "blocks": blocks})
    segmenter = GuidedSegmenter(options, GuidanceOptions(guidance), PhaseScheme.from_names(PHASES))
    for part in segmenter.backbone.encoder_parts().values():
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    return segmenter.eval()


def image_planes(side: int, device: str) -> Any:
    """Return the benchmark's micrograph as the network takes it, shape (1, 1, side, side)."""
    import torch

    from phaseguide.models.segmenter import normalise_image

    return torch.from_numpy(normalise_image(benchmark_image(side)))[None].to(device)


def resident_mb() -> float | None:
    """Resident memory of this process now in MB (10^6 bytes); None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def forget_peak() -> None:
    """Let the highest resident memory count from now on, where the system allows it (Linux)."""
    from contextlib import suppress

    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def growth_mb(before: float | None) -> float | None:
    """How far memory has risen above what was resident before, at its highest; None if not known."""
    peak = peak_memory_mb()
    return None if before is None or peak is None else peak - before
