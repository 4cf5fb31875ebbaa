"""Rows and texts of the tables that are shown, copied and saved: of a result, and of a point count."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.estimation.point_count import PointCountEstimate
from phaseguide.estimation.point_plan import ASSUMED_RIGHT, PointCountError, expected_standard_error
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Ratio
from phaseguide.segmentation.request import Segmentation
from phaseguide.segmentation.saving import result_note

HEADER = (
    "Image", "Plane", "Phase", "Expected area %", "Aimed at %", "In mask %", "Without guidance %", "Note",
)  # fmt: skip

USUAL_COUNTS = (50, 100, 200)

Table = tuple[tuple[str, ...], list[list[str]]]
"""Headings, the first of them over the names, and for each phase a row without its name."""


@dataclass(frozen=True)
class PhaseRow:
    """One line of the table that is copied and saved; shares in per cent, None where nothing was said."""

    image: str
    plane: str
    phase: str
    expected: float | None
    imposed: float | None
    in_mask: float
    without_guidance: float
    note: str


def table_rows(image: str, plane: str, segmentation: Segmentation) -> list[PhaseRow]:
    """Return the table of one plane; every row carries what must be told of the areas (`result_note`)."""

    def percent(shares: Ratio | None, k: int) -> float | None:
        return None if shares is None or np.isnan(shares[k]) else float(shares[k]) * 100

    note = result_note(segmentation)
    return [
        PhaseRow(
            image,
            plane,
            phase.name,
            percent(segmentation.asked, k),
            percent(segmentation.imposed, k) if segmentation.has_ratio else None,
            float(segmentation.achieved[k]) * 100,
            float(segmentation.own[k]) * 100,
            note,
        )
        for k, phase in enumerate(segmentation.scheme)
    ]


def table_text(rows: list[PhaseRow], separator: str) -> str:
    """Write rows as text with a header line; numbers with two decimals and a point."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        numbers = (row.expected, row.imposed, row.in_mask, row.without_guidance)
        shown = ["" if number is None else f"{number:.2f}" for number in numbers]
        writer.writerow([row.image, row.plane, row.phase, *shown, row.note])
    return buffer.getvalue()


def expected_errors(
    pixels: NDArray[np.int64], count: int, right: float = ASSUMED_RIGHT
) -> dict[int, NDArray[np.float64]]:
    """Standard errors to expect from the usual numbers of points and from ``count``, as far as a map has room."""
    errors = {}
    for number in sorted({*USUAL_COUNTS, count}):
        with suppress(PointCountError):  # a map too small for so many points
            errors[number] = expected_standard_error(pixels, number, right)
    return errors


def expected_table(pixels: NDArray[np.int64], count: int) -> Table:
    """Area in the map and standard error to expect from the usual numbers of points and from ``count``.

    Raises
    ------
    PointCountError
        ``count`` points cannot be drawn on such a map; other numbers are then left out.
    """
    errors = expected_errors(pixels, count)
    if count not in errors:
        expected_standard_error(pixels, count)  # says why
    shares = pixels[1:] / pixels.sum()
    rows = [
        [f"{share * 100:.2f}", *(f"{error[k] * 100:.1f}" for error in errors.values())]
        for k, share in enumerate(shares)
    ]
    return ("Phase", "In map\n%", *(f"± {number}\npoints" for number in errors)), rows


def area_rows(scheme: PhaseScheme, estimate: PointCountEstimate) -> list[dict[str, Any]]:
    """What a point count says of each phase, as it is written to JSON; shares in [0, 1]."""
    return [
        {
            "phase": phase.name,
            "label": phase.label,
            "in_map": float(estimate.map_shares[k]) if estimate.has_map else None,
            "area": float(estimate.shares[k]),
            "standard_error": float(estimate.standard_error[k]),
            "low": float(estimate.low[k]),
            "high": float(estimate.high[k]),
            "points": int(estimate.counts[:, k].sum()),
            "if_no_unclear_point": float(estimate.lowest[k]),
            "if_every_unclear_point": float(estimate.highest[k]),
        }
        for k, phase in enumerate(scheme)
    ]


def result_table(scheme: PhaseScheme, estimate: PointCountEstimate) -> Table:
    """Area with standard error and interval; in the map, if there was one; what unclear points could change, if any."""
    unclear = bool(estimate.unclear.any())
    rows = []
    for one in area_rows(scheme, estimate):
        row = [
            *([f"{one['in_map'] * 100:.2f}"] if estimate.has_map else []),
            f"{one['area'] * 100:.1f} ± {one['standard_error'] * 100:.1f}",
            f"{one['low'] * 100:.1f}–{one['high'] * 100:.1f}",
            str(one["points"]),
        ]
        if unclear:
            row.append(f"{one['if_no_unclear_point'] * 100:.1f}–{one['if_every_unclear_point'] * 100:.1f}")
        rows.append(row)
    headings = (
        "Phase",
        *(("In map\n%",) if estimate.has_map else ()),
        "Area %\n± SE",
        "95 %\ninterval",
        "Points",
    )
    return (*headings, "Unclear:\nnone–all") if unclear else headings, rows


COPIED = {
    "in_map": "In map %", "area": "Area %", "standard_error": "Standard error", "low": "95 % low",
    "high": "95 % high", "if_no_unclear_point": "If no unclear point %",
    "if_every_unclear_point": "If every unclear point %",
}  # fmt: skip
"""Columns of percentages in what is copied, and their headings."""


def clipboard_text(scheme: PhaseScheme, estimate: PointCountEstimate) -> str:
    """Tab-separated table with every number, and the notes below it."""
    columns = {key: title for key, title in COPIED.items() if key != "in_map" or estimate.has_map}
    lines = ["\t".join(("Phase", *columns.values(), "Points"))]
    for row in area_rows(scheme, estimate):
        numbers = [f"{row[column] * 100:.2f}" for column in columns]
        lines.append("\t".join([row["phase"], *numbers, str(row["points"])]))
    return "\n".join([*lines, *estimate.notes]) + "\n"
