"""The numbers of a point count as texts: before it, after it, and for the clipboard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phaseguide.estimation.point_count import PointCountEstimate
from phaseguide.estimation.point_plan import PointCountError, expected_standard_error
from phaseguide.phases import PhaseScheme

USUAL_COUNTS = (50, 100, 200)

Table = tuple[tuple[str, ...], list[list[str]]]
"""Headings, the first of them over the names, and for each phase a row without its name."""


def expected_table(pixels: NDArray[np.int64], count: int) -> Table:
    """Area in the map and standard error to expect from the usual numbers of points and from ``count``.

    Raises
    ------
    PointCountError
        ``count`` points cannot be drawn on such a map; other numbers are then left out.
    """
    errors = {}
    for number in sorted({*USUAL_COUNTS, count}):
        try:
            errors[number] = expected_standard_error(pixels, number)
        except PointCountError:
            if number == count:
                raise
    shares = pixels[1:] / pixels.sum()
    rows = [
        [f"{share * 100:.2f}", *(f"{error[k] * 100:.1f}" for error in errors.values())]
        for k, share in enumerate(shares)
    ]
    return ("Phase", "In map\n%", *(f"± {number}\npoints" for number in errors)), rows


def result_table(estimate: PointCountEstimate) -> Table:
    """Area with standard error and interval; with unclear points also what they could change."""
    unclear = bool(estimate.unclear.any())
    rows = []
    for k, share in enumerate(estimate.shares * 100):
        row = [
            f"{estimate.map_shares[k] * 100:.2f}",
            f"{share:.1f} ± {estimate.standard_error[k] * 100:.1f}",
            f"{estimate.low[k] * 100:.1f}–{estimate.high[k] * 100:.1f}",
            str(int(estimate.counts[:, k].sum())),
        ]
        if unclear:
            row.append(f"{estimate.lowest[k] * 100:.1f}–{estimate.highest[k] * 100:.1f}")
        rows.append(row)
    headings = ("Phase", "In map\n%", "Area %\n± SE", "95 %\ninterval", "Points")
    return (*headings, "Unclear:\nnone–all") if unclear else headings, rows


def clipboard_text(scheme: PhaseScheme, estimate: PointCountEstimate) -> str:
    """Tab-separated table with every number, and the notes below it."""
    headings = (
        "Phase", "In map %", "Area %", "Standard error", "95 % low", "95 % high", "If no unclear point %",
        "If every unclear point %", "Points",
    )  # fmt: skip
    columns: Sequence[NDArray[np.float64]] = (
        estimate.map_shares, estimate.shares, estimate.standard_error, estimate.low, estimate.high,
        estimate.lowest, estimate.highest,
    )  # fmt: skip
    lines = ["\t".join(headings)]
    for k, phase in enumerate(scheme):
        numbers = [f"{column[k] * 100:.2f}" for column in columns]
        lines.append("\t".join([phase.name, *numbers, str(int(estimate.counts[:, k].sum()))]))
    return "\n".join([*lines, *estimate.notes]) + "\n"
