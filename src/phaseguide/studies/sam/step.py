"""Measures a training step: ours, or a plain loop over the official package, in a process of its own.

Both do the same: one image, cross-entropy on all pixels, AdamW on adapters and decoder, the same random base
weights. Memory counts from when the model is built, so that neither libraries nor weights are in it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from phaseguide.studies.sam.peer import PHASES, PlainLoraSam, build_segmenter, image_planes
from phaseguide.studies.sam.rows import PEER, StepRow, StepTask
from phaseguide.studies.speed.clock import timed
from phaseguide.studies.speed.harness import OnStage, serve
from phaseguide.studies.speed.machine import forget_peak, growth_mb, resident_mb


@dataclass(frozen=True)
class _Work:
    """A model to be trained: what gives logits, what is prepared once, what learns, and all its weights."""

    forward: Callable[[Any], Any]
    once: Callable[[], Any]
    learning: list[Any]
    weights: list[Any]


def measure(task: StepTask, on_stage: OnStage) -> StepRow:
    """Measure one way to train; ``on_stage`` hears what comes next."""
    import torch

    on_stage("building")
    planes = image_planes(task.side, task.device)
    target = _target(planes)
    work = _peer(task, planes) if task.who == PEER else _ours(task, planes)
    optimiser = torch.optim.AdamW(work.learning, lr=1e-4)
    on_gpu = task.device == "cuda"
    half = (
        torch.autocast(task.device, dtype=torch.bfloat16) if task.precision == "bfloat16" else nullcontext()
    )
    on_stage("what is computed once")
    with torch.no_grad(), half:
        kept, once = timed(work.once, task.device)
    gc.collect()
    forget_peak()
    before = resident_mb()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated() if on_gpu else 0
    losses = []

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        with half:
            logits = work.forward(kept)
        loss = torch.nn.functional.cross_entropy(logits.float(), target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    clocks = []
    for turn in range(task.repeats + 1):
        on_stage(f"step {turn + 1} of {task.repeats + 1}")
        loss, clock = timed(step, task.device)
        losses.append(loss)
        if turn:
            clocks.append(clock)
    memory = (torch.cuda.max_memory_allocated() - held) / 1e6 if on_gpu else growth_mb(before)
    return StepRow(
        **{
            name: getattr(task, name)
            for name in task.__dataclass_fields__
            if name not in ("threads", "repeats")
        },
        threads=torch.get_num_threads(),
        wall_s=tuple(c.wall for c in clocks),
        cpu_s=tuple(c.cpu for c in clocks),
        once_s=None if task.once == "nothing" else once.wall,
        once_cpu_s=None if task.once == "nothing" else once.cpu,
        learning=sum(p.numel() for p in work.learning),
        weights_mb=sum(t.numel() * t.element_size() for t in work.weights) / 1e6,
        memory_mb=memory,
        gpu_peak_mb=torch.cuda.max_memory_reserved() / 1e6 if on_gpu else None,
        losses=tuple(losses),
    )


def _peer(task: StepTask, planes: Any) -> _Work:
    import torch

    from phaseguide.models.sam.encoder import to_sam_pixels
    from phaseguide.models.sam.shapes import find_shape
    from phaseguide.models.sam.shared_base import random_base

    torch.manual_seed(0)
    shape = find_shape(task.encoder)
    model = PlainLoraSam(shape, random_base(shape).encoder, len(PHASES), task.rank, task.side)
    model.to(task.device).train()
    pixels = to_sam_pixels(planes)
    weights = [*model.parameters(), *model.buffers()]
    learning = [p for p in model.parameters() if p.requires_grad]
    return _Work(lambda _: model(pixels), lambda: None, learning, weights)


def _ours(task: StepTask, planes: Any) -> _Work:
    segmenter = build_segmenter(task.encoder, task.rank, blocks=task.blocks).to(task.device).train()
    backbone = segmenter.backbone
    backbone.use_checkpointing(task.checkpointing)
    weights = [*segmenter.parameters(), *segmenter.buffers(), *backbone.base.encoder.values()]
    learning = [*segmenter.guidance.parameters()]
    parts = backbone.decoder_parts() if task.once == "encoder" else {
        **backbone.encoder_parts(),
        **backbone.decoder_parts(),
    }  # fmt: skip
    learning += [p for part in parts.values() for p in part.parameters()]
    backbone.base.on(planes.device)
    if task.once == "encoder":
        return _Work(segmenter.decode, lambda: segmenter.encode(planes), learning, weights)
    if task.once == "first blocks":
        return _Work(
            lambda tokens: segmenter.decode(backbone.encode_adapted(tokens)),
            lambda: backbone.encode_frozen(planes),
            learning,
            weights,
        )
    return _Work(lambda _: segmenter(planes), lambda: None, learning, weights)


def _target(planes: Any) -> Any:
    """Return a label map that can be learnt: the image's brightness in as many steps as there are phases."""
    import torch

    smooth = torch.nn.functional.avg_pool2d(planes, 9, 1, 4)[:, 0].contiguous()
    edges = torch.quantile(
        smooth.flatten()[::16], torch.linspace(0, 1, len(PHASES) + 1, device=smooth.device)
    )
    return torch.bucketize(smooth, edges[1:-1].contiguous())


if __name__ == "__main__":
    serve(StepTask, measure)
