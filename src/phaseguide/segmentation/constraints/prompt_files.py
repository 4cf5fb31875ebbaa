"""Prompts in files: boxes and points as rows of a CSV file, for the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.files.text_files import parse_number, parse_table, read_text
from phaseguide.models.sam.prompts import Prompts
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.prompts import check_box, check_point, check_prompts, parse_meaning

BOX = ("top", "left", "bottom", "right")
POINT = ("row", "column")
FORM = (
    "Expected a first line with the columns phase,top,left,bottom,right for boxes, or phase,row,column for points, "
    "or all of them with empty cells; rows and columns in pixels."
)


def read_prompts(path: str | Path, shape: tuple[int, int], scheme: PhaseScheme) -> Prompts:
    """Read boxes and points from a CSV file.

    The first line names the columns, in any order: ``phase`` with ``top,left,bottom,right`` for boxes, or with
    ``row,column`` for points, or with both, where each line fills the one or the other. Rows and columns are in
    px, (0, 0) the centre of the top left pixel. ``phase`` is a name or a label number; ``not ferrite`` at a point
    says that this is not ferrite. Encoding, separator and decimal mark may be those of any spreadsheet; empty lines
    and lines that begin with ``#`` are left out.

    Parameters
    ----------
    path : str or Path
    shape : (int, int)
        Height and width of the image that the prompts are on.
    scheme : PhaseScheme

    Raises
    ------
    MicrographError
        The file cannot be read or is of another form, or a place cannot be meant; the line is named.
    SchemeError
        A phase that is not there, or too many prompts.
    """
    path = Path(path)
    try:
        table = parse_table(read_text(path))
    except OSError as error:
        raise MicrographError(
            f"{path}: cannot be read ({error.strerror or error}). Check the path."
        ) from error
    except ValueError as error:
        raise MicrographError(f"{path}: {error}. {FORM}") from error
    if not table:
        raise MicrographError(f"{path}: is empty. {FORM}")
    columns = [name.casefold() for name in table[0].cells]
    unknown = [name for name in columns if name not in ("phase", *BOX, *POINT)]
    whole = all(name in columns for name in BOX) or all(name in columns for name in POINT)
    if unknown or "phase" not in columns or not whole or len(set(columns)) < len(columns):
        raise MicrographError(f"{path}: the first line is {','.join(table[0].cells)!r}. {FORM}")
    boxes, box_phases, points, point_phases = [], [], [], []
    for row in table[1:]:
        try:
            place, label = _read(columns, row.cells, shape, scheme)
        except PhaseguideError as error:
            raise type(error)(f"{path}, line {row.line}: {error}") from error
        if len(place) == len(BOX):
            boxes.append(place)
            box_phases.append(label)
        else:
            points.append(place)
            point_phases.append(label)
    if not boxes and not points:
        raise MicrographError(f"{path}: holds no boxes and no points, only their heading.")
    prompts = Prompts(
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(box_phases, dtype=np.int64),
        np.array(points, dtype=np.float64).reshape(-1, 2),
        np.array(point_phases, dtype=np.int64),
    )
    try:
        check_prompts(prompts, shape, scheme)
    except PhaseguideError as error:
        raise type(error)(f"{path}: {error}") from error
    return prompts


def _read(
    columns: list[str], cells: tuple[str, ...], shape: tuple[int, int], scheme: PhaseScheme
) -> tuple[list[float], int]:
    """Read one line: a place of four numbers or of two, and what is there."""
    if any(cells[len(columns) :]):
        raise MicrographError(f"there are {len(cells)} cells, but {len(columns)} columns.")
    given = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    if "phase" not in given:
        raise MicrographError("no phase is given. Write its name or number.")
    label = parse_meaning(given.pop("phase"), scheme)
    for names, kind in ((BOX, "box"), (POINT, "point")):
        if set(given) == set(names):
            place = [_number(name, given[name]) for name in names]
            if kind == "box":
                check_box(place, label, shape, "The box")
            else:
                check_point(place, shape, "The point")
            return place, label
    got = ", ".join(given) or "nothing"
    raise MicrographError(
        f"a box needs top, left, bottom and right, a point row and column; this line has {got}."
    )


def _number(name: str, text: str) -> float:
    try:
        return parse_number(text)
    except ValueError:
        raise MicrographError(f"{name} is {text!r}, which is no number. Write pixels, such as 120.") from None
