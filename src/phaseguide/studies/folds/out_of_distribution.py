"""How often the warning about unfamiliar images is right: over folds, degraded images, and other materials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DatasetError
from phaseguide.events import Finished, Progress
from phaseguide.segmentation.review.out_of_distribution import TrainingDomain, describe_image
from phaseguide.studies.report import table
from phaseguide.training.crossfit.folds import Folds, training_stems

Grey = NDArray[np.float64]
Image = NDArray[Any]


@dataclass(frozen=True)
class Rate:
    """How many images of a kind were warned about."""

    kind: str
    images: int
    warned: int


def _blur(sigma: float) -> Callable[[Grey], Grey]:
    def blur(grey: Grey) -> Grey:
        from scipy.ndimage import gaussian_filter

        return np.asarray(gaussian_filter(grey, sigma))

    return blur


def _noise(sigma: float) -> Callable[[Grey], Grey]:
    return lambda grey: grey + np.random.default_rng(0).normal(0, sigma, grey.shape)


def _enlarge(factor: int) -> Callable[[Grey], Grey]:
    def enlarge(grey: Grey) -> Grey:
        from scipy.ndimage import zoom

        height, width = (n // factor for n in grey.shape)
        top, left = (grey.shape[0] - height) // 2, (grey.shape[1] - width) // 2
        return np.asarray(zoom(grey[top : top + height, left : left + width], factor, order=3))

    return enlarge


def _shrink(factor: int) -> Callable[[Grey], Grey]:
    def shrink(grey: Grey) -> Grey:
        rows, columns = (n // factor for n in grey.shape)
        blocks = grey[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
        return np.asarray(blocks.mean(axis=(1, 3)))

    return shrink


def _shade(grey: Grey) -> Grey:
    return grey * np.linspace(0.3, 1.3, grey.shape[1])


def _stretch(gain: float) -> Callable[[Grey], Grey]:
    return lambda grey: 0.5 + gain * (grey - 0.5)


DEGRADED: Mapping[str, Callable[[Grey], Grey]] = {
    "blurred, 1 px": _blur(1),
    "blurred, 2 px": _blur(2),
    "blurred, 4 px": _blur(4),
    "noise, 4 % of the grey range": _noise(0.04),
    "noise, 8 %": _noise(0.08),
    "noise, 16 %": _noise(0.16),
    "enlarged 2 times": _enlarge(2),
    "enlarged 3 times": _enlarge(3),
    "reduced 2 times": _shrink(2),
    "reduced 3 times": _shrink(3),
    "contrast inverted": lambda grey: 1 - grey,
    "contrast 2 times, clipped": _stretch(2),
    "contrast 3 times, clipped": _stretch(3),
    "contrast a third": _stretch(1 / 3),
    "gamma 0.5": lambda grey: grey**0.5,
    "gamma 2": lambda grey: grey**2,
    "lit from one side": _shade,
}
"""What is done to grey values in [0, 1], and their names in the table; px are standard deviations."""


def out_of_distribution_study(
    images: Mapping[str, Image], folds: Folds, others: Mapping[str, Sequence[Image]]
) -> Iterator[Progress | Finished[tuple[Rate, ...]]]:
    """Count warnings: on 8-bit grey images of each fold, as they are and degraded, and on other materials by their
    names.

    Images of a fold are judged by what the other folds are like; centre, spread and threshold come from those
    alone. Other materials are judged by all images of the folds.
    """
    stems = [stem for members in folds.values() for stem in members]
    for stem in stems:
        if images[stem].dtype != np.uint8 or images[stem].ndim != 2:
            raise DatasetError(f"{stem}: the study degrades 8-bit grey images only. Convert it first.")
    total = len(stems) * (1 + len(DEGRADED)) + sum(map(len, others.values()))
    done = 0
    own = {}
    for stem in stems:
        own[stem] = describe_image(images[stem])
        done += 1
        yield Progress("Measuring images", done, total)
    judges = {}
    for name, members in folds.items():
        judge = TrainingDomain.from_properties(np.array([own[s] for s in training_stems(folds, name)]))
        judges.update(dict.fromkeys(members, judge))

    rates = [Rate("as they are", len(stems), sum(_warns(judges[s], own[s]) for s in stems))]
    for kind, degrade in DEGRADED.items():
        warned = 0
        for stem in stems:
            grey = np.clip(degrade(images[stem] / 255.0), 0, 1)
            degraded = np.round(grey * 255).astype(np.uint8)
            warned += _warns(judges[stem], describe_image(degraded))
            done += 1
            yield Progress("Measuring images", done, total)
        rates.append(Rate(kind, len(stems), warned))
    everything = TrainingDomain.from_properties(np.array(list(own.values())))
    for kind, strangers in others.items():
        warned = 0
        for image in strangers:
            warned += _warns(everything, describe_image(image))
            done += 1
            yield Progress("Measuring images", done, total)
        rates.append(Rate(kind, len(strangers), warned))
    yield Finished(tuple(rates))


def to_lines(rates: Sequence[Rate]) -> list[str]:
    """Return rates as lines of Markdown."""
    return table(
        {
            "images": lambda rate: rate.kind,
            "number": lambda rate: rate.images,
            "warned": lambda rate: f"{rate.warned} ({100 * rate.warned / rate.images:.0f} %)",
        },
        rates,
    )


def _warns(judge: TrainingDomain, properties: NDArray[np.float64]) -> bool:
    return judge.distance(properties) > judge.threshold
