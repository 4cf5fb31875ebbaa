"""What is measured on Segment Anything and what comes out of it: plans, tasks and rows as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

PARTS = ("encoder", "ratio", "step", "run")

THEIRS = "segment-anything, single precision"
PEER = "segment-anything, plain loop"
OURS = "phaseguide"

Once = Literal["nothing", "first blocks", "encoder"]


@dataclass(frozen=True)
class SamPlan:
    """What is measured, and at which sizes: of a whole field, of the tile that a CPU takes, and of training steps
    on the CPU.

    ``step_rank`` is that of the small configuration there, ``last_blocks`` how many are adapted where only the last
    are. Repeats are of the encoder, changes of the ratio, steps of training.
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
class EncoderTask:
    """What one worker measures: an encoder of `phaseguide.models.sam.shapes.SHAPES` with adapters, on a square
    image, so many times after a warm-up.
    """

    encoder: str
    side: int
    rank: int
    device: str
    threads: int
    repeats: int


@dataclass(frozen=True)
class EncoderRow:
    """One candidate; times in seconds, one entry a round.

    Attributes
    ----------
    wall_s, cpu_s : tuple of float
        On the clock, and of the processor.
    times_as_fast, times_as_fast_low, times_as_fast_high : float
        Their time over this one's, round by round: median, lowest, highest; by the clock.
    times_as_fast_cpu : float
        The same by processor time, median.
    difference : float or None
        Largest difference of the encoder's output from theirs on the same weights; None for theirs.
    output_std : float
        Standard deviation of their output, to judge the difference by.
    logit_difference : float or None
        The same for the phases' logits from one decoder, of random weights.
    logit_std : float
    labels_equal : float or None
        Share of pixels that get the same phase.
    """

    name: str
    encoder: str
    side: int
    device: str
    threads: int
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    times_as_fast: float
    times_as_fast_low: float
    times_as_fast_high: float
    times_as_fast_cpu: float
    difference: float | None
    output_std: float
    logit_difference: float | None
    logit_std: float
    labels_equal: float | None


@dataclass(frozen=True)
class RatioTask:
    """What one worker measures; ``head`` is the decoder, the rest as in `EncoderTask`."""

    encoder: str
    side: int
    rank: int
    head: str
    device: str
    threads: int
    repeats: int


@dataclass(frozen=True)
class RatioRow:
    """Times in seconds; a tuple has one entry a change.

    Attributes
    ----------
    phases : int
    guidance : str
    precision : str
        Of the network: torch's name of the type.
    first_s : float
        First result of a new image, encoding included; measured once.
    decode_s, decode_cpu_s : tuple of float
        Guidance, decoder and upsampling to the image's size, for a new ratio.
    matching_s, matching_cpu_s : tuple of float
        A changed ratio by matching only.
    change_s, change_cpu_s : tuple of float
        A changed ratio in the network and by matching: decode, blending and matching, as a user waits for it.
    """

    encoder: str
    side: int
    head: str
    guidance: str
    phases: int
    device: str
    precision: str
    threads: int
    first_s: float
    decode_s: tuple[float, ...]
    decode_cpu_s: tuple[float, ...]
    matching_s: tuple[float, ...]
    matching_cpu_s: tuple[float, ...]
    change_s: tuple[float, ...]
    change_cpu_s: tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """A way to train, of a task and of its row.

    Attributes
    ----------
    who : str
        `PEER` or `OURS`.
    side : int
        Of the square image, px.
    rank : int
        Of the adapters.
    blocks : int
        Adapt only so many of the last blocks; 0: all.
    once : str
        What is computed once an image and kept over epochs: nothing, the first blocks (those before the adapted
        ones), or the encoder (then only the decoder learns).
    checkpointing : bool
        Keep only the tokens between blocks for the backward pass.
    precision : str
        float32, or bfloat16 for the parts that torch's autocast runs in it.
    """

    who: str
    encoder: str
    side: int
    rank: int
    blocks: int
    once: Once
    checkpointing: bool
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class StepTask(Step):
    """What one worker measures: ``repeats`` steps after a first one, which makes the optimiser's own tensors."""

    repeats: int


@dataclass(frozen=True)
class StepRow(Step):
    """What was measured.

    Attributes
    ----------
    wall_s, cpu_s : tuple of float
        Seconds a step, on the clock and of the processor.
    once_s, once_cpu_s : float or None
        Seconds for what is computed once an image (first measured in the process: an upper bound).
    learning : int
        Numbers that learn.
    weights_mb : float
        All weights, frozen ones included, 10^6 bytes.
    memory_mb : float or None
        The most that was held above the built model: on the CPU resident memory, on CUDA what torch allocated.
    gpu_peak_mb : float or None
        The most that torch reserved on the GPU, weights included.
    losses : tuple of float
        Of all steps; they fall if it learns.
    """

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    once_s: float | None
    once_cpu_s: float | None
    learning: int
    weights_mb: float
    memory_mb: float | None
    gpu_peak_mb: float | None
    losses: tuple[float, ...]


@dataclass(frozen=True)
class SamReport:
    """All rows with the machine they were measured on, and why others are missing.

    ``load`` is the mean number of programs that wanted to run in the minute before the start and before the end;
    more than the cores means that the machine was shared.
    """

    machine: dict[str, Any]
    load: tuple[float, ...]
    plan: SamPlan
    encoder: tuple[EncoderRow, ...]
    ratio: tuple[RatioRow, ...]
    step: tuple[StepRow, ...]
    run: tuple[StepRow, ...]
    not_measured: tuple[str, ...]
