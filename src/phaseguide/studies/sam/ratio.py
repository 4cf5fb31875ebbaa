"""Measures what a changed ratio costs once the image is encoded: decoder alone, and the whole change in a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.studies.sam.peer import PHASES, build_segmenter, image_planes
from phaseguide.studies.sam.rows import RatioRow, RatioTask
from phaseguide.studies.speed.clock import benchmark_image, changed_ratios, timed
from phaseguide.studies.speed.harness import OnStage, serve
from phaseguide.studies.speed.random_models import random_card

GUIDANCE = "plm"


def measure(task: RatioTask, on_stage: OnStage) -> RatioRow:
    """Measure one decoder; ``on_stage`` hears what comes next."""
    import torch

    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session, run_to_end

    on_stage("building")
    model = _model(task)
    session = Session(
        model,
        benchmark_image(task.side),
        device=task.device,
        tile=task.side,
        overlap=0,
        flips=False,
        memory_mb=4096,
        embeddings="off",
    )
    on_stage("first result")
    result, first = timed(lambda: run_to_end(session.segment(Request())), task.device)
    ratios = changed_ratios(result.own)

    def change(mode: Any) -> Any:
        request = Request(asked=next(ratios), uncertainty=0.0, mode=mode)
        return timed(lambda: run_to_end(session.segment(request)), task.device)[1]

    clocks = {}
    for name, mode in (("matching", "matched"), ("change", "both")):
        on_stage(f"changed ratio, {mode}")
        # The first one looks at the scores once more, or decodes once without a ratio.
        clocks[name] = [change(mode) for _ in range(task.repeats + 1)][1:]
    on_stage("decoder alone")
    clocks["decode"], precision = _decode(task, model.segmenter, ratios)
    return RatioRow(
        encoder=task.encoder,
        side=task.side,
        head=task.head,
        guidance=GUIDANCE,
        phases=len(PHASES),
        device=task.device,
        precision=precision,
        threads=torch.get_num_threads(),
        first_s=first.wall,
        **{f"{name}_s": tuple(c.wall for c in own) for name, own in clocks.items()},
        **{f"{name}_cpu_s": tuple(c.cpu for c in own) for name, own in clocks.items()},
    )


def _model(task: RatioTask) -> Any:
    """Return a model as if it had been loaded; random weights are never saved."""
    from phaseguide.models.model_file import LoadedModel

    segmenter = build_segmenter(task.encoder, task.rank, head=task.head, guidance=GUIDANCE)
    card = random_card(f"{task.encoder} (random weights)", segmenter, GUIDANCE)
    return LoadedModel(segmenter, card, Path(f"{task.encoder}.safetensors"))


def _decode(task: RatioTask, segmenter: Any, ratios: Iterator[NDArray[np.float64]]) -> tuple[list[Any], str]:
    """Times of guidance, decoder and upsampling, in the precision that a session takes on this device."""
    import torch

    half = getattr(torch, segmenter.backbone.half_dtype)
    on_gpu = task.device == "cuda"
    clocks = []
    with torch.inference_mode(), torch.autocast("cuda", dtype=half) if on_gpu else nullcontext():
        features = segmenter.encode(image_planes(task.side, task.device))
        for turn in range(task.repeats + 3):
            ratio = torch.as_tensor(next(ratios), dtype=torch.float32, device=task.device)[None]
            _, clock = timed(partial(segmenter.decode, features, ratio), task.device)
            if turn >= 3:
                clocks.append(clock)
    return clocks, str(half if on_gpu else torch.float32).removeprefix("torch.")


if __name__ == "__main__":
    serve(RatioTask, measure)
