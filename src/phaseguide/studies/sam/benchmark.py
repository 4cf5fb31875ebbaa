"""Speed and memory of Segment Anything here against the official package: encoder, ratio change, training step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import phaseguide
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.studies.sam import encoder as benchmark_sam_encoder
from phaseguide.studies.sam import ratio as benchmark_sam_ratio
from phaseguide.studies.sam import step as benchmark_sam_step
from phaseguide.studies.sam.encoder import EncoderRow, EncoderTask
from phaseguide.studies.sam.ratio import RatioRow, RatioTask
from phaseguide.studies.sam.step import OURS, PEER, Once, StepRow, StepTask
from phaseguide.studies.speed.speed import describe_machine
from phaseguide.studies.speed.worker import worker_messages

PARTS = ("encoder", "ratio", "step", "run")

Task = EncoderTask | RatioTask | StepTask
Row = EncoderRow | RatioRow | StepRow


@dataclass(frozen=True)
class SamPlan:
    """What is measured, and at which sizes.

    Attributes
    ----------
    encoder : str
        A key of `phaseguide.models.sam.shapes.SHAPES`.
    rank : int
        Of the adapters where not said otherwise.
    field, tile : int
        Sides in px of a whole field and of the tile that a CPU takes.
    step_sides : tuple of int
        Sides at which training steps are compared on the CPU.
    step_rank : int
        Of the adapters there: the small configuration.
    last_blocks : int
        Adapted ones, where only the last are.
    repeats, changes, steps : int
        Rounds of the encoder, changes of the ratio, training steps.
    """

    encoder: str = "vit_b"
    rank: int = 512
    field: int = 1024
    tile: int = 512
    step_sides: tuple[int, ...] = (256, 512)
    step_rank: int = 16
    last_blocks: int = 4
    repeats: int = 3
    changes: int = 9
    steps: int = 3


QUICK = SamPlan("vit_tiny", 4, 256, 128, (64, 128), 4, 1, 1, 2, 1)
"""For tests, and to see whether everything runs; its numbers say nothing about the real sizes."""


@dataclass(frozen=True)
class SamReport:
    """All rows with the machine they were measured on; times and memory as in the rows.

    Attributes
    ----------
    load : tuple of float
        Mean number of programs that wanted to run in the minute before the start and before the end; more than
        the cores means that the machine was shared.
    not_measured : tuple of str
        What was left out, and why.
    """

    machine: dict[str, Any]
    load: tuple[float, ...]
    plan: SamPlan
    encoder: tuple[EncoderRow, ...]
    ratio: tuple[RatioRow, ...]
    step: tuple[StepRow, ...]
    run: tuple[StepRow, ...]
    not_measured: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``phaseguide benchmark sam --json`` writes."""
        from phaseguide.studies.sam.report import aims, forty_epochs

        return {
            **asdict(self),
            "forty_epochs": forty_epochs(self),
            "aims": [asdict(aim) for aim in aims(self)],
            "version": phaseguide.__version__,
        }


SamEvent = Progress | Notice | EncoderRow | RatioRow | StepRow | Finished[SamReport]


def benchmark_sam(
    plan: SamPlan | None = None,
    *,
    parts: tuple[str, ...] = PARTS,
    devices: tuple[str, ...] | None = None,
    threads: int = 0,
) -> Iterator[SamEvent]:
    """Measure every part in processes of their own; stop it by closing the generator.

    Parameters
    ----------
    plan : SamPlan, optional
    parts : tuple of str
        Of `PARTS`.
    devices : tuple of str, optional
        None: the CPU, and CUDA where there is one.
    threads : int
        CPU threads of torch; 0 leaves its default.

    Yields
    ------
    Progress, Notice, EncoderRow, RatioRow, StepRow
        While working.
    Finished of SamReport
        Last.

    Raises
    ------
    PhaseguideError
        A part, size or device that is not there, a missing package, or a worker that failed.
    """
    import torch

    from phaseguide.models.sam.checkpoint import official_package
    from phaseguide.segmentation.network.device import choose_device

    plan = SamPlan() if plan is None else plan
    check_plan(plan, parts)
    official_package()
    left_out = [f"{part}: left out by choice" for part in PARTS if part not in parts]
    if devices is None:
        devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    for device in devices:
        if device not in ("cpu", "cuda"):
            raise PhaseguideError(f"Segment Anything is measured on cpu and cuda, not on {device!r}.")
        choose_device(device)
    if "cuda" not in devices:
        left_out.append("everything on CUDA: no CUDA device was at hand")
        yield Notice("CUDA is not measured; the rows and aims for it stay empty.")
    load = [_load()]
    tasks = [task for part in PARTS if part in parts for task in make_tasks(plan, part, devices, threads)]
    rows: dict[str, list[Any]] = {part: [] for part in PARTS}
    for done, (part, task) in enumerate(tasks):
        module = _MODULES[type(task)].__name__
        what = f"{task.encoder}, {task.side} px, {task.device}"
        yield Progress(what, done, len(tasks))
        for message in worker_messages(module, asdict(task), what):
            if "stage" in message:
                yield Progress(f"{what}: {message['stage']}", done, len(tasks))
                continue
            for row in _rows(task, message["row"]):
                rows[part].append(row)
                yield row
    load.append(_load())
    yield Progress("Measuring", len(tasks), len(tasks))
    threads_used = next((row.threads for own in rows.values() for row in own), threads)
    machine = {**describe_machine(), "threads": threads_used, "versions": _versions()}
    yield Finished(
        SamReport(
            machine,
            tuple(load),
            plan,
            **{part: tuple(own) for part, own in rows.items()},
            not_measured=tuple(left_out),
        )
    )


def check_plan(plan: SamPlan, parts: tuple[str, ...]) -> None:
    """Raise `PhaseguideError` for a plan that cannot be carried out."""
    from phaseguide.models.sam.shapes import find_shape

    shape = find_shape(plan.encoder)
    if unknown := sorted(set(parts) - set(PARTS)):
        raise PhaseguideError(f"There is no part {', '.join(unknown)}. Choose of {', '.join(PARTS)}.")
    if not parts:
        raise PhaseguideError(f"There is nothing to measure. Choose of {', '.join(PARTS)}.")
    for side in (plan.field, plan.tile, *plan.step_sides):
        if side < 64 or side % 16:
            raise PhaseguideError(f"A side of {side} px cannot be measured; give multiples of 16 from 64 on.")
    for name in ("rank", "step_rank", "repeats", "changes", "steps"):
        if getattr(plan, name) < 1:
            raise PhaseguideError(f"{name} is {getattr(plan, name)}; it must be at least 1.")
    if not 1 <= plan.last_blocks < shape.depth:
        raise PhaseguideError(
            f"{plan.encoder} has {shape.depth} blocks; adapt 1 to {shape.depth - 1} of the last, "
            f"not {plan.last_blocks}."
        )


def make_tasks(plan: SamPlan, part: str, devices: tuple[str, ...], threads: int) -> list[tuple[str, Task]]:
    """Return the tasks of a part."""
    tasks: list[Task] = []
    for device in devices:
        if part == "encoder":
            tasks += [
                EncoderTask(plan.encoder, side, plan.rank, device, threads, plan.repeats)
                for side in (plan.field, plan.tile)
            ]
        elif part == "ratio":
            tasks += [
                RatioTask(plan.encoder, plan.field, plan.rank, head, device, threads, plan.changes)
                for head in ("mask", "conv")
            ]
        elif part == "step":
            tasks += _step_tasks(plan, device, threads)
        else:
            tasks += _run_tasks(plan, device, threads)
    return [(part, task) for task in tasks]


def _step_tasks(plan: SamPlan, device: str, threads: int) -> list[StepTask]:
    """Theirs, ours, and ours with checkpointing, at every size; on CUDA ours in bfloat16."""
    on_gpu = device == "cuda"
    sides = (plan.field,) if on_gpu else plan.step_sides
    rank = plan.rank if on_gpu else plan.step_rank
    ours = "bfloat16" if on_gpu else "float32"
    return [
        StepTask(who, plan.encoder, side, rank, 0, "nothing", saves, device, precision, threads, plan.steps)
        for side in sides
        for who, saves, precision in (
            (PEER, False, "float32"),
            (OURS, False, ours),
            (OURS, True, ours),
        )
    ]


def _run_tasks(plan: SamPlan, device: str, threads: int) -> list[StepTask]:
    """The pieces of a training run at the size of a field: all adapters, the last ones, the decoder alone."""
    precision = "bfloat16" if device == "cuda" else "float32"
    steps = plan.steps if device == "cuda" else 1  # a minute or more each
    ways: tuple[tuple[int, Once, bool], ...] = (
        (0, "nothing", True),
        (plan.last_blocks, "first blocks", True),
        (0, "encoder", False),
    )
    return [
        StepTask(
            OURS, plan.encoder, plan.field, plan.rank, blocks, once, saves, device, precision, threads, steps
        )
        for blocks, once, saves in ways
    ]


_MODULES: dict[type, Any] = {
    EncoderTask: benchmark_sam_encoder,
    RatioTask: benchmark_sam_ratio,
    StepTask: benchmark_sam_step,
}


def _rows(task: Task, data: dict[str, Any]) -> list[Any]:
    """Make rows of what a worker wrote; JSON knows no tuples."""
    if isinstance(task, EncoderTask):
        return [EncoderRow(**_tuples(row)) for row in data["rows"]]
    return [(RatioRow if isinstance(task, RatioTask) else StepRow)(**_tuples(data))]


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _load() -> float:
    """Mean number of programs that wanted to run in the last minute; 0 where the system does not tell."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("segment-anything", "timm", "peft")}
