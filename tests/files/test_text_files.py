"""Texts and tables of other programs are read, whatever their encoding, separator, line ends and decimal mark."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.files.text_files import decode_text, parse_number, parse_table, read_text

TEXT = "phase;row\nWidmanstätten µ;12,5\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_every_usual_encoding_and_line_end(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert read_text(tmp_path / "a.csv") == TEXT


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\ufeff"), max_size=40))
def test_utf_8_is_what_it_says(text: str) -> None:
    assert decode_text(text.encode("utf-8")) == text
    assert decode_text(text.encode("utf-8-sig")) == text
    assert decode_text(text.encode("utf-16")) == text


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", b"\x81\x8d", b"a\0b" + b"c" * 40])
def test_what_is_no_text(data: bytes) -> None:
    with pytest.raises(ValueError, match="not text"):
        decode_text(data)


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1).filter(
    lambda cell: cell.strip() == cell and not cell.startswith(("#", "sep="))
)


@given(
    st.integers(2, 4).flatmap(lambda n: st.lists(st.tuples(*[CELLS] * n), min_size=1, max_size=5)),
    st.sampled_from("\t;,"),
)
def test_what_a_spreadsheet_writes_is_read_back(rows: list[tuple[str, ...]], separator: str) -> None:
    buffer = io.StringIO()
    buffer.write(f"sep={separator}\n")
    csv.writer(buffer, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    table = parse_table(buffer.getvalue())
    assert [row.cells for row in table] == rows
    assert [row.line for row in table] == [*range(2, len(rows) + 2)]


@pytest.mark.parametrize("separator", ["\t", ";", ","])
def test_the_separator_is_seen_and_empty_lines_are_counted(separator: str) -> None:
    text = "\n# made by hand\nphase;row;column\n;;\n1; 5 ;6\n".replace(";", separator)
    assert [(row.line, row.cells) for row in parse_table(text)] == [
        (3, ("phase", "row", "column")),
        (5, ("1", "5", "6")),
    ]


def test_a_table_of_nothing() -> None:
    assert parse_table("") == parse_table("sep=;\n\n;;\n") == []


@pytest.mark.parametrize(
    ("cell", "number"), [("12.5", 12.5), (" 12,5 ", 12.5), ("−3", -3), ("1e3", 1000), (".5", 0.5)]
)
def test_numbers(cell: str, number: float) -> None:
    assert parse_number(cell) == number


@pytest.mark.parametrize("cell", ["", "a", "1.234,5", "1,234.5", "1,2,3", "nan", "inf", "1_0"])
def test_what_is_no_number(cell: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_number(cell)
