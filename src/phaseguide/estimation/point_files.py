"""A point count as files: the plan with its answers as JSON, the points to be named as a table."""

from __future__ import annotations

import base64
import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.atomic import write_bytes
from phaseguide.errors import SchemeError
from phaseguide.estimation.point_count import UNCLEAR, UNNAMED, checked_answers
from phaseguide.estimation.point_plan import PointCountError, PointPlan
from phaseguide.files import read_plain
from phaseguide.json_files import MOST_BYTES, json_bytes, parse_json, read_json
from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.text_files import parse_number, parse_table, read_text

FORMAT, VERSION = "phaseguide point count", 1
COLUMNS = ("point", "x", "y", "phase")
UNCLEAR_WORDS = ("unclear", "?")
_EMPTY_ROW = re.compile(r"(\d+,\d+,\d+,)?\r?")
LONGEST_EDGE = 1_000_000


def save_count(path: str | Path, plan: PointPlan, answers: ArrayLike) -> None:
    """Write a count, finished or not, as JSON; an older file is replaced only by a complete one.

    Points are [row, column], answers phase labels, 0 unclear, null not named yet. What the map says at the points is
    in the file too, but not in a form that is read by chance. `PointCountError` for answers that do not belong to the
    plan.
    """
    write_bytes(path, count_bytes(plan, answers))


def count_bytes(plan: PointPlan, answers: ArrayLike) -> bytes:
    """Return what `save_count` writes."""
    given = checked_answers(plan, answers)
    data = {
        "format": FORMAT,
        "version": VERSION,
        "phases": plan.scheme.to_dict()["phases"],
        "shape": list(plan.shape),
        "pixels": plan.pixels.tolist(),
        "seed": plan.seed,
        "strata": base64.b64encode(plan.strata.tobytes()).decode("ascii"),
        "map_note": plan.map_note,
        "points": np.stack([plan.rows, plan.columns], axis=1).tolist(),
        "answers": [None if answer == UNNAMED else answer for answer in given.tolist()],
    }
    return json_bytes(data, indent=None)


def load_count(path: str | Path) -> tuple[PointPlan, NDArray[np.int64]]:
    """Read what `save_count` wrote: the plan and the answers, shape (N,); `PointCountError` if it is no point count."""
    path = Path(path)
    try:
        data = read_json(path)
    except OSError as error:
        raise PointCountError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise PointCountError(f"{path}: is damaged or no point count ({error}).") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise PointCountError(
            f"{path}: is no point count. Choose the .json file that was written with the points."
        )
    if data.get("version") != VERSION:
        raise PointCountError(f"{path}: was written by a newer Phase Guide. Update this one.")
    try:
        return _count_from(data, str(path))
    except PointCountError as error:
        raise PointCountError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PointCountError(
            f"{path}: is damaged ({error!r}). Take a copy of it, or plan the count again."
        ) from error


def points_bytes(plan: PointPlan) -> bytes:
    """Return the points as CSV with an empty column ``phase``; x and y in px from the top left, from 0."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, (row, column) in enumerate(zip(plan.rows.tolist(), plan.columns.tolist(), strict=True), 1):
        writer.writerow([number, column, row, ""])
    return buffer.getvalue().encode("utf-8-sig")  # the mark lets Excel read names with accents


def why_plan_kept(path: Path) -> str:
    """Say why a plan or a table of points may not be replaced; empty where nobody has named a point in it."""
    refusal = (
        f"{path}: is there already, and is no table or plan without answers. It stays; give another name."
    )
    if path.is_symlink():
        return refusal
    try:
        data = read_plain(path, MOST_BYTES)
        told = parse_json(data) if data[:1] == b"{" else None
    except (OSError, ValueError):
        return refusal
    if isinstance(told, dict):
        answers = told.get("answers")
        unnamed = isinstance(answers, list) and not any(answer is not None for answer in answers)
        return "" if told.get("format") == FORMAT and unnamed else refusal
    rows = data.decode("utf-8-sig", "replace").split("\n")
    untouched = rows[0] == ",".join(COLUMNS) and all(_EMPTY_ROW.fullmatch(row) for row in rows[1:])
    return "" if untouched else refusal


def read_answers(path: str | Path, plan: PointPlan) -> NDArray[np.int64]:
    """Read the answers from a table that `points_bytes` made; rows may be sorted anew or missing.

    A phase is a name (case, accents and spaces ignored) or a label number, ``unclear`` or ``?``, or nothing. Encoding,
    separator and decimal mark may be those of any spreadsheet; see `parse_table`. Returns 1..K, `UNCLEAR` or
    `UNNAMED`, shape (N,). `PointCountError` names the line of what is no such table, of another plan, or no phase.
    """
    path = Path(path)
    try:
        table = parse_table(read_text(path))
    except OSError as error:
        raise PointCountError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise PointCountError(f"{path}: {error}. Save the table as CSV UTF-8.") from error
    names = [name.casefold() for name in table[0].cells] if table else []
    if not set(COLUMNS) <= set(names):
        raise PointCountError(
            f"{path}: has no columns {', '.join(COLUMNS)}. Use the table that was proposed."
        )
    if double := next((name for name in COLUMNS if names.count(name) > 1), ""):
        raise PointCountError(f"{path}: has several columns {double!r}. Leave the one that is meant.")
    answers = np.full(len(plan), UNNAMED, dtype=np.int64)
    for row in table[1:]:
        where = f"{path}, line {row.line}"
        told = dict(zip(names, row.cells, strict=False))
        if not any(told.get(name) for name in COLUMNS):
            continue
        try:
            index, x, y = (_whole(told.get(name, "")) for name in COLUMNS[:3])
        except ValueError as error:
            raise PointCountError(f"{where}: point, x and y must be whole numbers.") from error
        if not 1 <= index <= len(plan) or (plan.columns[index - 1], plan.rows[index - 1]) != (x, y):
            raise PointCountError(
                f"{where}: point {index} at x {x}, y {y} is not in the plan. Give the plan that was written with "
                "this table."
            )
        answer = _answer(told.get("phase", ""), plan.scheme, where)
        if answers[index - 1] not in (UNNAMED, answer) and answer != UNNAMED:
            raise PointCountError(
                f"{where}: point {index} was given another phase further up. Leave the one that is right."
            )
        answers[index - 1] = answers[index - 1] if answer == UNNAMED else answer
    return answers


def _whole(cell: str) -> int:
    """Read a whole number, which a spreadsheet may have given a decimal mark: ``12,0``."""
    number = parse_number(cell)
    if number % 1:
        raise ValueError(f"{cell!r} is no whole number")
    return int(number)


def _answer(text: str, scheme: PhaseScheme, where: str) -> int:
    if not text.strip():
        return UNNAMED
    if normalise_name(text) in UNCLEAR_WORDS:
        return UNCLEAR
    try:
        return scheme.find(text).label
    except SchemeError as error:
        raise PointCountError(f"{where}: {error} A point that cannot be told is 'unclear'.") from error


def _count_from(data: dict[str, Any], source: str) -> tuple[PointPlan, NDArray[np.int64]]:
    scheme = PhaseScheme.from_dict(data, source=source)
    height, width = (int(n) for n in data["shape"])
    if not (0 < height <= LONGEST_EDGE and 0 < width <= LONGEST_EDGE):
        raise ValueError(f"{height} x {width} px is no size of an image")
    points = np.array(data["points"], dtype=np.int64).reshape(len(data["points"]), 2)
    plan = PointPlan(
        points[:, 0],
        points[:, 1],
        np.frombuffer(base64.b64decode(data["strata"], validate=True), dtype=np.uint8).copy(),
        np.array(data["pixels"], dtype=np.int64),
        (height, width),
        scheme,
        int(data["seed"]),
        str(data["map_note"]),
    )
    inside = (plan.rows >= 0) & (plan.rows < height) & (plan.columns >= 0) & (plan.columns < width)
    fits = plan.strata.shape == plan.rows.shape and plan.pixels.shape == (len(scheme) + 1,)
    if not (
        len(plan)
        and fits
        and inside.all()
        and (plan.pixels >= 0).all()
        and (plan.pixels[plan.strata] > 0).all()
    ):
        raise ValueError("points, strata and phases do not fit together")
    answers = [UNNAMED if answer is None else int(answer) for answer in data["answers"]]
    return plan, checked_answers(plan, answers)
