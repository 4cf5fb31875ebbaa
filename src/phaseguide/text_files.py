"""Texts and tables as other programs write them: any usual encoding, separator, line end and decimal mark."""

from __future__ import annotations

import codecs
import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from phaseguide.files import read_plain

MOST_BYTES = 64 * 1024 * 1024

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = "\t;,"


@dataclass(frozen=True)
class Row:
    """One row of a table; ``line`` is where it ends in the file, from 1, and cells have no spaces around them."""

    line: int
    cells: tuple[str, ...]


def decode_text(data: bytes) -> str:
    r"""Return the text that bytes hold, with ``\n`` at the end of every line and no byte order mark.

    UTF-8, UTF-16 and UTF-32 with their marks, UTF-8 and UTF-16 without, and else Windows-1252, which is what
    spreadsheets and instruments of western countries write. `ValueError`, in words, for no text in any of these.
    """
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        raise ValueError("is not text in UTF-8, UTF-16 or Windows-1252") from error
    if "\0" in text:
        raise ValueError("is not text, but binary data")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: str | Path, most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a plain file, see `decode_text`; `OSError` as `open_plain`, `ValueError`, in words."""
    return decode_text(read_plain(path, most_bytes))


def parse_table(text: str) -> list[Row]:
    """Return the rows of a table that say something; the first is the heading, where there is one.

    Cells are separated by what the first row has most of: tabs, semicolons or commas; a line ``sep=;`` before it, as
    spreadsheets write it, decides. Empty rows and rows that begin with ``#`` are left out. `ValueError` for quotes
    that do not end, or a cell beyond all measure.
    """
    lines = io.StringIO(text.removeprefix("\ufeff"))
    separator, skipped = None, 0
    first = lines.readline()
    if first.lower().startswith("sep=") and len(first.strip()) <= 5:
        separator, skipped = first.rstrip("\r\n")[4:] or None, 1
        first = lines.readline()
    while first and not _says_something(first):
        skipped += 1
        first = lines.readline()
    rest = io.StringIO(first + lines.read())
    reader = csv.reader(rest, delimiter=separator or max(_SEPARATORS, key=first.count), skipinitialspace=True)
    try:
        rows = [Row(skipped + reader.line_num, tuple(cell.strip() for cell in cells)) for cells in reader]
    except csv.Error as error:
        raise ValueError(f"is not a readable table ({error})") from error
    return [row for row in rows if any(row.cells) and not row.cells[0].startswith("#")]


def parse_number(cell: str) -> float:
    """Read a number with a decimal point or comma, such as ``12.5``, ``12,5`` or ``−3``.

    A number with both marks, or with several, is refused: nobody can tell which of them groups thousands. `ValueError`
    for anything else, NaN and infinity included.
    """
    digits = cell.strip().replace("−", "-").replace("_", "?")
    if digits.count(",") == 1 and "." not in digits:
        digits = digits.replace(",", ".")
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{cell!r} is not a finite number")
    return number


def _encoding(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    # Without a mark UTF-16 shows by its zeros: every other byte of plain letters.
    start = data[:4096]
    if len(start) > 1 and start.count(0) > len(start) // 4:
        return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _says_something(line: str) -> bool:
    return bool(line.strip(" \t,;\r\n")) and not line.lstrip().startswith("#")
