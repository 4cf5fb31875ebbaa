"""Speed and memory of Segment Anything here against the official package: encoder, ratio change, training step."""

from __future__ import annotations

from collections.abc import Iterator

from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.studies.packages import need
from phaseguide.studies.sam.rows import (
    OURS,
    PARTS,
    PEER,
    EncoderRow,
    EncoderTask,
    Once,
    RatioRow,
    RatioTask,
    SamPlan,
    SamReport,
    StepRow,
    StepTask,
)
from phaseguide.studies.speed.harness import Task, machine_of, measure_all
from phaseguide.studies.speed.machine import load

SamTask = EncoderTask | RatioTask | StepTask
SamEvent = Progress | Notice | EncoderRow | RatioRow | StepRow | Finished[SamReport]

_WORKERS: dict[type, tuple[str, type]] = {
    EncoderTask: ("phaseguide.studies.sam.encoder", EncoderRow),
    RatioTask: ("phaseguide.studies.sam.ratio", RatioRow),
    StepTask: ("phaseguide.studies.sam.step", StepRow),
}


def benchmark_sam(
    plan: SamPlan | None = None,
    *,
    parts: tuple[str, ...] = PARTS,
    devices: tuple[str, ...] | None = None,
    threads: int = 0,
) -> Iterator[SamEvent]:
    """Measure parts of a plan in processes of their own, on the CPU and on CUDA where there is one or as asked;
    stop it by closing the generator.
    """
    import torch

    from phaseguide.segmentation.network.device import choose_device

    plan = SamPlan() if plan is None else plan
    check_plan(plan, parts)
    need("segment_anything", "peft")
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
    before = load()
    wanted = [
        (part, task) for part in PARTS if part in parts for task in make_tasks(plan, part, devices, threads)
    ]
    measured = yield from measure_all([_as_task(task) for _, task in wanted])
    rows = {
        part: tuple(
            row for (of, _), one in zip(wanted, measured, strict=True) if of == part for row in one.rows
        )
        for part in PARTS
    }
    machine = {**machine_of(measured, threads), "versions": _versions()}
    yield Finished(SamReport(machine, (before, load()), plan, **rows, not_measured=tuple(left_out)))


def _as_task(task: SamTask) -> Task:
    module, row = _WORKERS[type(task)]
    return Task(module, task, row, f"{task.encoder}, {task.side} px, {task.device}")


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


def make_tasks(plan: SamPlan, part: str, devices: tuple[str, ...], threads: int) -> list[SamTask]:
    """Return the tasks of a part."""
    tasks: list[SamTask] = []
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
    return tasks


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


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("segment-anything", "timm", "peft")}
