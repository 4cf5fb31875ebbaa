"""Structures that are drawn by name: grains, networks, laths, spinodal decomposition, layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phaseguide.datasets.synthetic.composition import LabelMap, pixel_counts, truncated
from phaseguide.datasets.synthetic.fields import (
    Floats,
    banded,
    drawn_out,
    gaussian_field,
    rough,
    smooth,
    voronoi_cells,
)
from phaseguide.errors import DatasetError

Shape = tuple[int, int]
Scores = Iterator[tuple[int, Floats]]
REACH = 6.0
"""Lengths after which a field may repeat itself."""

_DIRECTIONS = 4


@dataclass(frozen=True)
class Recipe:
    """A structure: what of it a user reads, its usual phases and shares, and how many phases it can have.

    ``scores`` tells for one phase after the other how much each pixel belongs to it; ``last`` says that what is left
    then is the last phase, not the first.
    """

    title: str
    phases: tuple[str, ...]
    shares: tuple[float, ...]
    most: int
    scores: Callable[[int, Shape, float, np.random.Generator], Scores]
    last: bool = False


def synthetic_labels(
    recipe: str,
    shape: Shape,
    shares: Sequence[float],
    *,
    length_px: float = 32.0,
    rng: np.random.Generator | int | None = None,
) -> LabelMap:
    """Draw a label map of a structure and an exact composition.

    Parameters
    ----------
    recipe : str
        A key of `RECIPES`: dual-phase (grains of a Poisson-Voronoi tessellation), network (films on the borders of
        grains, and particles), laths (drawn-out Gaussian fields, their direction changing from packet to packet),
        spinodal (superposed waves of one length [1]_), coating (layers from top to bottom with wavy borders).
    shape : (int, int)
        Rows and columns.
    shares : sequence of float
        Area of each phase, in the order of the labels; they are scaled to sum to 1.
    length_px : float
        Distance of grains, wavelength, or length of the waves of a border.
    rng : numpy.random.Generator or int, optional
        Source of chance, or its seed.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Labels 1..K. Each phase has its share of the pixels to less than one pixel.

    Raises
    ------
    DatasetError
        No such recipe, or not for so many phases.

    References
    ----------
    .. [1] J. W. Cahn, "Phase separation by spinodal decomposition in isotropic systems", J. Chem. Phys. 42 (1965)
       93-99. https://doi.org/10.1063/1.1695731

    Examples
    --------
    >>> labels = synthetic_labels("spinodal", (100, 100), [0.3, 0.7], length_px=12, rng=0)
    >>> int((labels == 1).sum())
    3000
    """
    phases = len(shares)
    check_recipe(recipe, phases)
    plan, rng = RECIPES[recipe], np.random.default_rng(rng)
    counts = pixel_counts(shares, shape[0] * shape[1])
    scores = plan.scores(phases, shape, length_px, rng)
    return truncated(scores, counts, shape, rest=phases if plan.last else 1)


def check_recipe(recipe: str, phases: int) -> None:
    """Make sure that there is a recipe for so many phases; else `DatasetError`."""
    if recipe not in RECIPES:
        raise DatasetError(f"There is no recipe {recipe!r}. Choose one of {', '.join(RECIPES)}.")
    most = RECIPES[recipe].most
    if not 2 <= phases <= most:
        span = "2" if most == 2 else f"2 to {most}"
        raise DatasetError(
            f"The recipe {recipe} has {span} phases, not {phases}. Give so many, or choose another recipe."
        )


def _dual_phase(phases: int, shape: Shape, length_px: float, rng: np.random.Generator) -> Scores:
    """Whole grains by chance; the last of them grows from its middle as far as there are pixels."""
    cells, depth, count = voronoi_cells(shape, length_px, rng, _wander(shape, length_px, rng))
    yield 2, rng.permutation(count)[cells] + 0.999 * depth / max(float(depth.max()), 1e-9)


def _network(phases: int, shape: Shape, length_px: float, rng: np.random.Generator) -> Scores:
    """The pixels nearest to borders of grains, here more and there less; particles in what is left."""
    _, depth, _ = voronoi_cells(shape, length_px, rng, _wander(shape, length_px, rng))
    uneven = gaussian_field(shape, smooth(length_px / 2), REACH * length_px, rng)
    yield 2, -depth * np.exp(0.4 * uneven)
    if phases > 2:
        yield 3, gaussian_field(shape, smooth(max(length_px / 16, 1.0)), length_px, rng)


def _laths(phases: int, shape: Shape, length_px: float, rng: np.random.Generator) -> Scores:
    """Islands, where there is a third phase; then laths, in each packet along one of four directions."""
    packets, _, _ = voronoi_cells(shape, 3 * length_px, rng, _wander(shape, length_px, rng))
    if phases > 2:
        yield 3, gaussian_field(shape, rough(length_px / 6), REACH * length_px, rng)
    first, score = rng.uniform(0, np.pi), np.empty(shape)
    for number in range(_DIRECTIONS):
        angle = first + number * np.pi / _DIRECTIONS
        gain = drawn_out(max(length_px / 16, 1.0), 10, angle)
        chosen = packets % _DIRECTIONS == number
        score[chosen] = gaussian_field(shape, gain, REACH * length_px, rng)[chosen]
    yield 2, score


def _spinodal(phases: int, shape: Shape, length_px: float, rng: np.random.Generator) -> Scores:
    for label in range(2, phases + 1):
        yield label, gaussian_field(shape, banded(length_px), REACH * length_px, rng)


def _coating(phases: int, shape: Shape, length_px: float, rng: np.random.Generator) -> Scores:
    """The highest pixels, counted from a wavy line of their own for each border."""
    rows = np.arange(shape[0], dtype=np.float64)[:, None]
    for label in range(1, phases):
        line = gaussian_field((1, shape[1]), rough(length_px / 2), REACH * length_px, rng)
        yield label, length_px / 6 * line - rows


def _wander(shape: Shape, length_px: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    gain, size = smooth(length_px / 4), length_px / 12
    down, across = (size * gaussian_field(shape, gain, REACH * length_px, rng) for _ in range(2))
    return down, across


RECIPES: dict[str, Recipe] = {
    "dual-phase": Recipe("Dual-phase grains", ("ferrite", "martensite"), (0.7, 0.3), 2, _dual_phase),
    "network": Recipe(
        "Network on grain boundaries", ("matrix", "network", "particles"), (0.75, 0.15, 0.1), 3, _network
    ),
    "laths": Recipe("Laths in packets", ("matrix", "laths", "islands"), (0.6, 0.3, 0.1), 3, _laths),
    "spinodal": Recipe("Spinodal decomposition", ("phase A", "phase B"), (0.5, 0.5), 6, _spinodal),
    "coating": Recipe(
        "Layers of a coating", ("mount", "coating", "substrate"), (0.25, 0.25, 0.5), 6, _coating, last=True
    ),
}
"""By the name that a user gives."""
