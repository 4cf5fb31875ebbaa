"""Presets are kept as files, told apart by model, material and name, and never lost silently."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Preset, PresetStore

STEEL = PhaseScheme.from_names(["ferrite", "retained austenite", "carbide"])
XRD = Preset(
    name="as quenched",
    model="uhcs",
    shares={"Retained-Austenite": 0.1, "ferrite": None},
    material="DP 800 (Ü)",
    basis="weight",
    densities={"ferrite": 7.87, "retained austenite": 8.0, "carbide": 7.7},
    source="bulk",
    uncertainty={"retained austenite": 0.05},
    scope="specimen",
)


def replaced(**values: Any) -> Preset:
    return XRD.model_copy(update=values)


@pytest.fixture
def store(tmp_path: Path) -> PresetStore:
    return PresetStore(tmp_path)


def test_what_is_saved_is_what_is_loaded(store: PresetStore, tmp_path: Path) -> None:
    path = store.save(XRD)
    assert path.parent == tmp_path / "presets" and path.suffix == ".json"
    assert store.load("uhcs", "As  Quenched") == XRD
    assert PresetStore(tmp_path).list("UHCS").presets == (XRD,)
    assert store.list("another").presets == ()


def test_a_preset_gives_a_ratio_for_the_scheme() -> None:
    assert XRD.values(STEEL) == pytest.approx([np.nan, 0.1, np.nan], nan_ok=True)
    asked = XRD.asked(STEEL, own=[0.9, 0.1, 0.0])
    assert asked[1] == pytest.approx((0.1 / 8.0) / (0.1 / 8.0 + 0.9 / 7.87))
    assert XRD.uncertainties(STEEL) == (0.2, 0.05, 0.2)
    plain = replaced(basis="area", uncertainty=None)
    assert plain.asked(STEEL) == pytest.approx([np.nan, 0.1, np.nan], nan_ok=True)
    assert plain.uncertainties(STEEL) == 0.2
    assert replaced(uncertainty=dict.fromkeys(STEEL.names, 0.4)).uncertainties(STEEL) == 0.4


def test_a_preset_for_other_phases_is_an_error() -> None:
    two = PhaseScheme.from_names(["ferrite", "carbide"])
    with pytest.raises(RatioError, match=r"'as quenched \(DP 800 \(Ü\)\)': Unknown phase 'Retained-Aus"):
        XRD.asked(two)
    with pytest.raises(RatioError, match="ferrite, retained austenite, carbide: weight % needs a density"):
        replaced(densities={}).asked(STEEL)


def test_nothing_is_replaced_unless_asked(store: PresetStore) -> None:
    path = store.save(XRD)
    changed = replaced(name="AS QUENCHED", shares={"carbide": 0.2})
    with pytest.raises(RatioError, match="There is a preset 'AS QUENCHED"):
        store.save(changed)
    assert store.load("uhcs", "as quenched") == XRD
    assert store.save(changed, overwrite=True) == path
    assert store.list("uhcs").presets == (changed,)


def test_names_that_look_alike_in_a_file_name_stay_apart(store: PresetStore) -> None:
    names = ["1-1", "1 1", "1/1", "../1", "???", "CON"]
    for share, name in enumerate(names):
        store.save(Preset(name=name, model="m", shares={"ferrite": share / 10}))
    assert {p.name: p.shares["ferrite"] for p in store.list("m").presets} == {
        name: share / 10 for share, name in enumerate(names)
    }
    assert all(path.parent == store.folder for path in store.folder.rglob("*.json"))


def test_one_name_for_two_materials_needs_the_material(store: PresetStore) -> None:
    other = replaced(material="DP600")
    store.save(XRD)
    store.save(other)
    with pytest.raises(RatioError, match=r"materials 'DP 800 \(Ü\)', 'DP600'"):
        store.load("uhcs", "as quenched")
    assert store.load("uhcs", "as quenched", "dp600") == other


def test_a_missing_preset_names_those_there_are(store: PresetStore) -> None:
    with pytest.raises(RatioError, match=r"no preset 'x'\. Its presets: none yet"):
        store.load("uhcs", "x")
    store.save(XRD)
    with pytest.raises(RatioError, match="Its presets: as quenched"):
        store.load("uhcs", "x")


@pytest.mark.parametrize(
    "change",
    [
        {"shares": {"ferrite": "much"}},
        {"basis": "mole"},
        {"source": "hearsay"},
        {"colour": "red"},
        {"densities": [1, 2]},
        None,
    ],
    ids=["share", "basis", "source", "unknown key", "densities", "no JSON"],
)
def test_a_broken_file_is_told_by_name_and_harms_no_other(
    store: PresetStore, change: dict[str, object] | None
) -> None:
    path = store.save(XRD)
    broken = path.with_name("broken.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    broken.write_text("{" if change is None else json.dumps({**data, **change}), encoding="utf-8")
    there = store.list("uhcs")
    assert there.presets == (XRD,)
    (problem,) = there.problems
    assert "broken.json: is not a preset" in problem and problem.count("\n") == 0
    with pytest.raises(RatioError, match=r"broken\.json"):
        store.load("uhcs", "nothing")


def test_deleting(store: PresetStore) -> None:
    path = store.save(XRD)
    store.delete(XRD)
    assert not path.exists()
    with pytest.raises(RatioError, match="There is no preset"):
        store.delete(XRD)


def test_a_preset_needs_a_name(store: PresetStore) -> None:
    with pytest.raises(RatioError, match="no name"):
        store.save(replaced(name="  "))


@pytest.mark.parametrize("odd", ["pipe", "deep", "large", "doubled", "link to nothing", "folder"])
def test_an_odd_file_harms_no_other(store: PresetStore, odd: str) -> None:
    path = store.save(XRD).with_name("odd.json")
    text = path.with_name(store.save(replaced(name="b")).name).read_text()
    if odd == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes with names here")
        os.mkfifo(path)
    elif odd == "folder":
        path.mkdir()
    elif odd == "link to nothing":
        path.symlink_to("nothing")
    else:
        written = {
            "deep": "[" * 99_999,
            "large": text + " " * 2_000_000,
            "doubled": '{"name": 1,' + text[1:],
        }[odd]
        path.write_text(written)
    listed = store.list("uhcs")
    assert len(listed.presets) == 2
    assert len(listed.problems) == 1 and "odd.json: is not a preset" in listed.problems[0]
