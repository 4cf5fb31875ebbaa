"""Numbers as people have them: cells of a spreadsheet, and pairs ``phase=number``."""

from __future__ import annotations

import math
import re

import numpy as np

from phaseguide.errors import RatioError, SchemeError
from phaseguide.files.text_files import parse_number
from phaseguide.phases import PhaseScheme
from phaseguide.ratios.vector import Ratio, find_phase, validate_ratio

PERCENT_SUM = 1.5
"""Numbers that sum to more than this are per cent: shares sum to 1 at most, and mistakes seldom to 1.5."""

_DECIMAL_COMMA = re.compile(r"[=:]\s*(\d+,\d+\s*%?)\s*(?:[,;]|$)")
_ENTRY = re.compile(r"(?P<name>.+?)\s*[=:]\s*(?P<value>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<percent>%?)")


def parse_ratio(text: str, scheme: PhaseScheme) -> Ratio:
    """Read ``"ferrite=0.2, martensite=15%"``, or cells of a spreadsheet; phases that are not named stay open.

    Parameters
    ----------
    text : str
        Pairs ``phase=share`` separated by commas or semicolons. The phase is a name (case,
        accents and spaces ignored) or a label number, the share a number in [0, 1] or with ``%``.
        Without pairs, what semicolons, tabs or line ends separate is cells: one for each phase, empty where open.
    scheme : PhaseScheme

    Returns
    -------
    ndarray of float64, shape (K,)
        Shares in [0, 1], NaN where open.

    Raises
    ------
    RatioError
        Not readable, unknown phase, a phase named twice, negative, or more than 100 %.
    """
    if not any(mark in text for mark in "=:") and any(mark in text for mark in "\t\n;"):
        return ratio_from_cells(text, scheme)
    if comma := _DECIMAL_COMMA.search(text):
        raise RatioError(
            f"Ratio {text!r}: a comma separates phases, so {comma[1]!r} cannot be read. Write "
            f"{comma[1].replace(',', '.')} with a point."
        )
    ratio = np.full(len(scheme), np.nan)
    for part in filter(None, (p.strip() for p in re.split(r"[,;]", text))):
        match = _ENTRY.fullmatch(part)
        try:
            value = float(match["value"]) if match else math.nan
        except ValueError:
            value = math.nan
        if match is None or math.isnan(value):
            raise RatioError(
                f'Ratio {part!r} is not understood. Write phase=share, for example "{scheme.names[0]}=15%" '
                f'or "{scheme.names[0]}=0.15", separated by commas.'
            )
        phase = find_phase(match["name"], scheme)
        if not np.isnan(ratio[phase.label - 1]):
            raise RatioError(f"Phase {phase.name!r} has two values in {text!r}. Keep one.")
        if not match["percent"] and value > 1:
            raise RatioError(
                f"{phase.name} = {match['value']} is more than the whole. "
                f"Write {match['value']}% for percent, or a share between 0 and 1."
            )
        ratio[phase.label - 1] = value / 100 if match["percent"] else value
    return validate_ratio(ratio, scheme)


def ratio_from_cells(text: str, scheme: PhaseScheme) -> Ratio:
    """Read a ratio from cells that were copied from a spreadsheet.

    Accepted are a row (cells separated by tabs or semicolons) or a column (a cell a line), both in label order with
    one cell for each phase; a row of phase names above the row of numbers; or lines of a name and a number. Names are
    matched as `PhaseScheme.find` does, and phases that are not named stay open. An empty cell leaves its phase open. A
    comma or a point marks decimals.

    The numbers are per cent when they carry ``%`` or sum to more than `PERCENT_SUM`, else shares. Shares in [0, 1],
    NaN where open. `RatioError` for what is none of these, and for a ratio that `validate_ratio` refuses.
    """
    names, cells = _names_and_cells(_table(text), scheme)
    if len(cells) != len(names):
        raise RatioError(
            f"{len(cells)} cells were pasted for {len(names)} phases: {', '.join(names)}. Copy one cell for "
            "each, empty where open, or copy the names too."
        )
    ratio = np.full(len(scheme), np.nan)
    named: set[int] = set()
    percents = {cell.endswith("%") for cell in cells if cell}
    for name, cell in zip(names, cells, strict=True):
        label = find_phase(name, scheme).label
        if label in named:
            raise RatioError(f"Phase {name!r} has two cells. Keep one.")
        named.add(label)
        if cell:
            ratio[label - 1] = _number(cell)
    if len(percents) == 2:
        raise RatioError(
            "Some of the pasted cells have a % sign and some have none. Give all of them one, or none."
        )
    if True in percents or np.nansum(ratio) > PERCENT_SUM:
        ratio /= 100
    return validate_ratio(ratio, scheme)


def numbers_by_phase(text: str, scheme: PhaseScheme, what: str) -> Ratio:
    """Read ``"ferrite=7.87; 2=7.69"``, finite numbers of at least 0; phases that are not named get NaN.

    ``what`` they are is for `RatioError`: not readable, negative, an unknown phase, or a phase twice.
    """
    numbers = np.full(len(scheme), np.nan)
    for pair in filter(None, (p.strip() for p in re.split(r"[,;]", text))):
        name, _, value = pair.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not name.strip() or not (math.isfinite(number) and number >= 0):
            raise RatioError(
                f"The {what} {pair!r} is not understood. Write phase=number with a decimal point, for example "
                f'"{scheme.names[0]}=0.3", separated by commas.'
            )
        label = find_phase(name, scheme).label
        if not np.isnan(numbers[label - 1]):
            raise RatioError(f"Phase {name.strip()!r} has two values in {text!r}. Keep one.")
        numbers[label - 1] = number
    return numbers


def _table(text: str) -> list[list[str]]:
    """Lines of stripped cells; the line end that spreadsheets append makes no line."""
    text = text.removeprefix("\ufeff")
    separator = "\t" if "\t" in text else ";"
    lines = [line.split(separator) for line in text.splitlines()]
    if not any(cell.strip() for line in lines for cell in line):
        raise RatioError("There is nothing to paste. Copy the cells with the shares first.")
    width = max(map(len, lines))
    if width > 1:
        lines = [line for line in lines if any(cell.strip() for cell in line)]
    return [[cell.strip() for cell in line] for line in lines]


def _names_and_cells(table: list[list[str]], scheme: PhaseScheme) -> tuple[list[str], list[str]]:
    """Tell the layouts apart: pairs name and cell; without names the phases come in label order."""
    if len(table) == 2 and len(table[0]) > 1 and _are_names(table[0], scheme):
        return table[0], table[1]
    columns = {len(line) for line in table}
    if columns == {2} and (len(table) > 1 or _are_names(table[0][:1], scheme)):
        return [line[0] for line in table], [line[1] for line in table]
    if len(table) == 1:
        return list(scheme.names), table[0]
    if columns == {1}:
        return list(scheme.names), [line[0] for line in table]
    raise RatioError(
        f"{len(table)} lines of {' or '.join(map(str, sorted(columns)))} cells are not one ratio. Copy one row "
        "or one column, with or without the names of the phases."
    )


def _are_names(cells: list[str], scheme: PhaseScheme) -> bool:
    """Whether cells are meant as phases: no number among them, or labels of phases only."""

    def is_phase(cell: str) -> bool:
        try:
            scheme.find(cell)
        except SchemeError:
            return False
        return True

    return all(map(is_phase, cells)) or not any(any(c.isdigit() for c in cell) for cell in cells)


def _number(cell: str) -> float:
    try:
        return parse_number(cell.removesuffix("%"))
    except ValueError:
        raise RatioError(
            f"{cell!r} is not understood as a number. Write for example 15 %, 0.15 or 15,2."
        ) from None
