"""What the steps of an epoch show: crops at random places, or the windows of a fixed grid, each once an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from phaseguide.labels import is_labelled
from phaseguide.training.augmentation import moved_onto, sample_crop
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, TrainingImage
from phaseguide.training.drawing import draw_crops, grid_drawer
from phaseguide.training.losses import crop_ratios

Batch = tuple[Tensor, Tensor, Tensor]
"""Pixels (B, C, H, W), labels (B, H, W), ratios (B, K), where a row of NaN means that the crop has none."""


class Feed(Protocol):
    """Where the steps of a run get what they learn from; ``steps`` is how many an epoch has."""

    steps: int

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw what an epoch has to itself."""

    def draw(self, step: int, generator: torch.Generator, redraws: int) -> Batch:
        """Draw the batch of a step of the epoch; ``redraws`` as `draw_crops`."""


def feed_for(data: TrainingData, config: TrainingConfig) -> Feed:
    """The feed that the settings ask for."""
    return SlidingWindows(data, config) if config.windows == "sliding" else RandomCrops(data, config)


class RandomCrops:
    """Crops at random places; an epoch shows as many pixels as the images have."""

    def __init__(self, data: TrainingData, config: TrainingConfig) -> None:
        self.data, self.config = data, config
        pixels = sum(i.labels.numel() for i in data.taught)
        area = sum(side**2 for side in config.sides) / len(config.sides)
        self.steps = max(1, round(pixels / (area * config.batch)))

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Nothing is drawn before the steps."""

    def draw(self, step: int, generator: torch.Generator, redraws: int) -> Batch:
        """Draw crops, whatever the step."""
        return draw_crops(self.data, self.config, generator, redraws=redraws)


@dataclass(frozen=True)
class Window:
    """A window of an image, in px; what of it lies outside of a small image is no part of it."""

    image: TrainingImage
    top: int
    left: int
    height: int
    width: int

    def cut(self) -> TrainingImage:
        """The window as an image of its own."""
        place = (slice(self.top, self.top + self.height), slice(self.left, self.left + self.width))
        stem = f"{self.image.stem} from {self.top}, {self.left}"
        return TrainingImage(stem, self.image.image[:, *place], self.image.labels[place])


def plan_windows(images: Sequence[TrainingImage], side: int, overlap: float) -> list[Window]:
    """Cover images with square windows, as few as overlap by at least a part of their side, spread evenly.

    Windows without a labelled pixel are left out. In an image that is smaller than a window there is one, of its size.
    """
    windows = [
        Window(image, top, left, min(side, image.labels.shape[0]), min(side, image.labels.shape[1]))
        for image in images
        for top in _starts(image.labels.shape[0], side, overlap)
        for left in _starts(image.labels.shape[1], side, overlap)
    ]
    return [window for window in windows if is_labelled(window.cut().labels.numpy()).any()]


class SlidingWindows:
    """The windows of a fixed grid over each image, each once an epoch, in an order drawn for it.

    What is missing of the last batch is filled up from the beginning of the order.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig) -> None:
        self.config, self.phases = config, len(data.scheme)
        self.windows = plan_windows(data.taught, config.crop, config.window_overlap)
        self.steps = -(-len(self.windows) // config.batch)
        self.order = list(range(len(self.windows)))
        self.grid = grid_drawer(config)

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw the order of the windows."""
        self.order = torch.randperm(len(self.windows), generator=generator).tolist()

    def draw(self, step: int, generator: torch.Generator, redraws: int) -> Batch:
        """Return the windows of a step, augmented; their ratios are those of what is shown."""
        first, count = step * self.config.batch, len(self.order)
        drawn = [
            self._augmented(self.windows[self.order[(first + i) % count]], generator)
            for i in range(self.config.batch)
        ]
        labels = torch.stack([marks for _, marks in drawn])
        return torch.stack([pixels for pixels, _ in drawn]), labels, crop_ratios(labels, self.phases)

    def _augmented(self, window: Window, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        height, width = window.image.labels.shape
        grid = self.grid(height, width, self.config.crop, generator)
        row, column = window.top + window.height / 2, window.left + window.width / 2
        grid = moved_onto(grid, row, column, height, width)
        return sample_crop(window.image.image, window.image.labels, grid)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    count = -(-(length - side) // step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]
