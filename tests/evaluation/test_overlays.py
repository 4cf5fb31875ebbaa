"""Pictures of hits, false alarms and misses, and what opening and closing makes of a map."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.errors import OutputError, PhaseguideError
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import Predicted, evaluate
from phaseguide.evaluation.opening import Opening, opened_and_closed
from phaseguide.evaluation.overlays import Pictures, agreement_picture
from phaseguide.evaluation.watching import watched
from phaseguide.models.model_file import load_model
from phaseguide.phases import PhaseScheme
from tiny_models import NAMES, tiny_dataset, tiny_labels, tiny_model

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


def test_opening_removes_specks_and_closing_fills_holes() -> None:
    labels = np.ones((60, 80), dtype=np.uint8)
    labels[20:45, 20:45] = 2
    labels[30, 30] = 1
    labels[5, 5:7] = 2
    labels[:, -10:] = 255
    mended = opened_and_closed(labels, 2)
    assert mended[30, 30] == 2 and not (mended[:12] == 2).any()
    assert (mended[:, -10:] == 255).all() and (labels[5, 5:7] == 2).all()
    np.testing.assert_array_equal(opened_and_closed(mended, 2), mended)
    full = np.full((20, 20), 2, dtype=np.uint8)
    np.testing.assert_array_equal(opened_and_closed(full, 3), full)


def test_both_maps_are_judged(tmp_path: Path) -> None:
    truth = np.ones((60, 80), dtype=np.uint8)
    truth[20:45, 20:45] = 2
    found = truth.copy()
    found[5, 5:7] = 2
    opening = Opening(2, ISLANDS)
    assert opening.to_dict() is None
    for repeat in (0, 0, 1, 1):
        opening.see(None, truth, Predicted("a", repeat, SimpleNamespace(labels=found, scheme=ISLANDS)))  # type: ignore[arg-type]
    told = opening.to_dict()
    assert told is not None and told["fp"]["island"] == 0 and told["radius_px"] == 2
    mended = confusion_matrix(truth, opened_and_closed(found, 2), 2)
    assert told["tp"]["island"] == 2 * mended[1, 1]
    assert scores_from_confusion(confusion_matrix(truth, found, 2)).fp[1] == 2
    with pytest.raises(PhaseguideError, match="second of two phases, but the model has 3"):
        Opening(2, PhaseScheme.from_names(NAMES))
