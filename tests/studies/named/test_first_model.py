"""The study of a first model: strokes of the asked size, both methods judged, and no encoder that knows the images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phaseguide.errors import PhaseguideError
from phaseguide.events import run_to_end
from phaseguide.models.model_file import load_model, save_model
from phaseguide.studies.finetune.data import Field
from phaseguide.studies.named.first_model import SHARES, STUDY, paint_share
from phaseguide.studies.networks.splits import open_study_data
from phaseguide.studies.study import Given
from textures import write_fields
from tiny_models import tiny_labels, tiny_model


def test_the_user_paints_so_much_and_each_phase_in_several_places() -> None:
    truth = np.repeat(np.repeat(tiny_labels(), 4, 0), 4, 1)
    marks = paint_share(Field("one", truth, truth), 3, 0.005, 0)
    assert np.count_nonzero(marks) == pytest.approx(0.005 * truth.size, abs=3)
    assert (marks[marks > 0] == truth[marks > 0]).all() and set(np.unique(marks)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(marks, paint_share(Field("one", truth, truth), 3, 0.005, 0))


def test_both_methods_are_judged_and_nothing_is_done_twice(tmp_path: Path) -> None:
    folder = write_fields(tmp_path / "data", 4, size=128)
    splits = {"train": ["f0", "f1"], "test": ["f2", "f3"]}
    (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    start = tiny_model(tmp_path)
    given = Given([open_study_data(folder)], tmp_path / "out", settings={"start": str(start)})
    numbers = run_to_end(STUDY.run(given))
    assert [row["share"] for row in numbers["rows"]] == list(SHARES)
    for row in numbers["rows"]:
        assert row["forest"]["images"] == row["pixels"]["images"] == ["f2", "f3"]
        assert row["gain"]["rest"] == pytest.approx(row["pixels"]["rest"] - row["forest"]["rest"])
        assert 50 < row["pixels"]["rest"] <= 100
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    assert len(files) == 2 * 2 * len(SHARES)
    assert run_to_end(STUDY.run(given))["rows"] == numbers["rows"]
    assert files == {path: path.stat().st_mtime_ns for path in files}
    assert any("Mean gain" in line for line in STUDY.lines(numbers))
    knows = load_model(start)
    card = knows.card.model_copy(update={"training": {"images": {"train": ["f3"]}}})
    save_model(start, knows.segmenter, card)
    other = Given([open_study_data(folder)], tmp_path / "out2", settings={"start": str(start)})
    with pytest.raises(PhaseguideError, match="has learnt from f3"):
        run_to_end(STUDY.run(other))
