"""How much memory a run takes, how much there is, and when a Segment Anything encoder should do with less."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from phaseguide.models.sam.shapes import PATCH
from phaseguide.training.adapters import is_checkpointing, sam_backbone

if TYPE_CHECKING:
    from phaseguide.finetuning.learner import Learner
    from phaseguide.models.backbones.sam import SamBackbone
    from phaseguide.models.segmenter import GuidedSegmenter

MODEL_COPIES = 7
"""Copies of the parameters that a run holds: the start, model, average, best, anchor, and two of the optimiser."""

ACTIVATION_BYTES = {"fast": 900, "thorough": 3_200}
"""Memory of a step for a pixel of its crops, beside models and features. Measured as the growth of a process
over two steps of `uhcs` on a CPU (crops of 256 px): 830 to 1,030 fast, 3,040 to 3,420 thorough, at 8 and 4 a step."""

DECODER_BYTES = 540
TOKEN_NUMBERS, WINDOW_NUMBERS, PAIR_NUMBERS = 8.0, 14.5, 2.0
BLOCKS_AGAIN = 3.5
"""Memory of a step of a Segment Anything model: bytes for a pixel of decoder and Phase Learning Module; numbers
that an adapted block keeps for each channel of a token, for each channel of a token of its padded windows, and
for each pair of tokens and head in a block that attends to all; and, with checkpointing, how many blocks'
worth are there at a time. From the growth of a process over two steps of ViT-B (random weights, rank 16, float32, CPU,
without what its own parameters, gradients and moments take): a pixel takes 8,500 bytes in a crop of 256 px, 6,840
in one of 512 px; with checkpointing 3,520 and 2,710; with a frozen encoder 540. On a GPU in bfloat16 it is less."""

WINDOW = 14
"""Tokens along a side of a window; crops are padded to whole windows."""

SAVING = (
    "Blocks of the encoder are computed twice to save memory, which takes about a third more time and gives the "
    "same model."
)


def held_bytes(segmenter: GuidedSegmenter) -> int:
    """Memory of models, gradients' moments and, once, of the base that adapters share."""
    own = sum(p.numel() * 4 for p in segmenter.parameters())
    sam = sam_backbone(segmenter)
    if sam is None or sam.options.adapter["merged"]:
        return MODEL_COPIES * own
    base = sum(t.numel() * t.element_size() for t in sam.base.encoder.values())
    # Model, average and best each keep the projections with what their adapters add, for running.
    summed = (sam.shape.depth - sam.first_adapted) * 3 * sam.shape.width**2 * 4
    return base + MODEL_COPIES * own + 3 * summed


def step_bytes(segmenter: GuidedSegmenter, parts: str, crop: int, batch: int) -> int:
    """Memory of one step on a batch of crops of a side in px, beside models and kept features."""
    pixels = batch * crop**2
    sam = sam_backbone(segmenter)
    if sam is None:
        return pixels * ACTIVATION_BYTES[parts]
    blocks = _block_bytes(sam, crop)
    kept = sum(blocks[sam.first_adapted :])
    if parts == "fast" or not sam.encoder_parts():
        encoder = max(blocks)  # crops are encoded one by one, and nothing is kept for a gradient
    elif is_checkpointing(segmenter):
        tokens = 4 * sam.shape.width * (-(-crop // PATCH)) ** 2
        encoder = batch * min(kept, tokens * len(blocks) + BLOCKS_AGAIN * max(blocks))
    else:
        encoder = batch * kept
    return int(pixels * DECODER_BYTES + encoder)


def _block_bytes(sam: SamBackbone, crop: int) -> list[float]:
    """What each block keeps of one crop for the gradient."""
    shape = sam.shape
    along = -(-crop // PATCH)
    tokens, padded = along**2, (-(-along // WINDOW) * WINDOW) ** 2
    found = []
    for index in range(shape.depth):
        everywhere = index in shape.global_blocks
        channels = TOKEN_NUMBERS * tokens + WINDOW_NUMBERS * (tokens if everywhere else padded)
        pairs = PAIR_NUMBERS * tokens**2 if everywhere else 0.0
        found.append(4 * (shape.width * channels + shape.heads * pairs))
    return found


def free_bytes(device: torch.device) -> int | None:
    """Memory that a run on a device can still take; None where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type != "cpu":
        return None
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def can_checkpoint(learner: Learner) -> bool:
    """Whether its encoder learns, block by block, and keeps more than it must."""
    sam = sam_backbone(learner.model)
    return sam is not None and learner.config.parts != "fast" and not is_checkpointing(learner.model)


def will_need_checkpointing(
    segmenter: GuidedSegmenter, parts: str, device: torch.device, batch: int, crop: int
) -> bool:
    """Whether a learner that is not set up yet would run out of memory, and could do with less."""
    sam, free = sam_backbone(segmenter), free_bytes(device)
    if sam is None or free is None or parts == "fast":
        return False
    there = 0
    if not sam.options.adapter["merged"]:
        there = sum(t.numel() * t.element_size() for t in sam.base.encoder.values())
    return held_bytes(segmenter) - there + step_bytes(segmenter, parts, crop, batch) > free


def needs_checkpointing(learner: Learner, batch: int, crop: int) -> bool:
    """Whether a learner that is set up would run out of memory in its steps, and could do with less."""
    free = free_bytes(learner.device)
    if free is None or not can_checkpoint(learner):
        return False
    # Models are there already; gradients and two moments come with the first step.
    learning = sum(p.numel() * 4 for p in learner.model.parameters() if p.requires_grad)
    return 3 * learning + step_bytes(learner.model, learner.config.parts, crop, batch) > free
