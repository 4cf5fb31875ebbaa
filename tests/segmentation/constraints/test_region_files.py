"""Regions from a file: what is read, and what every bad file is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import MicrographError, RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.region_files import read_regions, region_rows
from phaseguide.segmentation.constraints.regions import REST, RegionShares

SCHEME = PhaseScheme.from_names(["ferrite", "carbide"])
SQUARE = [[2, 2], [2, 12], [12, 12], [12, 2]]


def read(folder: Path, data: Any, shape: tuple[int, int] = (20, 30)) -> Any:
    path = folder / "regions.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return read_regions(path, shape, SCHEME, 0.2)


def test_regions_are_read(tmp_path: Path):
    coating, plain = read(
        tmp_path,
        {
            "regions": [
                {"name": "coating", "polygon": SQUARE, "ratio": "Carbide = 20 %", "uncertainty": [0.1, 0.5]},
                {"polygon": [[0.5, 0.5], [0.5, 30], [5.5, 30], [5.5, 0.5]]},
            ]
        },
    )
    assert (coating.name, plain.name) == ("coating", "Region 2")
    assert coating.mask.sum() == 100 and coating.mask[2, 2] and not coating.mask[12, 12]
    np.testing.assert_array_equal(coating.asked, [np.nan, 0.2])
    assert coating.uncertainty == (0.1, 0.5) and plain.uncertainty == 0.2
    assert np.isnan(plain.asked).all()


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ({"polygon": SQUARE[:2]}, MicrographError, "'weld': its polygon is no outline"),
        ({}, MicrographError, "'weld': its polygon is no outline"),
        ({"polygon": [[1, "x"], [2, 3], [3, 4]]}, MicrographError, "'weld': its polygon is no outline"),
        ({"polygon": [[1, 2], [2], [3, 4]]}, MicrographError, "'weld': its polygon is no outline"),
        ({"polygon": [[90, 90], [90, 99], [99, 99]]}, MicrographError, "'weld' holds no pixel"),
        ({"polygon": SQUARE, "ratio": "pearlite=3%"}, RatioError, "'weld': Unknown phase 'pearlite'"),
        (
            {"polygon": SQUARE, "ratio": "ferrite=60%,carbide=60%"},
            RatioError,
            "'weld': The phases sum to 120",
        ),
        ({"polygon": SQUARE, "uncertainty": "much"}, RatioError, "'weld': the uncertainty 'much'"),
        ({"polygon": SQUARE, "uncertainty": -1}, RatioError, "'weld': The uncertainty -1"),
        ({"polygon": SQUARE, "uncertainty": [0.1]}, RatioError, "'weld': The uncertainty"),
        ({"polygon": SQUARE, "share": 3}, MicrographError, "'weld': unknown entry 'share'"),
    ],
)
def test_errors_name_file_and_region(tmp_path: Path, row: dict[str, Any], error: type, words: str):
    with pytest.raises(error, match=r"regions\.json: Region ") as caught:
        read(tmp_path, {"regions": [{"name": "weld", **row}]})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "data", ["{", "[]", {"regions": []}, {"regions": [1]}, {"shapes": []}, {"regions": {}}]
)
def test_files_of_another_form(tmp_path: Path, data: Any):
    with pytest.raises(MicrographError, match=r'regions\.json: .*Expected \{"regions"'):
        read(tmp_path, data)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(MicrographError, match="cannot be read"):
        read_regions(tmp_path / "none.json", (4, 4), SCHEME)


def test_rows_for_a_record_are_plain_json():
    own, wish = np.array([0.7, 0.3]), np.array([0.2, np.nan])
    aim, none = np.array([0.25, 0.75]), np.full(2, np.nan)
    coating = RegionShares("coating", 100, wish, (0.1, 0.2), own, aim, aim)
    rest = RegionShares(REST, 0, None, None, none, None, none)
    rows = json.loads(json.dumps(region_rows([coating, rest], SCHEME), allow_nan=False))
    assert rows[0]["constrained"] and rows[0]["uncertainty"] == [0.1, 0.2]
    assert rows[0]["phases"][0] == {
        "label": 1, "name": "ferrite", "asked": 0.2, "imposed": 0.25, "achieved": 0.25, "own": 0.7,
    }  # fmt: skip
    assert rows[0]["phases"][1]["asked"] is None
    assert not rows[1]["constrained"] and rows[1]["phases"][0]["own"] is None
