"""Folds, the response to a moved ratio, and the report over folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import DatasetError
from phaseguide.models.card import CalibrationCard
from phaseguide.models.model_file import load_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.session import run_to_end
from phaseguide.studies.folds import rows
from phaseguide.studies.folds.report import report_folds, to_lines
from phaseguide.studies.folds.response import measure_response, moved_ratio
from phaseguide.studies.folds.rows import ROWS, FoldModel, Spec, Study
from phaseguide.studies.statistics import paired_difference
from phaseguide.training.crossfit import refinement
from phaseguide.training.crossfit.folds import read_folds, training_stems
from tiny_models import NAMES, tiny_model


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for i in range(4):
        labels = np.repeat(np.sort(rng.integers(1, 4, 48))[None], 40, 0).astype(np.uint8)
        image = np.clip(labels * 60 + rng.normal(0, 15, labels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"i{i}.png")
        Image.fromarray(labels).save(folder / "labels" / f"i{i}.png")
    (folder / "scheme.json").write_text(json.dumps(PhaseScheme.from_names(NAMES).to_dict()))
    return open_dataset(folder)


def write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_no_tested_image_is_trained_on(dataset: Dataset, tmp_path: Path) -> None:
    folds = read_folds(write(tmp_path / "f.json", {"A": ["i0", "i1"], "B": ["i2"]}), dataset)
    assert training_stems(folds, "A") == ("i2",)
    assert "i3" not in training_stems(folds, "A") + training_stems(folds, "B"), (
        "unnamed images are used by none"
    )


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"A": ["i0"]}, "at least two folds"),
        ({"A": ["i0"], "B": []}, "at least two folds"),
        ({"A": ["i0"], "B": ["i0"]}, "in fold A and in fold B. Leave it in one place"),
        ({"A": ["i0"], "B": ["i9"]}, "i9 is not labelled .* take it out of the folds"),
        ([1, 2], r"holds no folds by name. Write \{\"A\""),
        ({"A": "i0", "B": ["i1"]}, "fold A is no list of names of images"),
        ({"A": ["i0"], "B": [3, None]}, "fold B is no list of names of images"),
    ],
)
def test_folds_that_make_no_sense(dataset: Dataset, tmp_path: Path, data: object, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        read_folds(write(tmp_path / "f.json", data), dataset)


@given(st.integers(0, 9999), st.floats(-0.2, 0.2))
def test_a_moved_ratio_is_a_ratio(seed: int, change: float) -> None:
    own = np.random.default_rng(seed).dirichlet([1, 1, 1])
    moved = moved_ratio(own, 1, change)
    if moved is None:
        assert not 0 < own[1] + change < 1
    else:
        assert moved.sum() == pytest.approx(1) and moved.min() >= 0
        assert moved[1] - own[1] == pytest.approx(change)
        assert moved[0] * own[2] == pytest.approx(moved[2] * own[0])


def test_a_network_without_guidance_does_not_answer_and_a_guided_one_does(
    dataset: Dataset, tmp_path: Path
) -> None:
    deaf = load_model(tiny_model(tmp_path, "none", file_name="deaf.safetensors"))
    keen = load_model(tiny_model(tmp_path))
    response = run_to_end(measure_response(dataset, keen))
    assert response.shape == (4, 3)
    assert np.nanmax(np.abs(response)) > 0
    # Without guidance a session falls back to matching, which answers in full: that is why the
    # report asks for the response of guided models only.
    assert np.nanmean(run_to_end(measure_response(dataset.only(["i0"]), deaf))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("study", ["belief", "conditioning", "fusion"])
def test_the_report_has_every_row_and_a_table(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Study
) -> None:
    few = [row for row in ROWS[study] if row.source in ("none", "own", "oracle")]
    monkeypatch.setitem(rows.ROWS, study, tuple(few))
    monkeypatch.setattr(refinement, "STEPS", 2)
    path = tiny_model(tmp_path)
    models = [FoldModel("A", path, ("i0", "i1")), FoldModel("B", path, ("i2", "i3"))]
    report = run_to_end(
        report_folds(dataset, models, study=study, repeats=2, unguided=models, scores=tmp_path / "s")
    )
    none = report["rows"].pop(1)
    assert none["net"] == "unguided" and none["paired_dice"]["mean"] == 0
    assert [Spec(r["source"], r["mode"], r["uncertainty"], r["scores"]) for r in report["rows"]] == few
    assert report["images"] == ["i0", "i1", "i2", "i3"]
    first, *others = report["rows"]
    assert set(first["per_fold"]) == {"A", "B"} and first["paired_dice"] is None and first["removed"] == 0
    for row in others:
        gained = (row["dice_mean"] - first["dice_mean"]) / (1 - first["dice_mean"])
        assert row["removed"] == pytest.approx(gained) and row["dice_p10"] <= row["dice_mean"] + 1e-12
        assert row["draws"] == (2 if row["source"].startswith("expert") else 1)
    oracle = next(r for r in report["rows"] if (r["source"], r["mode"]) == ("oracle", "matched"))
    assert oracle["paired_dice"]["n"] == 4
    assert oracle["fraction_mae_pp"] < 0.1 and oracle["asked_variation"] == 0
    calibration = CalibrationCard(**report["calibration"])
    assert len(calibration.own_error) == 3 and calibration.head is not None
    assert calibration.own_variation is not None and 0 <= calibration.own_variation <= 1
    assert (report["response"]["mean"] is None) == (study == "belief")
    json.dumps(report, allow_nan=False)
    assert len(to_lines(report)) == len(few) + 2


def test_paired_difference() -> None:
    base = {f"i{k}": 0.5 + 0.01 * k for k in range(8)}
    better = {k: v + 0.02 + 0.001 * i for i, (k, v) in enumerate(base.items())}
    result = paired_difference(better, base)
    assert result["mean"] == pytest.approx(0.0235) and result["low"] > 0 and result["p"] < 0.01
    assert paired_difference(base, base) == {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "n": 8}
