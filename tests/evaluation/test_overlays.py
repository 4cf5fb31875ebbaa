"""Pictures of hits, false alarms and misses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.errors import OutputError
from phaseguide.evaluation.agreement import agreement_picture
from phaseguide.evaluation.evaluate import Predicted, evaluate
from phaseguide.evaluation.overlays import Pictures
from phaseguide.evaluation.watching import watched
from phaseguide.models.model_file import load_model
from phaseguide.phases import PhaseScheme
from tiny_models import tiny_dataset, tiny_labels, tiny_model

WHITE, CYAN, MAGENTA, BLACK, GREY = (
    (255, 255, 255), (0, 255, 255), (255, 0, 255), (0, 0, 0), (64, 64, 64)
)  # fmt: skip
ISLANDS = PhaseScheme.from_names(["matrix", "island"])


def test_colours_say_hit_false_alarm_and_miss() -> None:
    true = np.uint8([[2, 1, 2, 1, 0, 255, 2]])
    found = np.uint8([[2, 2, 1, 1, 2, 2, 255]])
    picture = agreement_picture(true, found, 2)
    assert [tuple(p) for p in picture[0].tolist()] == [WHITE, CYAN, MAGENTA, BLACK, GREY, GREY, MAGENTA]


def test_a_study_writes_a_picture_a_phase_and_image(tmp_path: Path) -> None:
    data, model = open_dataset(tiny_dataset(tmp_path / "data")), load_model(tiny_model(tmp_path))
    pictures = Pictures(tmp_path / "out")
    events = list(watched(evaluate(data, model, device="cpu"), data, [pictures]))
    made = [e.segmentation.labels for e in events if isinstance(e, Predicted)]
    names = ("1_ferrite", "2_carbide_network", "3_Widmanst_tten_cementite")
    written = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert {f"{n}/field{i}.png" for n in names for i in range(2)} <= written
    for label, name in enumerate(names, start=1):
        kept = np.asarray(Image.open(tmp_path / "out" / name / "field1.png"))
        np.testing.assert_array_equal(kept, agreement_picture(tiny_labels(), made[1], label))
    assert "1_ferrite_worst_and_best.png" in written
    with pytest.raises(OutputError, match=r"out: holds something.*new or empty folder"):
        Pictures(tmp_path / "out")


def test_the_sheet_begins_with_the_worst_and_ends_with_the_best(tmp_path: Path) -> None:
    data = open_dataset(tiny_dataset(tmp_path / "data", count=11, names=("matrix", "island")))
    pictures, truth = Pictures(tmp_path / "out"), tiny_labels(n_phases=2)
    for item in data.items:  # as many columns are missed as the number says
        found = truth.copy()
        found[:, 48 : 48 + 4 * int(item.stem.removeprefix("field"))] = 1
        pictures.see(item, truth, Predicted(item.stem, 0, SimpleNamespace(labels=found, scheme=ISLANDS)))  # type: ignore[arg-type]
    pictures.finish()
    sheet = np.asarray(Image.open(tmp_path / "out" / "2_island_worst_and_best.png"))
    assert sheet.shape[0] % 8 == 0, "eight of the eleven images"
    lines = np.split(sheet, 8)
    missed = [(line == MAGENTA).all(-1).sum() for line in lines]
    assert missed == sorted(missed, reverse=True) and missed[-1] == 0
    assert missed[3] > missed[4] + 3 * (missed[4] - missed[5]), "three in between are left out"
