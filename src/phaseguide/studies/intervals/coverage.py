"""What the intervals of both readings are worth: how often they hold the truth on synthetic fields.

`SCENARIOS` holds fields on which a reading is meant to be right, and some on which it is not, to show
where it ends. Command line: ``phaseguide benchmark coverage``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.estimation.bootstrap import block_bootstrap
from phaseguide.estimation.extrapolated import extrapolated_share
from phaseguide.estimation.painted import LEVEL, PaintedEstimate, Reading, painted_share
from phaseguide.events import Finished, Progress
from phaseguide.phases import PhaseScheme
from phaseguide.studies.intervals import synthetic
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
class Strokes:
    """Brush strokes, so many on each phase; ``rim_px`` away from borders, features with so much noise."""

    counts: tuple[int, ...]
    noise: float = 1.0
    rim_px: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """A kind of field and a way of painting on it; ``meant`` where the reading claims to be right."""

    name: str
    reading: Reading
    structure: synthetic.Structure
    length_px: float
    paint: Rectangle | Patches | Strokes
    shares: tuple[float, ...] = (0.7, 0.2, 0.1)
    meant: bool = True


_RARE = (0.75, 0.2, 0.05)

SCENARIOS = (
    Scenario("quarter of a field of blobs", "painted", "smooth", 9, Rectangle(0.25)),
    Scenario("6 % of a field of small islands", "painted", "islands", 12, Rectangle(0.06)),
    Scenario("60 % of a ragged field", "painted", "rough", 6, Rectangle(0.6)),
    Scenario("6 patches on large islands", "painted", "islands", 30, Patches(6, 48)),
    Scenario("24 small patches on fine blobs", "painted", "smooth", 4, Patches(24, 24)),
    Scenario("12 strokes a phase on blobs", "extrapolated", "smooth", 6, Strokes((12,) * 3), _RARE),
    Scenario("12 strokes a phase, hard to see", "extrapolated", "islands", 20, Strokes((12,) * 3, 2.0), _RARE),
    Scenario("5 strokes a phase", "extrapolated", "islands", 20, Strokes((5,) * 3), _RARE),
    Scenario("4, 6, 20 strokes against the shares", "extrapolated", "smooth", 6, Strokes((4, 6, 20), 1.5), _RARE),
    Scenario("30 strokes a phase, ragged", "extrapolated", "rough", 6, Strokes((30,) * 3), _RARE),
    Scenario("about ten islands in all", "painted", "islands", 30, Rectangle(0.06), meant=False),
    Scenario(
        "30 strokes a phase, off the borders",
        "extrapolated", "smooth", 6, Strokes((30,) * 3, 1.0, 2.0), _RARE, meant=False,
    ),
    Scenario("strokes read as a painted share", "painted", "smooth", 6, Strokes((12,) * 3), _RARE, meant=False),
)  # fmt: skip


@dataclass(frozen=True)
class Coverage:
    """How often the 95 % intervals of a scenario held the truth, over fields with an estimate.

    By phase: the part of the fields whose interval holds the true share, mean error of the share, mean half-width
    of the intervals; and for a painted share the first of intervals from resampled blocks alone (`block_interval`).
    """

    scenario: Scenario
    fields: int
    covered: NDArray[np.float64]
    bias: NDArray[np.float64]
    half_width: NDArray[np.float64]
    covered_by_blocks: NDArray[np.float64] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON takes them."""
        blocks = self.covered_by_blocks
        return {
            "scenario": self.scenario.name,
            "reading": self.scenario.reading,
            "meant": self.scenario.meant,
            "fields": self.fields,
            "covered": self.covered.tolist(),
            "bias": self.bias.tolist(),
            "half_width": self.half_width.tolist(),
            "covered_by_blocks": None if blocks is None else blocks.tolist(),
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
        for field in range(fields):
            yield Progress(scenario.name, number * fields + field, len(scenarios) * fields)
            labels = synthetic.make_field(scenario.structure, SHAPE, scenario.shares, scenario.length_px, rng)
            painted = _paint(scenario.paint, labels, rng)
            estimate = _estimate(scenario, labels, painted, rng)
            if estimate is not None:
                estimates.append(estimate)
                truths.append([np.mean(labels == k + 1) for k in range(len(scenario.shares))])
                if scenario.reading == "painted":
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
    paint: Rectangle | Patches | Strokes, labels: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    if isinstance(paint, Rectangle):
        return synthetic.paint_rectangle(labels, paint.part, rng)
    if isinstance(paint, Patches):
        return synthetic.paint_patches(labels, paint.count, paint.side, rng)
    return synthetic.paint_strokes(labels, paint.counts, rng, rim_px=paint.rim_px)


def _estimate(
    scenario: Scenario, labels: NDArray[np.uint8], painted: NDArray[np.uint8], rng: np.random.Generator
) -> PaintedEstimate | None:
    """Estimate; None where the paint does not suffice and a user would be told so."""
    n_phases = len(scenario.shares)
    scheme = PhaseScheme.from_names([f"phase {k + 1}" for k in range(n_phases)])
    try:
        if scenario.reading == "painted":
            return painted_share(painted, scheme)
        noise = scenario.paint.noise if isinstance(scenario.paint, Strokes) else 1.0
        features = synthetic.make_features(labels, n_phases, rng, noise=noise)
        return extrapolated_share(painted, features, scheme)
    except MicrographError:
        return None


def _compare(
    scenario: Scenario,
    truths: NDArray[np.float64],
    estimates: Sequence[PaintedEstimate],
    plain: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Coverage:
    low, high = (np.array([getattr(one, end) for one in estimates]) for end in ("low", "high"))
    shares = np.array([one.shares for one in estimates])
    by_blocks = [(a <= truth) & (truth <= b) for (a, b), truth in zip(plain, truths, strict=False)]
    return Coverage(
        scenario,
        len(estimates),
        ((low <= truths) & (truths <= high)).mean(0),
        np.nanmean(shares - truths, axis=0),
        np.nanmean(high - low, axis=0) / 2,
        np.mean(by_blocks, axis=0) if by_blocks else None,
    )


def to_lines(results: Sequence[Coverage]) -> list[str]:
    """Return the results as lines of Markdown, means over phases."""

    def mean(values: NDArray[np.float64] | None) -> str | None:
        return None if values is None else fixed(float(values.mean()), 1, 100)

    return [
        *table(
            {
                "scenario": lambda one: one.scenario.name if one.scenario.meant else f"({one.scenario.name})",
                "reading": lambda one: one.scenario.reading,
                "covered %": lambda one: mean(one.covered),
                "± pp": lambda one: mean(one.half_width),
                "blocks alone %": lambda one: mean(one.covered_by_blocks),
            },
            results,
        ),
        "",
        "Means over phases. In brackets: scenarios for which a reading is not meant.",
    ]
