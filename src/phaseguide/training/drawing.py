"""Crops of a step, drawn so that each holds something to learn, and as many as can a ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.training.augmentation import (
    jitter_brightness,
    plain_grid,
    random_grid,
    sample_crop,
    some_inverted,
    vary_light,
)
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, TrainingImage
from phaseguide.training.losses import crop_ratios

REDRAWS = 20
"""Crops that are drawn at most for one that has a ratio, where images are partly labelled."""

PROBES = 100
"""Crops that are drawn to find out whether any has a ratio."""


GridDrawer = Callable[[int, int, int, torch.Generator], Tensor]
"""Draws the sampling grid of a crop: height and width of the image, side of the crop, a generator."""


def grid_drawer(config: TrainingConfig) -> GridDrawer:
    """How crops are turned and warped."""
    if config.augmentation == "plain":
        return plain_grid

    def draw(height: int, width: int, crop: int, generator: torch.Generator) -> Tensor:
        return random_grid(height, width, crop, config.augment_scale, generator)

    return draw


def vary_appearance(
    images: Tensor, config: TrainingConfig, degrade: float, generator: torch.Generator
) -> Tensor:
    """Vary what differs between microscopes, detectors and preparations, as the settings say; labels stay."""
    if config.augmentation == "plain":
        return vary_light(images, generator)
    if config.inverted:
        images = some_inverted(images, config.inverted, generator)
    return jitter_brightness(images, degrade, generator)


def draw_crops(
    data: TrainingData, config: TrainingConfig, generator: torch.Generator, *, redraws: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the crops of a step.

    Pixels (B, C, H, W), labels (B, H, W), ratios (B, K), where a row of NaN means that the crop has none. All crops of
    a step have one side.
    """
    sides = config.sides
    # With one side there is nothing to draw, so that a run with `crop` meets the crops that it always has.
    side = sides[int(torch.randint(len(sides), (1,), generator=generator))] if len(sides) > 1 else sides[0]
    grid = grid_drawer(config)
    drawn = [draw_crop(data.taught, side, grid, generator, redraws=redraws) for _ in range(config.batch)]
    labels = torch.stack([marks for _, marks in drawn])
    return torch.stack([pixels for pixels, _ in drawn]), labels, crop_ratios(labels, len(data.scheme))


def draw_crop(
    images: Sequence[TrainingImage],
    crop: int,
    draw_grid: GridDrawer,
    generator: torch.Generator,
    *,
    redraws: int = 0,
) -> tuple[Tensor, Tensor]:
    """Draw one crop that holds a labelled pixel, of images that each have one; as `sample_crop` returns it.

    ``redraws`` is how often to draw again for a crop that has a ratio; the last one is taken as it is. Images that are
    labelled all over take one draw each, whatever it is.
    """
    while True:
        item = images[int(torch.randint(len(images), (1,), generator=generator))]
        height, width = item.labels.shape
        grid = draw_grid(height, width, crop, generator)
        pixels, labels = sample_crop(item.image, item.labels, grid)
        if not bool(_labelled(labels).any()):
            pixels, labels = sample_crop(item.image, item.labels, _onto_a_label(grid, item.labels, generator))
        if redraws <= 0 or not bool((labels == NOT_CLASSIFIED).any()):
            return pixels, labels
        redraws -= 1


def can_have_ratio(data: TrainingData, config: TrainingConfig) -> bool:
    """Whether crops with a ratio can be drawn: labelled all over, but for excluded pixels."""
    if any(not bool((i.labels == NOT_CLASSIFIED).any()) for i in data.taught):
        return True
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(PROBES):
        _, labels = draw_crop(data.taught, min(config.sides), grid_drawer(config), generator)
        if not bool((labels == NOT_CLASSIFIED).any()):
            return True
    return False


def no_ratio(config: TrainingConfig) -> str:
    """Say what it means where `can_have_ratio` is false, and what to do."""
    return (
        f"No crop of {min(config.sides)} px is labelled all over, and one that is not has no ratio, so guidance cannot "
        "be learnt. For guidance label some areas of that size all over, mark what has no phase as excluded (255), or "
        "take smaller crops (--crop)."
    )


def _labelled(labels: Tensor) -> Tensor:
    return (labels != NOT_CLASSIFIED) & (labels != EXCLUDED)


def _onto_a_label(grid: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Move a sampling grid so that its middle pixel lies on a labelled pixel, which is drawn."""
    height, width = labels.shape
    places = _labelled(labels).flatten().nonzero()[:, 0]
    row, column = divmod(int(places[int(torch.randint(len(places), (1,), generator=generator))]), width)
    wanted = torch.tensor([(column + 0.5) / width * 2 - 1, (row + 0.5) / height * 2 - 1])
    middle = grid.shape[1] // 2
    return grid + (wanted - grid[0, middle, middle])
