"""Measures the image encoder of Segment Anything against the official package's own, in a process of its own.

Same input, same random weights, same run: the candidates take turns, so that whatever else the machine does meets
all of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phaseguide.studies.sam.peer import build_segmenter, image_planes, official_encoder
from phaseguide.studies.sam.rows import THEIRS, EncoderRow, EncoderTask
from phaseguide.studies.speed.clock import Clock, timed
from phaseguide.studies.speed.harness import Measured, OnStage, serve


@dataclass(frozen=True)
class _Candidate:
    """Something that encodes the image, and the output that it should have; None: what theirs gave."""

    run: Callable[[], Any]
    reference: Any = None


def measure(task: EncoderTask, on_stage: OnStage) -> Measured:
    """Measure all candidates; ``on_stage`` hears what comes next."""
    import torch

    on_stage("building")
    segmenter = build_segmenter(task.encoder, task.rank).to(task.device)
    with torch.inference_mode():
        candidates = _candidates(task, segmenter)
        clocks: dict[str, list[Clock]] = {name: [] for name in candidates}
        outputs: dict[str, Any] = {}
        for turn in range(task.repeats + 1):
            for name, candidate in candidates.items():
                on_stage(f"{name}, {f'run {turn} of {task.repeats}' if turn else 'warm-up'}")
                output, clock = timed(candidate.run, task.device)
                if turn:
                    clocks[name].append(clock)
                else:
                    outputs[name] = output.float()
        rows = []
        for name, candidate in candidates.items():
            wanted = outputs[THEIRS] if candidate.reference is None else candidate.reference
            rows.append(
                _row(
                    task,
                    name,
                    clocks[name],
                    clocks[THEIRS],
                    outputs[name],
                    wanted,
                    segmenter.backbone.decoder,
                )
            )
        return Measured(tuple(rows))


def _candidates(task: EncoderTask, segmenter: Any) -> dict[str, _Candidate]:
    import torch

    from phaseguide.models.merging import merge_adapters
    from phaseguide.models.sam.encoder import to_sam_pixels

    backbone = segmenter.backbone
    planes = image_planes(task.side, task.device)
    pixels = to_sam_pixels(planes)
    theirs = official_encoder(backbone.shape, backbone.base.encoder, task.side).to(task.device)
    merged: Any = merge_adapters(segmenter)
    adapted = official_encoder(backbone.shape, dict(merged.backbone.encoder.state_dict()), task.side)
    # What adapters must give: the official encoder on weights that they were added to.
    wanted = adapted.to(task.device)(pixels).float()

    def base() -> Any:
        with backbone.without_adapters():
            return backbone.encode(planes).maps[0]

    def with_adapters() -> Any:
        return backbone.encode(planes).maps[0]

    ours = f"phaseguide, adapters of rank {task.rank}"
    found = {
        THEIRS: _Candidate(lambda: theirs(pixels)),
        "phaseguide, base": _Candidate(base),
        ours: _Candidate(with_adapters, wanted),
    }
    if task.device == "cuda":
        deployed = merged.to(task.device).backbone
        # Blocks are compiled one by one: all of a kind share their code.
        compiled: list[Any] = [torch.compile(block) for block in deployed.encoder.blocks]
        deployed.encoder.blocks = torch.nn.ModuleList(compiled)
        found[f"{ours}, bfloat16"] = _Candidate(_in_bfloat16(with_adapters, task.device), wanted)
        found[f"{ours} merged, bfloat16, compiled"] = _Candidate(
            _in_bfloat16(lambda: deployed.encode(planes).maps[0], task.device), wanted
        )
    return found


def _in_bfloat16(run: Callable[[], Any], device: str) -> Callable[[], Any]:
    import torch

    def mixed() -> Any:
        with torch.autocast(device, dtype=torch.bfloat16):
            return run()

    return mixed


def _row(
    task: EncoderTask,
    name: str,
    own: list[Clock],
    theirs: list[Clock],
    output: Any,
    reference: Any,
    decode: Callable[[Any], Any],
) -> EncoderRow:
    import torch

    faster = [t.wall / o.wall for t, o in zip(theirs, own, strict=True)]
    logits, wanted = decode(output), decode(reference)
    is_theirs = name == THEIRS
    return EncoderRow(
        name=name,
        encoder=task.encoder,
        side=task.side,
        device=task.device,
        threads=torch.get_num_threads(),
        wall_s=tuple(c.wall for c in own),
        cpu_s=tuple(c.cpu for c in own),
        times_as_fast=statistics.median(faster),
        times_as_fast_low=min(faster),
        times_as_fast_high=max(faster),
        times_as_fast_cpu=statistics.median(t.cpu / o.cpu for t, o in zip(theirs, own, strict=True)),
        difference=None if is_theirs else float((output - reference).abs().max()),
        output_std=float(reference.std()),
        logit_difference=None if is_theirs else float((logits - wanted).abs().max()),
        logit_std=float(wanted.std()),
        labels_equal=None if is_theirs else float((logits.argmax(1) == wanted.argmax(1)).float().mean()),
    )


if __name__ == "__main__":
    serve(EncoderTask, measure)
