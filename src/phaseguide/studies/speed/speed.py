"""Speed and memory on this machine: start-up, first result, changed ratio, against the plain network."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.foreign import resolved
from phaseguide.studies.report import fixed, machine_line, plain_table, section, table
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
from phaseguide.studies.speed.parts import PARTS, READY, first_result

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel

SIZES = (512, 1024, 4096)
LARGE = 2048
"""From this side on, px, everything is measured once."""

STAGES = (
    "first segmentation",
    "changed ratio by matching",
    "changed ratio with decode",
    "plain forward pass",
)

_IMPORTS = {
    "python": "pass",
    "phaseguide": "import phaseguide",
    "phaseguide.cli": "import phaseguide.cli",
    "torch": "import torch",
    "session": "import phaseguide.segmentation.session",
}


@dataclass(frozen=True)
class SpeedTask:
    """What one worker measures: a model, a device and the side of a square image in px."""

    model: str
    device: str
    size: int
    threads: int
    repeats: int
    runtime: str = "torch"


@dataclass(frozen=True)
class SpeedRow:
    """Times in seconds (medians), memory in MB (10^6 bytes).

    Attributes
    ----------
    first_s : float
        First segmentation of a new image without a ratio, encoding included; program and model warm.
    first_look_s : float or None
        Until the first mask of it is on show; None for a model that shows none before the result.
    parts_s : dict of float
        What the first segmentation is made of, and what follows it before a ratio can act; see
        `phaseguide.studies.speed.parts`.
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
    runtime : str
        What ran the network without a ratio, see `phaseguide.segmentation.session.Session.runtime`; the plain forward
        pass is torch's in any case.
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
    first_look_s: float | None = None
    parts_s: dict[str, float] = field(default_factory=dict)
    runtime: str = "torch"


SpeedEvent = Progress | Notice | SpeedRow | Finished[SpeedReport]


def benchmark_speed(
    model: str | Path,
    *,
    sizes: Sequence[int] = SIZES,
    devices: Sequence[str] | None = None,
    threads: int = 0,
    repeats: int = 3,
    runtime: str = "torch",
) -> Iterator[SpeedEvent]:
    """Measure start-up, speed and memory; stop it by closing the generator.

    Parameters
    ----------
    model : path
        A model file.
    sizes : sequence of int
        Sides of the square images in px.
    devices : sequence of str, optional
        None: the CPU, and CUDA where there is one.
    threads : int
        CPU threads of torch; 0 leaves its default.
    repeats : int
        Of every measurement below `LARGE`; the median counts.
    runtime : {"torch", "auto", "onnx"}
        See `phaseguide.segmentation.session.Session`.

    Raises
    ------
    PhaseguideError
        A size that is too small, a device that is not there, or a worker that failed.
    """
    import torch

    from phaseguide.micrographs.records import sha256_of_file
    from phaseguide.models.model_file import read_card
    from phaseguide.segmentation.network.device import check_runtime, choose_device

    check_runtime(runtime)
    check_sizes(sizes, 32)
    if devices is None:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        if len(devices) == 1:
            yield Notice("There is no CUDA device here; measuring the CPU alone.")
    for device in devices:
        choose_device(device)
    card = read_card(model)
    yield Progress("Measuring start-up", 0, 1)
    import_s = {name: import_seconds(code) for name, code in _IMPORTS.items()}
    tasks = [
        Task(
            __name__,
            SpeedTask(str(resolved(model)), device, size, threads, 1 if size >= LARGE else repeats, runtime),
            SpeedRow,
            f"{size} px on {device}",
            STAGES,
        )
        for device in devices
        for size in sizes
    ]
    measured = yield from measure_all(tasks)
    yield Finished(
        report_of(measured, model=card.name, model_sha256=sha256_of_file(model), import_s=import_s)
    )


def import_seconds(code: str, *, repeats: int = 3) -> float:
    """Seconds that a fresh Python takes from its start to the end of ``code``; the best of ``repeats``."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    return min(timed(run)[1].wall for _ in range(repeats))


def measure(task: SpeedTask, on_stage: OnStage) -> SpeedRow:
    """Measure one size on one device; ``on_stage`` hears what comes next."""
    import torch

    from phaseguide.models.model_file import load_model
    from phaseguide.segmentation.network.device import choose_device
    from phaseguide.segmentation.network.embeddings import MEMORY
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session, run_to_end

    on_stage("loading the model")
    device = choose_device(task.device)
    model = load_model(Path(task.model))
    image = benchmark_image(task.size)
    guided = model.card.guidance.takes_ratio
    wait = torch.cuda.synchronize if device.kind == "cuda" else lambda: None

    def open_session(pixels: NDArray[Any]) -> Session:
        MEMORY.clear()  # every repeat encodes
        return Session(model, pixels, device=task.device, embeddings="off", runtime=task.runtime)

    def seconds(session: Session, request: Request) -> float:
        return timed(lambda: run_to_end(session.segment(request)), device.kind)[1].wall

    warm = open_session(image if device.kind == "cuda" else image[:256, :256])
    own = run_to_end(warm.segment(Request())).own
    run_to_end(warm.segment(Request(asked=own, uncertainty=0.0, mode="both" if guided else "matched")))
    del warm
    ratios = changed_ratios(own)
    baseline = peak_mb()
    if device.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()

    on_stage(STAGES[0])
    kept: list[Session] = []

    def open_next() -> Session:
        kept.clear()  # memory is that of one
        kept.append(open_session(image))
        return kept[0]

    first = [first_result(open_next, wait) for _ in range(task.repeats)]
    parts = {name: statistics.median(one.parts[name] for one in first) for name in (*PARTS, READY)}
    looks = [one.look_s for one in first if one.look_s is not None]
    session = kept[0]
    ran = session.runtime
    on_stage(STAGES[1])
    matching = [
        seconds(session, Request(asked=next(ratios), uncertainty=0.0, mode="matched"))
        for _ in range(2 * task.repeats + 1)
    ]
    on_stage(STAGES[2])
    decode = [
        seconds(session, Request(asked=next(ratios), uncertainty=0.0, mode="both"))
        for _ in range(task.repeats if guided else 0)
    ]
    peak = peak_mb()
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
        first_s=statistics.median(one.seconds for one in first),
        matching_s=statistics.median(matching),
        decode_s=statistics.median(decode) if decode else None,
        forward_s=forward,
        baseline_mb=baseline,
        peak_mb=peak,
        gpu_peak_mb=gpu_peak,
        first_look_s=statistics.median(looks) if looks else None,
        parts_s=parts,
        runtime=ran,
    )


def _plain_forward(model: LoadedModel, image: NDArray[Any], device: Any, repeats: int) -> tuple[int, float]:
    """Tiles, and the median seconds of the network alone over them."""
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

    precision: Any = (
        torch.autocast("cuda", dtype=getattr(torch, backbone.half_dtype)) if device.half else nullcontext()
    )
    with torch.inference_mode(), precision:
        if device.kind == "cuda":
            run()
        return len(tiles), statistics.median(timed(run, device.kind)[1].wall for _ in range(repeats))


def to_lines(report: SpeedReport) -> list[str]:
    """Return the report as lines of Markdown."""
    rows: Sequence[SpeedRow] = report.rows
    starts = [
        (f"{name} alone" if name == "python" else name, fixed(seconds, 3))
        for name, seconds in report.about["import_s"].items()
    ]
    lines = [
        machine_line(report.machine, f"model {report.about['model']}"),
        "",
        *plain_table(("import", "s"), starts),
        "",
        *table(
            {
                "device": lambda row: row.device,
                "size": lambda row: row.size,
                "runtime": lambda row: row.runtime,
                "first look s": lambda row: fixed(row.first_look_s, 3),
                "first s": lambda row: fixed(row.first_s, 3),
                "matching s": lambda row: fixed(row.matching_s, 3),
                "decode s": lambda row: fixed(row.decode_s, 3),
                "plain net s": lambda row: fixed(row.forward_s, 3),
                "peak MB": lambda row: fixed(row.peak_mb, 0),
                "GPU MB": lambda row: fixed(row.gpu_peak_mb, 0),
            },
            rows,
        ),
    ]
    if any(row.views > 1 for row in rows):
        lines += ["", "first averages several views of the image; the plain net sees one."]
    return lines + section("The first result in plain forward passes", _parts_table(rows))


def _parts_table(rows: Sequence[SpeedRow]) -> list[str]:
    """What the first result is made of, in units of the plain net, and as shares of it."""

    def cells(seconds: float, row: SpeedRow) -> str:
        return f"{seconds / row.forward_s:.2f} ({seconds / row.first_s:.0%})"

    titles = ("part", *(f"{row.size} on {row.device}" for row in rows))
    names = [name for name in (*PARTS, READY) if any(row.parts_s.get(name) for row in rows)]
    lines = [[name, *(cells(row.parts_s.get(name, 0.0), row) for row in rows)] for name in names]
    looks = [None if row.first_look_s is None else cells(row.first_look_s, row) for row in rows]
    lines.insert(-1, ["until the first look", *looks])  # type: ignore[list-item]
    lines.insert(-1, ["first result", *(cells(row.first_s, row) for row in rows)])
    return plain_table(titles, lines)


if __name__ == "__main__":
    serve(SpeedTask, measure)
