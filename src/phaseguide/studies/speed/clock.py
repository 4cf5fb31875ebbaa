"""What is measured and how long it takes: one image, one series of ratios, one clock for all tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clock:
    """Seconds of one run: on the clock, and of the processor (all threads added up)."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any], device: str = "cpu") -> tuple[Any, Clock]:
    """Run something to its end, on a GPU too, and take its time."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return result, Clock(time.perf_counter() - wall, time.process_time() - cpu)


def benchmark_image(size: int) -> NDArray[np.uint8]:
    """Return a real micrograph, mirrored at its borders until it is size x size px (uint8)."""
    from phaseguide.datasets.samples import open_sample

    image = open_sample("uhcs0220").image
    missing = [(0, max(0, size - side)) for side in image.shape[:2]]
    grown = np.pad(image, missing, mode="symmetric")[:size, :size]
    return np.ascontiguousarray(grown, dtype=np.uint8)


def changed_ratios(own: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield ratios about a fifth away from a model's own, for ever and always the same."""
    rng = np.random.default_rng(0)
    while True:
        ratio = np.maximum(own, 0.02) * np.exp(0.2 * rng.standard_normal(own.size))
        yield ratio / ratio.sum()
