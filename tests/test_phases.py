"""Schemes hold together, survive the way through a file, and name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import SchemeError
from phaseguide.phases import MAX_PHASES, Phase, PhaseScheme, normalise_name

UHCS = PhaseScheme.from_names(
    ["denuded ferrite", "carbide network", "spheroidite", "Widmanstätten cementite"]
)

letters = st.characters(exclude_categories=["Cc", "Cs"])
names = st.text(letters, min_size=1, max_size=20).filter(normalise_name)
schemes = st.lists(names, min_size=1, max_size=8, unique_by=normalise_name).map(PhaseScheme.from_names)


def test_labels_run_in_order_and_colours_differ() -> None:
    assert [phase.label for phase in UHCS] == [1, 2, 3, 4]
    assert len({phase.colour for phase in UHCS}) == len(UHCS) == 4
    assert len(PhaseScheme.from_names(f"p{i}" for i in range(MAX_PHASES))) == 254


@given(schemes)
def test_dict_and_json_round_trip(scheme: PhaseScheme) -> None:
    assert PhaseScheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme


@given(schemes)
def test_every_phase_is_found_by_its_name(scheme: PhaseScheme) -> None:
    for phase in scheme:
        assert normalise_name(scheme.find(phase.name).name) == normalise_name(phase.name)


@given(names)
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise_name(normalise_name(name)) == normalise_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "Widmanstätten cementite",
        "widmanstatten_cementite",
        "WIDMANSTATTEN-CEMENTITE",
        "Widmansta\u0308ttenCementite",
        " 4 ",
    ],
)
def test_spellings_of_one_phase(text: str) -> None:
    assert UHCS.find(text).label == 4


def test_unknown_phase_lists_those_there_are() -> None:
    with pytest.raises(SchemeError, match=r"'bainite'.*1 denuded ferrite, 2 carbide network"):
        UHCS.find("bainite")
    with pytest.raises(SchemeError, match="'5'"):
        UHCS.find("5")


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ({"label": 0}, "label 0"),
        ({"label": 255}, "label 255"),
        ({"name": " - "}, "label 1 has no name"),
        ({"colour": "red"}, "'ferrite' has colour 'red'"),
        ({"colour": "#12345"}, "#rrggbb"),
    ],
)
def test_impossible_phase(phase: dict[str, Any], reason: str) -> None:
    with pytest.raises(SchemeError, match=reason):
        Phase(**({"label": 1, "name": "ferrite", "colour": "#000000"} | phase))


def test_impossible_schemes() -> None:
    with pytest.raises(SchemeError, match="at least one"):
        PhaseScheme(())
    with pytest.raises(SchemeError, match=r"\[1, 3\]"):
        PhaseScheme((Phase(1, "a", "#000000"), Phase(3, "b", "#000000")))
    with pytest.raises(SchemeError, match="'Ferrite' and 'ferrite '"):
        PhaseScheme.from_names(["Ferrite", "ferrite "])


def test_read_file_sorted_with_default_colours(tmp_path: Path) -> None:
    path = tmp_path / "scheme.json"
    rows = [{"label": 2, "name": "Zementit"}, {"label": 1, "name": "Ferrit", "color": "#102030"}]
    path.write_text(json.dumps({"phases": rows}), encoding="utf-8")
    scheme = PhaseScheme.read(path)
    assert scheme.names == ("Ferrit", "Zementit")
    assert scheme.phases[0].colour == "#102030"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"phases": 3}',
        '{"phases": []}',
        '{"phases": [1]}',
        '{"phases": [{"name": "a"}]}',
        '{"phases": [{"label": "x", "name": "a"}]}',
        '{"phases": [{"label": Infinity, "name": "a"}]}',
        '{"phases": [{"label": 0, "name": "a"}]}',
        '{"phases": [{"label": 1, "name": "a", "color": "red"}]}',
        '{"phases": [{"label": 1, "name": "a"}, {"label": 1, "name": "b"}]}',
        b"\xff\xfe\x00",
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "scheme.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SchemeError, match=r"scheme\.json: "):
        PhaseScheme.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match=r"gone\.json: cannot be read"):
        PhaseScheme.read(tmp_path / "gone.json")


def test_labels_outside_the_scheme() -> None:
    UHCS.check_labels([0, 1, 4, 255], source="a.tif")
    with pytest.raises(SchemeError, match=r"a\.tif: label value 5, 9 is not .*4 Widmanst"):
        UHCS.check_labels([9, 1, 5], source="a.tif")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\x00", "a\ud800", "a" * 201])
def test_a_name_is_one_line_of_moderate_length(name: str) -> None:
    with pytest.raises(SchemeError, match="a name is one line") as caught:
        Phase(1, name, "#000000")
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()
