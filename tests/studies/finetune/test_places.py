"""Ways of choosing where to paint: the same start for all, oracles that find what is wrong, names that are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from phaseguide.datasets.folder import open_dataset
from phaseguide.errors import PhaseguideError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.models.model_file import load_model
from phaseguide.studies.finetune.data import Field, Strokes, read_fields
from phaseguide.studies.finetune.methods import NetworkMethod
from phaseguide.studies.finetune.places import (
    BALANCED,
    CHOICES,
    CORRECTS,
    ENTROPY,
    MISTAKES,
    RANDOM,
    PlaceOptions,
    compare_places,
)
from phaseguide.studies.finetune.report import summarise
from phaseguide.studies.finetune.scenarios import NEW_STEEL, StoryOptions, Turn
from tiny_models import tiny_dataset, tiny_model

QUICK = FinetuneConfig(epochs=1, crop=64, batch=2, device="cpu", threads=1)
OPTIONS = StoryOptions(budget=0.02, new_config=QUICK, known_config=QUICK, rehearsal_px=32)
STEMS = ("field0", "field1")


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Turn:
    folder = tmp_path_factory.mktemp("places")
    data = open_dataset(tiny_dataset(folder / "data", 2))
    assert data.scheme is not None
    model = load_model(tiny_model(folder, "ccrm"))
    return Turn("A", read_fields(data, STEMS, data.scheme), 0, model)


def rows_of(events: Any) -> list[dict[str, Any]]:
    return [event for event in events if isinstance(event, dict)]


def test_places_of_a_new_steel_start_from_the_same_strokes_and_the_same_model(turn: Turn) -> None:
    how = PlaceOptions(visits=1, seeds=1, user=CORRECTS, ways=(ENTROPY, RANDOM), steel=NEW_STEEL)
    rows = rows_of(compare_places(turn, OPTIONS, how))
    before = [r for r in rows if r["round"] == 0]
    after = [r for r in rows if r["round"] == 1]
    assert [r["method"] for r in before] == [ENTROPY, RANDOM] == [r["method"] for r in after]
    assert len({r["painted_px"] for r in before}) == 1
    assert before[0]["painted_px"] > 0
    assert before[0]["unpainted"] == before[1]["unpainted"]
    # A user who only corrects paints nothing but mistakes, on top of the first strokes.
    for one, two in zip(before, after, strict=True):
        assert two["corrected_px"] == two["painted_px"] - one["painted_px"]
    assert np.sum(after[0]["unpainted"]) == np.sum(after[1]["unpainted"])


def test_a_user_who_finds_nothing_wrong_leaves_the_model_as_it_is(turn: Turn) -> None:
    one = turn.fields[0]
    right = NetworkMethod("", turn.model, QUICK).predict(one)
    easy = replace(turn, fields=(Field(one.stem, one.image, right), turn.fields[1]))
    how = PlaceOptions(visits=1, seeds=1, user=CORRECTS, ways=(RANDOM,))
    before, after = rows_of(compare_places(easy, OPTIONS, how))
    assert after["painted_px"] == 0
    assert after["others"] == before["others"]


def test_a_way_that_there_is_not_is_refused(turn: Turn) -> None:
    with pytest.raises(PhaseguideError, match="no way 'by feeling'"):
        list(compare_places(turn, OPTIONS, PlaceOptions(ways=("by feeling",))))


class _Says:
    """Stands for a network with a given map."""

    def __init__(self, labels: np.ndarray, model: Any) -> None:
        self.labels, self.model = labels, model

    def predict(self, one: Field) -> np.ndarray:
        return self.labels


def holds(windows: list[tuple[slice, slice]], row: int, column: int) -> bool:
    rows, columns = windows[0]
    return rows.start <= row < rows.stop and columns.start <= column < columns.stop


def test_oracles_lead_to_most_mistakes_and_to_those_that_cost_most_dice(turn: Turn) -> None:
    truth = np.ones((256, 320), np.uint8)
    truth[:, 160:] = 2
    truth[200:220, 40:60] = 3  # rare, and missed
    labels = np.where(truth == 3, 1, truth).astype(np.uint8)
    labels[20:60, 250:290] = 1  # more pixels of a phase that there is plenty of
    method: Any = _Says(labels, turn.model)
    one = Field("a", np.zeros(truth.shape, np.uint8), truth)
    assert holds(CHOICES[MISTAKES](method, one, Strokes(), 1, 0), 40, 270)
    assert holds(CHOICES[BALANCED](method, one, Strokes(), 1, 0), 210, 50)
    painted = Strokes()
    painted.add(one, np.where(truth == 3, 3, 0).astype(np.uint8))
    assert holds(CHOICES[BALANCED](method, one, painted, 1, 0), 40, 270)


def test_a_phase_that_the_image_lacks_decides_nothing() -> None:
    def row(number: int, table: list[list[int]]) -> dict[str, Any]:
        return {
            "story": "where to paint", "fold": "A", "painted": "a", "method": RANDOM, "seed": 0, "round": number,
            "painted_px": 5, "corrected_px": 5, "unpainted": table, "others": table,
        }  # fmt: skip

    # One pixel that was taken for the missing second phase is right now.
    places = summarise([row(0, [[99, 1, 0], [0, 0, 0]]), row(1, [[100, 0, 0], [0, 0, 0]])])["places"]
    assert places["gain"][RANDOM]["unpainted"] == pytest.approx(100 * (1 - 198 / 199))
    assert places["gain"][RANDOM]["right_pp"] == pytest.approx(1)
