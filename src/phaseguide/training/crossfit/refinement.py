"""Learning guidance on scores (`phaseguide.models.refinement`) where networks err: on out-of-fold images."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from phaseguide.errors import TrainingError
from phaseguide.events import Notice, Progress
from phaseguide.files.atomic import write_bytes
from phaseguide.micrographs.records import sha256_of_file
from phaseguide.models.architectures import REFINE, check_guidance
from phaseguide.models.card import CalibrationCard
from phaseguide.models.refinement import OPEN, ScoreRefinement, build_refinement
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import Ratio, blend_ratios, draw_statement
from phaseguide.segmentation.matching.match import Matcher
from phaseguide.segmentation.network.refining import FARTHEST
from phaseguide.segmentation.network.score_head import calibrate_scores
from phaseguide.segmentation.network.told import Told
from phaseguide.training.checkpoint import set_aside
from phaseguide.training.crossfit.scores import CrossfitImage
from phaseguide.training.data import TrainingImage
from phaseguide.training.losses import crop_ratios, dice_loss, one_hot_labels

STEPS, BATCH, CROP, RATE = 400, 6, 256, 2e-3
"""Steps, crops a step, their side in px, and the peak rate of AdamW; chosen on the cross-validation folds."""

_KEY = "phaseguide_refinement"

_NO_RATIO = (
    "No image of the folds is labelled all over, so none has a ratio, and guidance on scores cannot be learnt. Label "
    "some all over, mark what has no phase as excluded (255), or train with --guidance none."
)


@dataclass(frozen=True)
class _Field:
    """A field as learning needs it: calibrated scores, grey value, labels, and how to match."""

    calibrated: NDArray[np.float32]
    grey: NDArray[np.float32]
    labels: NDArray[np.uint8]
    own: Ratio
    true: Ratio
    matcher: Matcher


def check_refinement(images: Sequence[TrainingImage], options: dict[str, Any], n_phases: int) -> None:
    """Raise `PhaseguideError` where `learn_refinement` could not work on the images of the folds."""
    check_guidance(REFINE, options)
    if not any(_has_ratio(image.labels, n_phases) for image in images):
        raise TrainingError(_NO_RATIO)


def learn_refinement(
    images: Sequence[CrossfitImage],
    calibration: CalibrationCard,
    n_phases: int,
    options: dict[str, Any],
    *,
    seed: int = 0,
) -> Generator[Progress, None, ScoreRefinement]:
    """Learn to correct matched scores on images that the networks behind the scores had not seen.

    Each crop gets a statement of its own about its whole field, see `phaseguide.ratios.draw_statement`; it is weighed
    and matched as a session does it, and the loss is cross-entropy and Dice of the corrected scores. Returns the module
    in evaluation mode, on the CPU. The same images, seed and threads give the same weights.

    Raises
    ------
    TrainingError
        No image is labelled all over, so that none has a ratio.
    """
    fields = []
    for done, image in enumerate(images):
        yield Progress("Preparing to learn from ratios", done, len(images))
        if (field := _field(image, calibration, n_phases)) is not None:
            fields.append(field)
    if not fields:
        raise TrainingError(_NO_RATIO)
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = build_refinement(n_phases, options).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=1e-2)
    error = np.asarray(calibration.own_error, dtype=np.float64)
    for step in range(STEPS):
        warm = min(1.0, (step + 1) / 20)
        for group in optimiser.param_groups:
            group["lr"] = RATE * warm * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        loss = _loss(module, [_draw(fields, error, rng) for _ in range(BATCH)], n_phases)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        yield Progress("Learning where ratios help", step + 1, STEPS)
    return module.eval()


def kept_refinement(
    images: Sequence[CrossfitImage],
    calibration: CalibrationCard,
    n_phases: int,
    options: dict[str, Any],
    path: Path,
    *,
    seed: int = 0,
) -> Generator[Progress | Notice, None, ScoreRefinement]:
    """Learn a refinement as `learn_refinement` does and keep it in a file, or read it there if it is the same."""
    from safetensors.torch import load_file, save

    about = _about(images, calibration, options, seed)
    if path.exists():
        module = build_refinement(n_phases, options)
        if _told(path) == about:
            module.load_state_dict(load_file(path))
            return module.eval()
        yield Notice(
            f"{path}: was learnt from other scores or settings. It is kept as {set_aside(path).name}, and is learnt "
            "anew."
        )
    module = yield from learn_refinement(images, calibration, n_phases, options, seed=seed)
    write_bytes(path, save(module.state_dict(), metadata={_KEY: about}))
    return module


def _about(
    images: Sequence[CrossfitImage], calibration: CalibrationCard, options: dict[str, Any], seed: int
) -> str:
    """What decides the weights, as text."""
    told = {
        "scores": [sha256_of_file(image.path) for image in images],
        "calibration": calibration.model_dump(),
        "options": options,
        "learning": [STEPS, BATCH, CROP, RATE, seed],
    }
    return json.dumps(told, sort_keys=True)


def _told(path: Path) -> str:
    """What a file says of itself; empty for one that cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get(_KEY, ""))
    except (SafetensorError, OSError):
        return ""


def _has_ratio(labels: Tensor, n_phases: int) -> bool:
    return not bool(torch.isnan(crop_ratios(labels[None], n_phases)).any())


def _field(image: CrossfitImage, calibration: CalibrationCard, n_phases: int) -> _Field | None:
    """Return a field, or None where it is labelled in part and so has no ratio."""
    labels, excluded = image.labels, image.excluded
    if excluded is not None:
        labels = np.where(excluded, np.uint8(EXCLUDED), labels)
    if not _has_ratio(torch.from_numpy(labels), n_phases):
        return None
    # What the labels exclude is no part of a ratio either.
    fixed = np.where(labels == EXCLUDED, labels, np.uint8(0))
    scores, grey, head = image.scores, image.grey, calibration.head
    calibrated = scores if head is None else calibrate_scores(scores, grey, head, excluded)
    matcher = Matcher(calibrated, fixed if fixed.any() else None)
    return _Field(calibrated, grey, labels, image.own_labelled, image.true, matcher)


def _draw(fields: Sequence[_Field], error: Ratio, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Draw a crop with a statement about its field: what the module is given, and the labels."""
    field = fields[int(rng.integers(len(fields)))]
    asked, stated = draw_statement(field.true, rng)
    imposed = blend_ratios(asked, field.own, stated, error)
    told = Told(imposed, asked, field.own, stated)
    offsets = field.matcher.match(imposed).offsets
    height, width = field.labels.shape
    top, left = (int(rng.integers(max(0, n - CROP) + 1)) for n in (height, width))
    window = (slice(top, top + CROP), slice(left, left + CROP))
    turns, mirrored = int(rng.integers(4)), bool(rng.random() < 0.5)

    def crop(plane: NDArray[Any]) -> Tensor:
        part = torch.from_numpy(np.ascontiguousarray(plane[(..., *window)])).float()
        missing = (0, CROP - part.shape[-1], 0, CROP - part.shape[-2])
        part = F.pad(part[None, None] if part.ndim == 2 else part[None], missing)[0]
        return torch.rot90(part.flip(-1) if mirrored else part, turns, (-2, -1))

    numbers = (offsets, np.clip(told.disagreement, -FARTHEST, FARTHEST), told.spread(OPEN))
    given = [torch.as_tensor(values, dtype=torch.float32) for values in numbers]
    return (
        crop(field.calibrated),
        given[0],
        crop(field.grey),
        given[1],
        given[2],
        crop(field.labels)[0].long(),
    )


def _loss(module: ScoreRefinement, crops: Sequence[tuple[Tensor, ...]], n_phases: int) -> Tensor:
    scores, offsets, grey, asked, spread, labels = (torch.stack(part) for part in zip(*crops, strict=True))
    log_p = module(scores, offsets, grey, asked, spread).log_softmax(1)
    target, mask = one_hot_labels(labels, n_phases)
    loss: Tensor = -(target * log_p).sum() / mask.sum().clamp_min(1)
    return loss + dice_loss(log_p.exp() * mask, target, 1.0)
