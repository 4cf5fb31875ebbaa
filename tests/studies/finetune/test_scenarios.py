"""The benchmark's stories: who paints what, what is judged, and that a killed run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import PhaseguideError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.studies.finetune import study
from phaseguide.studies.finetune.data import Field, Strokes, cut_rehearsal, read_fields, seeded
from phaseguide.studies.finetune.fields import (
    ALL_LABELS,
    BEFORE,
    DECIDES,
    HEAD,
    NO_HEAD,
    TUNED,
    halves,
    other_fields,
)
from phaseguide.studies.finetune.fields_report import fields_lines, summarise_fields
from phaseguide.studies.finetune.fold_heads import FoldHeads
from phaseguide.studies.finetune.places import PLACES, WAYS, PlaceOptions, compare_places
from phaseguide.studies.finetune.report import summarise, to_lines
from phaseguide.studies.finetune.scenarios import (
    FOREST,
    FOREST_OWN,
    GUIDED,
    KNOWN_STEEL,
    MATCHED,
    NEW_STEEL,
    SUPERVISED,
    UNGUIDED,
    StoryOptions,
    Turn,
    known_steel,
    new_steel,
    without_guidance,
)
from phaseguide.studies.finetune.study import StudyLog, StudyOptions, finetune_study, read_lines
from tiny_models import tiny_dataset, tiny_model

pytest.importorskip("skimage")

QUICK = FinetuneConfig(epochs=1, crop=64, batch=2, device="cpu", threads=1, preview_seconds=0.5)
OPTIONS = StoryOptions(
    budget=0.02, new_rounds=1, known_rounds=2, new_config=QUICK, known_config=QUICK, rehearsal_px=32
)
FOLDS = {"A": ("field0", "field1", "field2"), "B": ("field3", "field4", "field5")}
PIXELS = 64 * 96


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(tiny_dataset(tmp_path_factory.mktemp("data"), 6))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for i, name in enumerate(FOLDS):
        tiny_model(folder, "ccrm", seed=i, file_name=f"fold_{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def turn(data: Dataset, models: Path) -> Turn:
    assert data.scheme is not None
    fields = read_fields(data, FOLDS["A"], data.scheme)
    old = read_fields(data, FOLDS["B"], data.scheme)
    return Turn("A", fields, 1, load_model(models / "fold_A.safetensors"), old)


def rows_of(events: Any) -> list[dict[str, Any]]:
    return [event for event in events if isinstance(event, dict)]


def pick(rows: list[dict[str, Any]], method: str, number: int) -> dict[str, Any]:
    (found,) = [r for r in rows if r["method"] == method and r["round"] == number]
    return found


def total(confusion: list[list[int]]) -> int:
    return int(np.sum(confusion))


@pytest.fixture(scope="module")
def new_rows(turn: Turn) -> list[dict[str, Any]]:
    return rows_of(new_steel(turn, OPTIONS))


@pytest.fixture(scope="module")
def known_rows(turn: Turn) -> list[dict[str, Any]]:
    return rows_of(known_steel(turn, OPTIONS))


def test_a_new_steel_has_every_method_in_every_round(new_rows: list[dict[str, Any]]) -> None:
    methods = {(r["method"], r["round"]) for r in new_rows}
    assert methods == {(SUPERVISED, 0)} | {
        (m, n) for m in (GUIDED, MATCHED, UNGUIDED, FOREST, FOREST_OWN) for n in (0, 1)
    }


def test_the_second_image_joins_after_the_first_round(new_rows: list[dict[str, Any]]) -> None:
    budget = int(0.02 * PIXELS)
    first, second = (pick(new_rows, GUIDED, n)["painted_px"] for n in (0, 1))
    assert 0 < first <= budget
    assert first < second <= first + 2 * budget


def test_what_was_painted_is_not_judged_and_the_others_are_whole(new_rows: list[dict[str, Any]]) -> None:
    for method in (GUIDED, UNGUIDED, FOREST):
        row = pick(new_rows, method, 1)
        assert total(row["unpainted"]) == 2 * PIXELS - row["painted_px"]
        assert total(row["others"]) == PIXELS
        assert row["painted_px"] == pick(new_rows, GUIDED, 1)["painted_px"]
    assert pick(new_rows, SUPERVISED, 0)["others"] is not None


def test_networks_and_forests_say_how_long_they_took(new_rows: list[dict[str, Any]]) -> None:
    row = pick(new_rows, GUIDED, 0)
    assert row["round_s"] > 0
    assert row["epochs"] == 1
    assert pick(new_rows, FOREST, 1)["round_s"] > 0
    assert pick(new_rows, MATCHED, 1)["round_s"] is None


def test_the_expert_changes_the_map_but_learns_nothing(new_rows: list[dict[str, Any]]) -> None:
    one, two = pick(new_rows, GUIDED, 1), pick(new_rows, MATCHED, 1)
    assert one["others"] != two["others"]
    assert total(two["others"]) % total(one["others"]) == 0  # each expert's map counts


def test_a_known_steel_starts_from_the_model_and_looks_back(known_rows: list[dict[str, Any]]) -> None:
    before = pick(known_rows, GUIDED, 0)
    assert before["painted_px"] == 0
    assert total(before["unpainted"]) == PIXELS
    assert total(before["others"]) == 2 * PIXELS
    # The rehearsed crop of each of the three old images is left out.
    assert total(before["old"]) == 3 * (PIXELS - 32 * 32)
    assert pick(known_rows, GUIDED, 2)["old"] is not None
    assert pick(known_rows, FOREST, 2)["old"] is None


def test_a_turn_is_the_same_every_time(turn: Turn, known_rows: list[dict[str, Any]]) -> None:
    again = rows_of(known_steel(turn, OPTIONS))
    keep = ("method", "round", "painted_px", "others", "unpainted", "old")
    assert [[r[k] for k in keep] for r in again] == [[r[k] for k in keep] for r in known_rows]


def test_without_guidance_predicts_the_same_without_a_ratio(turn: Turn) -> None:
    image = torch.randn(1, 1, 64, 64)
    plain = without_guidance(turn.model)
    with torch.inference_mode():
        torch.testing.assert_close(turn.model.segmenter(image), plain.segmenter(image))
    assert plain.card.guidance.kind == "none"


def test_every_way_of_choosing_places_costs_the_same_and_is_judged_on_the_same_pixels(turn: Turn) -> None:
    rows = rows_of(compare_places(turn, OPTIONS, PlaceOptions(visits=1, rounds=1, seeds=2)))
    assert {(r["method"], r["seed"], r["round"]) for r in rows} == {
        (w, s, n) for w in WAYS for s in (0, 1) for n in (0, 1)
    }
    after = [r for r in rows if r["round"] == 1 and r["seed"] == 0]
    assert len({r["painted_px"] for r in after}) == 1
    assert len({total(r["unpainted"]) for r in after}) == 1
    assert all(0 <= r["corrected_px"] <= r["painted_px"] for r in rows)


def test_rehearsal_crops_are_cut_out_of_what_is_judged() -> None:
    truth = np.ones((64, 96), np.uint8)
    crops, rest = cut_rehearsal([Field("a", truth * 3, truth)], 32, 0)
    assert crops[0].image.shape == (32, 32)
    assert np.count_nonzero(rest[0].truth == 0) == 32 * 32
    assert truth.all()


def test_strokes_pile_up_and_leave_the_truth_of_the_rest() -> None:
    one = Field("a", np.zeros((4, 4)), np.full((4, 4), 2, np.uint8))
    strokes = Strokes()
    assert not strokes.of(one).any()
    for row in (0, 1):
        new = np.zeros((4, 4), np.uint8)
        new[row] = 2
        strokes.add(one, new)
    assert strokes.pixels == 8
    assert len(strokes.sources()) == 1
    assert (strokes.unpainted_truth(one)[:2] == 0).all()
    assert (strokes.unpainted_truth(one)[2:] == 2).all()


def test_seeds_depend_on_names_not_on_order() -> None:
    assert seeded(0, "a", 1).random() == seeded(0, "a", 1).random()
    assert seeded(0, "a", 1).random() != seeded(0, "a", 2).random()
    assert seeded(0, "a", 1).random() != seeded(1, "a", 1).random()


# -- the file that a killed run goes on from ---------------------------------------------------------


def run(data: Dataset, models: Path, log: Path, **more: Any) -> list[dict[str, Any]]:
    assert data.scheme is not None
    options = StudyOptions(OPTIONS, PlaceOptions(visits=1, seeds=1))
    events = finetune_study(data, FOLDS, models, data.scheme, log, options, **more)
    return list(events)[-1].result


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_rows(
    data: Dataset, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(data, models, tmp_path / "whole.jsonl", stories=[KNOWN_STEEL], turns=1)
    log = tmp_path / "killed.jsonl"
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    done = next(i for i, line in enumerate(lines) if line.startswith(b'{"done"'))
    log.write_bytes(b"".join(lines[: done + 3]) + lines[done + 3][:40])  # in the middle of a line
    ran = []
    real = study.known_steel
    monkeypatch.setattr(study, "known_steel", lambda turn, o: ran.append(turn.fold) or real(turn, o))
    rows = run(data, models, log, stories=[KNOWN_STEEL], turns=1)
    assert ran == ["B"]
    keep = ("fold", "method", "round", "painted_px", "others", "old")
    assert [[r[k] for k in keep] for r in rows] == [[r[k] for k in keep] for r in whole]
    assert len(read_lines(log)) == len(lines) + 2  # the two rows of the stopped turn came again


def test_other_settings_or_other_models_do_not_go_into_the_same_file(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    StudyLog(log, {"seed": 0, "story": {"budget": 0.005}})
    StudyLog(log, {"seed": 0, "story": {"budget": 0.005}})
    with pytest.raises(PhaseguideError, match=r"other settings \(story.budget\)"):
        StudyLog(log, {"seed": 0, "story": {"budget": 0.01}})


def test_a_foreign_file_is_not_written_into(tmp_path: Path) -> None:
    log = tmp_path / "thesis.txt"
    log.write_text("My thesis\n", encoding="utf-8")
    with pytest.raises(PhaseguideError, match="no file of this benchmark"):
        StudyLog(log, {})
    assert log.read_text(encoding="utf-8") == "My thesis\n"


def test_a_missing_model_an_unknown_fold_and_an_unknown_story_are_named(
    data: Dataset, models: Path, tmp_path: Path
) -> None:
    with pytest.raises(PhaseguideError, match="Train the folds first"):
        run(data, tmp_path, tmp_path / "a.jsonl")
    with pytest.raises(PhaseguideError, match=r"no fold 'Z'\. Choose A, B"):
        run(data, models, tmp_path / "a.jsonl", only=["Z"])
    with pytest.raises(PhaseguideError, match="no story 'old steel'"):
        run(data, models, tmp_path / "a.jsonl", stories=["old steel"])


# -- the report ----------------------------------------------------------------------------------------


def a_row(story: str, fold: str, method: str, number: int, right: int, **more: Any) -> dict[str, Any]:
    confusion = [[right, 100 - right, 0], [100 - right, right, 0]]
    return {
        "story": story, "fold": fold, "painted": f"{fold}1", "method": method, "round": number, "painted_px": 10,
        "unpainted": confusion, "others": confusion, "old": None, "first_s": None, "round_s": None, **more,
    }  # fmt: skip


def test_the_aims_are_taken_fold_by_fold_with_and_without_the_development_fold() -> None:
    rows = []
    for fold, right in (("A", 95), ("B", 72), ("C", 64)):
        rows += [
            a_row(NEW_STEEL, fold, SUPERVISED, 0, 80),
            a_row(NEW_STEEL, fold, GUIDED, 0, 50),
            a_row(NEW_STEEL, fold, GUIDED, 1, right, first_s=3.0),
        ]
    report = summarise(rows, "A")
    share = report["aims"]["all folds"]["share_of_supervised"][GUIDED]
    assert share["folds"] == pytest.approx({"A": 0.95 / 0.8, "B": 0.9, "C": 0.8})
    kept = report["aims"]["without the development fold"]["share_of_supervised"][GUIDED]
    assert kept["mean"] == pytest.approx(0.85)
    assert kept["low"] < 0.85 < kept["high"]


def test_first_improved_counts_the_rounds_that_never_were_and_no_untrained_head() -> None:
    def rounds(story: str, *firsts: float | None) -> list[dict[str, Any]]:
        return [
            a_row(story, "A", GUIDED, number, 80, first_s=first, round_s=30.0)
            for number, first in enumerate(firsts, start=0 if story == NEW_STEEL else 1)
        ]

    rows = [
        a_row(KNOWN_STEEL, "A", GUIDED, 0, 80),  # the model before: it has learnt nothing
        *rounds(NEW_STEEL, 2.0, None, 14.0, 22.0),
        *rounds(KNOWN_STEEL, None, None),
        a_row(KNOWN_STEEL, "A", FOREST, 1, 80, first_s=1.0, round_s=1.0),
        a_row(KNOWN_STEEL, "A", MATCHED, 1, 80),
    ]
    report = summarise(rows)
    improved = report["aims"]["all folds"]["improved"]
    assert improved[NEW_STEEL] == {"rounds": 3, "improved": 2, "median": 18.0, "max": 22.0}
    assert improved[KNOWN_STEEL] == {"rounds": 2, "improved": 0, "median": None, "max": None}
    curves = {(r["story"], r["method"], r["round"]): r["improved"] for r in report["curves"]}
    assert curves[NEW_STEEL, GUIDED, 0] is None and curves[KNOWN_STEEL, FOREST, 1] is None
    assert curves[KNOWN_STEEL, MATCHED, 1] is None and curves[KNOWN_STEEL, GUIDED, 0] is None
    assert curves[NEW_STEEL, GUIDED, 1] == {"rounds": 1, "improved": 0, "median": None, "max": None}
    text = "\n".join(to_lines(report))
    aims = [line for line in text.splitlines() if "first improved prediction" in line]
    assert "new steel" in aims[0] and "2 of 3 rounds improved, median 18.0 s" in aims[0]
    assert "longest 22.0 s" in aims[0]
    assert "known steel" in aims[1] and "0 of 2 rounds improved" in aims[1] and "median" not in aims[1]
    cells = [line.split(" | ") for line in text.splitlines() if line.startswith("| guided | 0 |")]
    assert cells and all("improved" not in cell for row in cells for cell in row)


def test_gain_and_cost_of_a_known_steel() -> None:
    rows = []
    for fold, right in (("A", 80), ("B", 82)):
        old = [[90, 10, 0], [10, 90, 0]]
        rows += [
            a_row(KNOWN_STEEL, fold, GUIDED, 0, 80, old=old),
            a_row(KNOWN_STEEL, fold, GUIDED, 1, right, old=[[89, 11, 0], [11, 89, 0]]),
        ]
    aims = summarise(rows)["aims"]["all folds"]
    assert aims["gain_on_others"][GUIDED]["mean"] == pytest.approx(0.01)
    assert aims["change_on_old"][GUIDED]["mean"] == pytest.approx(-0.01)


def test_places_are_compared_image_by_image_over_seeds() -> None:
    rows = []
    for fold in "AB":
        for seed in (0, 1):
            for way, gain in zip(WAYS, (4, 6, 2, 0), strict=True):
                extra = {"seed": seed, "corrected_px": 5}
                rows.append(a_row(PLACES, fold, way, 0, 80, **extra))
                rows.append(a_row(PLACES, fold, way, 1, 80 + gain + seed, **extra))
    report = summarise(rows, "A")
    places = report["places"]
    assert places["gain"][WAYS[0]]["others"] == pytest.approx(4.5)
    first = places["differences"][0]
    assert (first["way"], first["than"], first["folds"]) == (WAYS[0], WAYS[2], "all")
    assert first["mean"] == pytest.approx(2)
    assert first["n"] == 2
    assert "Where to paint" in "\n".join(to_lines(report))


def test_the_command_runs_all_stories_and_writes_the_report(
    data: Dataset, models: Path, tmp_path: Path
) -> None:
    folds = tmp_path / "folds.json"
    folds.write_text(json.dumps(FOLDS), encoding="utf-8")
    quick = [x for s in ("epochs=1", "crop=64", "batch=2", "threads=1") for x in ("--set", s)]
    arguments = [
        "benchmark", "finetune", str(data.folder), "--folds", str(folds), "--models", str(models),
        "--out", str(tmp_path / "log.jsonl"), "--json", str(tmp_path / "report.json"), "--only", "A",
        "--turns", "1", "--seeds", "1", "--stories", "known,places", "--development", "", *quick,
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {r["story"] for r in report["curves"]} == {KNOWN_STEEL}
    assert report["places"]["gain"].keys() == set(WAYS)
    assert report["options"]["known"]["epochs"] == 1
    assert "Known steel" in result.output


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--stories", "old", "--stories 'old' is not known. Choose new"),
        ("--known-preset", "quick", "no preset 'quick'"),
        ("--set", "epochs", "write key=value"),
        ("--set", "epochs=many", "epochs takes a whole number"),
    ],
)
def test_the_command_names_what_it_does_not_know(
    data: Dataset, models: Path, tmp_path: Path, option: str, value: str, said: str
) -> None:
    folds = tmp_path / "folds.json"
    folds.write_text(json.dumps(FOLDS), encoding="utf-8")
    arguments = ["benchmark", "finetune", str(data.folder), "--folds", str(folds), "--models", str(models),
                 "--out", str(tmp_path / "log.jsonl"), option, value]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert said in " ".join((result.output + str(result.exception)).split())


def test_a_new_steel_can_start_from_another_material(turn: Turn, tmp_path: Path) -> None:
    start: LoadedModel = load_model(tiny_model(tmp_path, "plm", names=("matrix", "precipitate"), seed=7))
    events = new_steel(turn, OPTIONS, start)
    rows = []
    for event in events:
        if isinstance(event, dict):
            rows.append(event)
            if event["method"] == GUIDED:
                break
    assert rows[-1]["painted_px"] > 0


def test_other_fields_are_judged_on_the_same_pixels_by_every_method(
    data: Dataset, models: Path, turn: Turn
) -> None:
    assert data.scheme is not None
    head = FoldHeads(data, FOLDS, models, data.scheme).of("A")
    assert head is not None, "the other fold holds every phase"
    rows = rows_of(other_fields(replace(turn, head=head), OPTIONS))
    found = {row["method"]: row for row in rows}
    assert set(found) == {BEFORE, BEFORE + NO_HEAD, DECIDES, HEAD, TUNED, TUNED + NO_HEAD, ALL_LABELS}
    left, right = halves(turn.painted(1)[0])
    for name, row in found.items():
        assert total(row["others"]) == PIXELS
        assert total(row["field"]) == 2 * right.truth.size
        assert total(row["field_matched"]) == 5 * total(row["field"])
        if name != ALL_LABELS:
            assert total(row["unpainted"]) == 2 * left.truth.size - row["painted_px"]
            assert row["painted_px"] == found[BEFORE]["painted_px"] > 0
    assert total(found[ALL_LABELS]["unpainted"]) == 0, "it was taught all of them"
    assert found[BEFORE]["field"] == found[BEFORE + NO_HEAD]["field"], "the head serves matching only"
    numbers = summarise_fields(rows, "A")
    assert numbers[0]["field"]["gain"]["mean"] == 0
    assert any(HEAD in line for line in fields_lines(numbers))


def test_strokes_take_mistakes_away_and_the_gain_is_over_the_same_pixels(
    known_rows: list[dict[str, Any]],
) -> None:
    start, last = pick(known_rows, GUIDED, 0), pick(known_rows, GUIDED, 2)
    assert start["unpainted_before"] == start["unpainted"]
    assert total(last["unpainted_before"]) == total(last["unpainted"]) < total(start["unpainted"])
    before, same = (np.array(r["unpainted_before"]) for r in (start, last))
    assert np.trace(same[:, :-1]) / same.sum() > np.trace(before[:, :-1]) / before.sum()
    aims = summarise(known_rows)["aims"]["all folds"]
    assert {GUIDED, UNGUIDED, FOREST} <= set(aims["gain_on_unpainted"])
