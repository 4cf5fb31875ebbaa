"""Simulated users who paint where people do, and what the study says of their strokes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.estimation.painted import STROKES
from phaseguide.studies.intervals.stroke_users import AMOUNTS, EASY, MISTAKES, SPOT, WHERE, Seen, paint_as
from phaseguide.studies.intervals.strokes import Case, worth
from tiny_models import tiny_dataset, tiny_model


def seen() -> Seen:
    """Three bands; a model that takes the left part of the last one for the second phase."""
    truth = np.repeat(np.array([[1, 2, 3]], np.uint8), 60, axis=1).repeat(120, axis=0)
    wrong = truth.copy()
    wrong[:, 120:140] = 2
    return Seen(truth, np.stack([4.0 * (wrong == k) for k in (1, 2, 3)]).astype(np.float32))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("amount", AMOUNTS)
def test_strokes_are_true_and_of_the_wanted_amount(where: str, amount: float) -> None:
    one = seen()
    painted = paint_as(where, amount, one, np.random.default_rng(0))
    assert (painted[painted > 0] == one.truth[painted > 0]).all()
    counts = np.bincount(painted.ravel(), minlength=4)[1:]
    assert np.count_nonzero(counts) >= (2 if where == SPOT else 3), "a third of the width has two bands"
    assert counts.sum() <= amount * painted.size + 3
    assert np.array_equal(painted, paint_as(where, amount, one, np.random.default_rng(0)))


def test_users_differ_in_where_they_paint() -> None:
    one = seen()
    wrong = one.predicted != one.truth

    def painted(where: str) -> np.ndarray:
        return paint_as(where, AMOUNTS[-1], one, np.random.default_rng(1))

    assert ((painted(MISTAKES) == 3) <= wrong).all(), "of the third phase only what the model has wrong"
    assert not (painted(EASY)[wrong] > 0).any()
    rows, _ = np.nonzero(painted(SPOT))
    assert np.ptp(rows) < 41, "a third of the height"


def test_errors_are_means_over_phases_and_cases() -> None:
    true, off = np.array([0.7, 0.3, 0.0]), np.array([0.6, 0.4, 0.0])
    cases = [Case(EASY, 0.005, true, off, off, true), Case(EASY, 0.005, true, None, true, true)]
    found = worth(EASY, 0.005, [*cases, Case(SPOT, 0.005, true, true, true, true)])
    assert (found.cases, found.without_estimate) == (2, 1)
    assert found.extrapolated == pytest.approx(0.1) and found.counted == pytest.approx(0.05)
    assert found.own == 0 and found.held == 1 and 0 < found.log_error < STROKES
    nothing = worth(EASY, 0.005, cases[1:]).to_dict()
    assert nothing["extrapolated"] is nothing["held"] is None and nothing["counted"] == 0


def test_the_command_paints_images_of_folds_that_have_a_model(tmp_path: Path) -> None:
    data, folds, models = tiny_dataset(tmp_path / "data"), tmp_path / "folds.json", tmp_path / "models"
    folds.write_text(json.dumps({"A": ["field0"], "B": ["field1"]}), encoding="utf-8")
    models.mkdir()
    arguments = ["benchmark", "strokes", str(data), "--folds", str(folds), "--models", str(models)]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and "no model of a fold, such as fold_A.safetensors" in refused.stderr
    shutil.copy(tiny_model(tmp_path), models / "fold_B.safetensors")
    result = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "s.json")])
    assert result.exit_code == 0, result.output
    ways = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["ways"]
    assert len(ways) == len(WHERE) * len(AMOUNTS) and all(way["cases"] == 1 for way in ways)
    assert "| mistakes | 2.0 | 1 |" in result.stdout
