"""A point count: read and evaluated, or under way with each answer written to disk at once, so that none is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.estimation.point_count import UNNAMED, PointCountEstimate, adjusted_areas
from phaseguide.estimation.point_files import load_count, read_answers, save_count
from phaseguide.estimation.point_grid import propose_grid
from phaseguide.estimation.point_plan import PointPlan, propose_points
from phaseguide.folders import user_model_folder
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.phases import PhaseScheme


@dataclass
class Count:
    """A plan and the answers so far.

    Attributes
    ----------
    plan : PointPlan
    answers : ndarray of int64, shape (N,)
    """

    plan: PointPlan
    answers: NDArray[np.int64]

    def evaluate(self) -> PointCountEstimate:
        """Make areas of the answers so far; `PointCountError` where no point is named."""
        return adjusted_areas(self.plan, self.answers)


@dataclass
class RunningCount(Count):
    """A count under way; ``path`` is the file that keeps it."""

    path: Path

    @property
    def position(self) -> int:
        """Index of the point to show: the first without an answer; N if there is none."""
        unnamed = np.flatnonzero(self.answers == UNNAMED)
        return int(unnamed[0]) if unnamed.size else len(self.plan)

    @property
    def finished(self) -> bool:
        """Whether every point has an answer."""
        return self.position == len(self.plan)

    def answer(self, value: int) -> None:
        """Answer the point on show and write the file; errors as in `save_count`."""
        self.answers[self.position] = value
        self.save()

    def back(self) -> None:
        """Withdraw the answer before the point on show."""
        if self.position:
            self.answers[self.position - 1] = UNNAMED
            self.save()

    def save(self, path: Path | None = None) -> None:
        """Write the count to its file, or to another."""
        save_count(self.path if path is None else path, self.plan, self.answers)

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def read_count(points: Path, plan: Path | None = None) -> Count:
    """Read a count that was answered in a table, or saved as one file.

    Parameters
    ----------
    points : Path
        The table with the phases filled in, or a saved count (.json).
    plan : Path, optional
        The plan of the table; without it, the .json file beside it.

    Raises
    ------
    PointCountError, PhaseguideError
        As `load_count` and `read_answers`.
    """
    known, answers = load_count(points.with_suffix(".json") if plan is None else plan)
    if points.suffix.lower() != ".json":
        answers = read_answers(points, known)
    return Count(known, answers)


def count_folder() -> Path:
    """Folder of the counts, beside the user's models."""
    return user_model_folder().with_name("point_counts")


def open_count(
    name: str, labels: NDArray[np.uint8], scheme: PhaseScheme, count: int, map_note: str
) -> RunningCount:
    """Go on with an unfinished count on the very same map, or plan a new one.

    Parameters
    ----------
    name : str
        Name of the image, for the file.
    labels : ndarray of uint8, shape (H, W)
    scheme : PhaseScheme
    count : int
        Points of a new count.
    map_note : str
        See `PointPlan`.

    Raises
    ------
    PointCountError, PhaseguideError
        As `propose_points` and `save_count`.
    """
    return _go_on_or_plan(
        name,
        sha256_of_array(labels)[:12],
        scheme,
        labels.shape,
        lambda seed: propose_points(labels, scheme, count, seed, map_note=map_note),
    )


def open_grid_count(
    name: str, area: NDArray[np.uint8], pixels: NDArray[Any], scheme: PhaseScheme, count: int
) -> RunningCount:
    """Go on with an unfinished count on the very same image without a map, or plan a new one on a grid.

    Parameters
    ----------
    name : str
        Name of the image, for the file.
    area : ndarray of uint8, shape (H, W)
        255 where nothing is to be counted, else 0.
    pixels : ndarray, shape (H, W) or (H, W, 3)
        The image, by which its count is known again.
    scheme : PhaseScheme
    count : int
        About so many points.

    Raises
    ------
    PointCountError, PhaseguideError
        As `propose_grid` and `save_count`.
    """
    checksum = f"grid-{sha256_of_array(area)[:6]}{sha256_of_array(pixels)[:6]}"
    shape = (int(area.shape[0]), int(area.shape[1]))
    return _go_on_or_plan(name, checksum, scheme, shape, lambda seed: propose_grid(area, scheme, count, seed))


def _go_on_or_plan(
    name: str,
    checksum: str,
    scheme: PhaseScheme,
    shape: tuple[int, ...],
    propose: Callable[[int], PointPlan],
) -> RunningCount:
    stem = re.sub(r"[^\w.\-]+", "_", name).strip("._")[:80] or "image"
    number = 0
    while True:
        number += 1
        path = count_folder() / f"{stem}-{checksum}-{number}.json"
        if not path.exists():
            break
        try:
            plan, answers = load_count(path)
        except PhaseguideError:  # a damaged file stays as it is
            continue
        if (answers == UNNAMED).any() and plan.scheme == scheme and plan.shape == shape:
            return RunningCount(plan, answers, path)
    # Points of each new count on a map differ, and the plan keeps its seed.
    plan = propose(number - 1)
    running = RunningCount(plan, np.full(len(plan), UNNAMED, dtype=np.int64), path)
    running.save()
    return running
