"""Cells of a spreadsheet, and pairs of phase and number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import numbers_by_phase, parse_ratio, ratio_from_cells

STEEL = PhaseScheme.from_names(["ferrite", "Widmanstätten cementite", "martensite"])
TWO = PhaseScheme.from_names(["ferrite", "martensite"])
OPEN = math.nan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15\t20\t65\n", [0.15, 0.2, 0.65]),
        ("15\t20\t65\r\n", [0.15, 0.2, 0.65]),
        ("0.15\t0.2\t0.65", [0.15, 0.2, 0.65]),
        ("15,2;;", [0.152, OPEN, OPEN]),
        ("0,5;0,25;0,25", [0.5, 0.25, 0.25]),
        ("1 %\t0.5%\t", [0.01, 0.005, OPEN]),
        ("15\n20\n65\n", [0.15, 0.2, 0.65]),
        ("15\n\n65\n", [0.15, OPEN, 0.65]),
        ("15\n20\n\n", [0.15, 0.2, OPEN]),
        ("\t\t30 %", [OPEN, OPEN, 0.3]),
        ("martensite\twidmanstatten_cementite\n30\t10\n", [OPEN, 0.1, 0.3]),
        ("FERRITE\tMartensite\tWidmanstätten cementite\n0.5\t\t0.2", [0.5, 0.2, OPEN]),
        ("martensite\t30\nferrite\t70\n", [0.7, OPEN, 0.3]),
        ("martensite;30 %", [OPEN, OPEN, 0.3]),
        ("3\t1\n30\t70", [0.7, OPEN, 0.3]),
        ("\n15\t20\t65\n\n", [0.15, 0.2, 0.65]),
        ("100\t0\t0", [1, 0, 0]),
        ("\xa015 %\t\xa020 %\t65 %", [0.15, 0.2, 0.65]),
    ],
)
def test_cells_are_read(text: str, expected: list[float]) -> None:
    assert ratio_from_cells(text, STEEL) == pytest.approx(expected, nan_ok=True)
    assert parse_ratio(text, STEEL) == pytest.approx(expected, nan_ok=True)


def test_two_rows_of_two_are_names_above_or_beside() -> None:
    assert ratio_from_cells("martensite\tferrite\n30\t70", TWO).tolist() == [0.7, 0.3]
    assert ratio_from_cells("martensite\t30\nferrite\t70", TWO).tolist() == [0.7, 0.3]


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=3, max_size=3).filter(
        lambda row: any(row) and sum(filter(None, row)) > 0.1
    ),
    st.booleans(),
    st.sampled_from("\t;\n"),
)
def test_what_a_spreadsheet_shows_is_what_is_read(
    row: list[float | None], percent: bool, separator: str
) -> None:
    total = max(1.0, sum(filter(None, row))) if None in row else sum(filter(None, row))
    shares = [None if share is None else round(share / total, 4) for share in row]
    text = separator.join("" if s is None else f"{s * 100:.2f} %" if percent else f"{s:.4f}" for s in shares)
    expected = [OPEN if s is None else s for s in shares]
    assert ratio_from_cells(text + "\n", STEEL) == pytest.approx(expected, nan_ok=True, abs=2e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to paste"),
        (" \t \n", "nothing to paste"),
        ("15\t20", "2 cells were pasted for 3 phases: ferrite, Widm"),
        ("15\t20\t30\t35", "4 cells were pasted for 3"),
        ("15\tabc\t20", "'abc' is not understood"),
        ("1.234,5\t2\t3", r"'1\.234,5' is not understood"),
        ("ferrite\taustenite\n10\t20", "Unknown phase 'austenite'"),
        ("ferrite\tFerrite\n10\t20", "two cells"),
        ("ferrite\tmartensite\n10", "1 cells were pasted for 2 phases"),
        ("60\t50\t20", "130.00 %, more than 100 %"),
        ("20\t20\t20", "sum to 60.00 %"),
        ("-5\t\t", "not an area share"),
        ("15 %\t0.2\t", "Some of the pasted cells have a % sign"),
        ("1\t2\t3\n4\t5\t6\n7\t8\t9", "not one ratio"),
        ("nan\t1\t2", "'nan' is not understood"),
        ("0;0;0", "Every phase is 0 %. Give at least one a share, or leave one open"),
    ],
)
def test_cells_that_cannot_be_meant(text: str, words: str) -> None:
    with pytest.raises(RatioError, match=words):
        ratio_from_cells(text, STEEL)


def test_numbers_by_phase() -> None:
    numbers = numbers_by_phase("ferrite=7.87; 3 = 7.8,", STEEL, "density")
    assert numbers == pytest.approx([7.87, OPEN, 7.8], nan_ok=True)
    assert np.isnan(numbers_by_phase("", STEEL, "density")).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ferrite", "density 'ferrite' is not understood"),
        ("=7.8", "not understood"),
        ("ferrite=heavy", "not understood"),
        ("ferrite=-1", "not understood"),
        ("ferrite=inf", "not understood"),
        ("ferrite=7,87", "'87' is not understood.*decimal point"),
        ("austenite=8", "Unknown phase 'austenite'"),
        ("ferrite=7,ferrite=8", "two values"),
    ],
)
def test_numbers_that_cannot_be_meant(text: str, words: str) -> None:
    with pytest.raises(RatioError, match=words):
        numbers_by_phase(text, STEEL, "density")
