"""The micrographs that ship: complete, small, with their phases and their licence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from phaseguide.datasets.samples import (
    TITLES,
    example_sample,
    open_sample,
    open_strokes,
    sample_dataset,
    sample_names,
    samples_with,
)
from phaseguide.errors import DatasetError
from phaseguide.phases import PhaseScheme

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_shipped.sh"

SHAPES = {
    "uhcs0220": (484, 645),
    "uhcs0495": (484, 645),
    "spot2_0d_0": (512, 512),
    "070516_1_S1160030": (1024, 1024),
}
PHASES = {
    "uhcs": ("denuded ferrite", "carbide network", "spheroidite", "Widmanstätten cementite"),
    "superalloy": ("matrix", "secondary precipitate", "tertiary precipitate"),
    "ebc": ("background", "thermally grown oxide", "crack"),
}


@pytest.mark.parametrize("material", TITLES)
def test_samples_are_complete(material: str) -> None:
    assert [item.stem for item in sample_dataset(material).labelled().items] == sorted(TITLES[material])
    for name, title in TITLES[material].items():
        sample = open_sample(name)
        assert sample.title == title
        assert sample.image.shape == sample.labels.shape == SHAPES[name]
        assert sample.image.dtype == sample.labels.dtype == np.uint8
        assert sample.scheme.names == PHASES[material]
        assert len({phase.colour for phase in sample.scheme}) == len(sample.scheme)
        assert set(np.unique(sample.labels)) - {0, 255} == set(range(1, len(sample.scheme) + 1))
        assert "doi 10." in sample.attribution and "MIT licence" in sample.attribution
        assert sample.image_path.stat().st_size < 700e3


def test_no_other_sample_and_no_other_strokes() -> None:
    with pytest.raises(DatasetError, match=r"no sample 'x'\. Samples: uhcs0220, .*spot2_0d_0"):
        open_sample("x")
    with pytest.raises(DatasetError, match="No strokes ship with sample 'spot2_0d_0'"):
        open_strokes("spot2_0d_0")


def test_samples_are_found_by_their_phases() -> None:
    for material, names in PHASES.items():
        scheme = PhaseScheme.from_names(names)
        assert samples_with(scheme) == list(TITLES[material])
        assert example_sample(scheme).name == next(iter(TITLES[material]))
    other = PhaseScheme.from_names(("matrix", "pore"))
    assert samples_with(other) == [] and example_sample(other).name == sample_names()[0]


@pytest.mark.parametrize("material", TITLES)
def test_no_sample_is_in_the_folds_that_make_the_model(material: str) -> None:
    folds = json.loads((DOCS / "benchmarks" / f"{material}_folds.json").read_text(encoding="utf-8"))
    stems = [stem for fold in folds.values() for stem in fold]
    assert len(stems) == len(set(stems))
    found = re.search(rf"\n  {material}\)\n +out=\((.*)\)", SCRIPT.read_text(encoding="utf-8"))
    assert found is not None
    left_out = set(found[1].split())
    assert set(TITLES[material]) <= left_out and not left_out & set(stems)


@pytest.mark.parametrize(("material", "held_out", "images"), [("superalloy", 4, 14), ("ebc", 3, 7)])
def test_the_published_test_images_are_what_is_left_out(
    shared_data: Path, material: str, held_out: int, images: int
) -> None:
    folds = json.loads((DOCS / "benchmarks" / f"{material}_folds.json").read_text(encoding="utf-8"))
    published = {
        split: {path.stem for path in (shared_data / material / split / "images").glob("*.png")}
        for split in ("train", "val", "test")
    }
    assert {stem for fold in folds.values() for stem in fold} == published["train"] | published["val"]
    script = SCRIPT.read_text(encoding="utf-8")
    assert len(published["test"]) == held_out and len(published["train"] | published["val"]) == images
    assert all(stem in script for stem in published["test"])
    assert set(TITLES[material]) <= published["test"]
