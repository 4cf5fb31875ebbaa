"""What the interval of a painted share is worth: how often it holds the truth on synthetic fields.

`SCENARIOS` holds fields on which it is meant to be right, and one on which it is not, to show where it ends. Command
line: ``phaseguide benchmark coverage``. Strokes have no interval: `phaseguide.studies.intervals.strokes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.estimation.painted import LEVEL, PaintedEstimate, painted_share
from phaseguide.events import Finished, Progress
from phaseguide.phases import PhaseScheme
from phaseguide.studies.intervals import synthetic
from phaseguide.studies.intervals.bootstrap import block_bootstrap
from phaseguide.studies.report import fixed, table

SHAPE = (384, 384)

PLAIN_BLOCKS = 25
"""Blocks of the plain bootstrap that painted shares are compared with."""


@dataclass(frozen=True)
class Rectangle:
    """One labelled rectangle with this part of the field."""

    part: float


@dataclass(frozen=True)
class Patches:
    """Labelled squares of this side in px, put down without looking."""

    count: int
    side: int


@dataclass(frozen=True)
class Scenario:
    """A kind of field and a way of painting on it; ``meant`` where the interval claims to be right."""

    name: str
    structure: synthetic.Structure
    length_px: float
    paint: Rectangle | Patches
    shares: tuple[float, ...] = (0.7, 0.2, 0.1)
    meant: bool = True


SCENARIOS = (
    Scenario("quarter of a field of blobs", "smooth", 9, Rectangle(0.25)),
    Scenario("6 % of a field of small islands", "islands", 12, Rectangle(0.06)),
    Scenario("60 % of a ragged field", "rough", 6, Rectangle(0.6)),
    Scenario("6 patches on large islands", "islands", 30, Patches(6, 48)),
    Scenario("24 small patches on fine blobs", "smooth", 4, Patches(24, 24)),
    Scenario("about ten islands in all", "islands", 30, Rectangle(0.06), meant=False),
)


@dataclass(frozen=True)
class Coverage:
    """How often the 95 % intervals of a scenario held the truth, over fields with an estimate.

    By phase: the part of the fields whose interval holds the true share, mean error of the share, mean half-width
    of the intervals; and the first of intervals from resampled blocks alone (`block_interval`).
    """

    scenario: Scenario
    fields: int
    covered: NDArray[np.float64]
    bias: NDArray[np.float64]
    half_width: NDArray[np.float64]
    covered_by_blocks: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON takes them."""
        return {
            "scenario": self.scenario.name,
            "meant": self.scenario.meant,
            "fields": self.fields,
            "covered": self.covered.tolist(),
            "bias": self.bias.tolist(),
            "half_width": self.half_width.tolist(),
            "covered_by_blocks": self.covered_by_blocks.tolist(),
        }


def coverage_study(
    fields: int = 400, *, scenarios: Sequence[Scenario] = SCENARIOS, seed: int = 0
) -> Iterator[Progress | Finished[tuple[Coverage, ...]]]:
    """Draw fields, paint on them, estimate, and compare with the truth.

    With 400 fields a scenario the standard error of a coverage of 95 % is 1.1 %.
    """
    rows = []
    for number, scenario in enumerate(scenarios):
        rng = np.random.default_rng([seed, number])
        truths, estimates, plain = [], [], []
        scheme = PhaseScheme.from_names([f"phase {k + 1}" for k in range(len(scenario.shares))])
        for field in range(fields):
            yield Progress(scenario.name, number * fields + field, len(scenarios) * fields)
            labels = synthetic.make_field(scenario.structure, SHAPE, scenario.shares, scenario.length_px, rng)
            painted = _paint(scenario.paint, labels, rng)
            estimate = painted_share(painted, scheme)
            if not estimate.has_interval:
                continue
            estimates.append(estimate)
            truths.append([np.mean(labels == k + 1) for k in range(len(scenario.shares))])
            plain.append(block_interval(painted, len(scenario.shares)))
        rows.append(_compare(scenario, np.array(truths), estimates, plain))
    yield Finished(tuple(rows))


def block_interval(
    painted: NDArray[np.uint8], n_phases: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval for the field's shares, low and high, from resampled square blocks alone, for comparison.

    About `PLAIN_BLOCKS` blocks; Student's t; and the usual finite-population factor, 1 less the painted part.
    """
    from scipy.stats import t as student

    where = np.nonzero(painted)
    side = max(1, round(np.sqrt(len(where[0]) / PLAIN_BLOCKS)))
    place = (where[0] // side) * (painted.shape[1] // side + 1) + where[1] // side
    _, block = np.unique(place, return_inverse=True)
    sizes = np.bincount(block).astype(np.float64)
    counts = np.stack([np.bincount(block, painted[where] == k + 1) for k in range(n_phases)], axis=1)
    shares = counts.sum(0) / sizes.sum()
    same = np.zeros(len(sizes), dtype=np.intp)
    influence = (counts - sizes[:, None] * shares) / sizes.sum()
    deviation, freedom = block_bootstrap(influence, sizes, same, np.arange(len(sizes)))
    half = student.ppf((1 + LEVEL) / 2, freedom) * deviation * np.sqrt(1 - sizes.sum() / painted.size)
    return shares - half, shares + half


def _paint(
    paint: Rectangle | Patches, labels: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    if isinstance(paint, Rectangle):
        return synthetic.paint_rectangle(labels, paint.part, rng)
    return synthetic.paint_patches(labels, paint.count, paint.side, rng)


def _compare(
    scenario: Scenario,
    truths: NDArray[np.float64],
    estimates: Sequence[PaintedEstimate],
    plain: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Coverage:
    low, high = (np.array([getattr(one, end) for one in estimates]) for end in ("low", "high"))
    shares = np.array([one.shares for one in estimates])
    by_blocks = [(a <= truth) & (truth <= b) for (a, b), truth in zip(plain, truths, strict=True)]
    return Coverage(
        scenario,
        len(estimates),
        ((low <= truths) & (truths <= high)).mean(0),
        np.nanmean(shares - truths, axis=0),
        np.nanmean(high - low, axis=0) / 2,
        np.mean(by_blocks, axis=0),
    )


def to_lines(results: Sequence[Coverage]) -> list[str]:
    """Return the results as lines of Markdown, means over phases."""

    def mean(values: NDArray[np.float64]) -> str | None:
        return fixed(float(values.mean()), 1, 100)

    return [
        *table(
            {
                "scenario": lambda one: one.scenario.name if one.scenario.meant else f"({one.scenario.name})",
                "covered %": lambda one: mean(one.covered),
                "± pp": lambda one: mean(one.half_width),
                "blocks alone %": lambda one: mean(one.covered_by_blocks),
            },
            results,
        ),
        "",
        "Means over phases. In brackets: what the interval is not meant for.",
    ]
