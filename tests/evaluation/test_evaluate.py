"""Ratio studies: their numbers, and that predictions never see a label."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score

from phaseguide.datasets.folder import Item, open_dataset
from phaseguide.errors import DatasetError, PhaseguideError
from phaseguide.evaluation import evaluate as study
from phaseguide.evaluation.boundary import boundary_f1
from phaseguide.evaluation.evaluate import Predicted, StudyResult, evaluate, open_session, predict
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import run_to_end
from tiny_models import DEAF, NAMES, tiny_dataset, tiny_labels, tiny_model

PIXELS = 64 * 96


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data"))


def run(folder: Path, model: LoadedModel, source: str, **options: Any) -> tuple[StudyResult, list[Predicted]]:
    events = list(evaluate(open_dataset(folder), model, source, device="cpu", **options))
    assert isinstance(events[-1], Finished)
    return events[-1].result, [e for e in events if isinstance(e, Predicted)]


def test_json_has_the_promised_names(folder: Path, model: LoadedModel) -> None:
    data = run(folder, model, "expert:0.1", repeats=2)[0].to_dict()
    json.dumps(data, allow_nan=False)
    for part in ("pooled", "pooled_std", "pooled_p10"):
        assert set(data[part]) == {
            "dice_mean", "dice", "miou", "iou", "accuracy", "micro_iou", "boundary_f1", "boundary_f1_mean",
            "tp", "fp", "fn",
        }  # fmt: skip
        assert set(data[part]["dice"]) == set(data[part]["iou"]) == set(NAMES)
    assert {"fraction_mae_pp", "imposed_achieved_mae_pp", "asked_achieved_mae_pp"} <= set(data)
    assert (data["ratio"], data["uncertainty"], data["mode"]) == ("expert:0.1", 0.1, "matched")
    assert (data["model"], data["n_images"], data["repeats"]) == ("tiny-plm", 2, 2)
    assert [i["stem"] for i in data["per_image"]] == ["field0", "field1"]
    for row in data["per_image"]:
        assert {"dice_mean", "dice", "miou", "iou", "accuracy", "boundary_f1"} <= set(row)
        for kind in ("asked", "imposed", "achieved", "own", "true"):
            assert sum(row[kind].values()) == pytest.approx(1)
        assert len(row["repeats"]) == 2


def test_scores_pool_the_pixels_of_all_images(folder: Path, model: LoadedModel) -> None:
    result, predictions = run(folder, model, "none")
    true = np.concatenate([tiny_labels().ravel()] * 2)
    predicted = np.concatenate([p.segmentation.labels.ravel() for p in predictions])
    dice = f1_score(true, predicted, labels=[1, 2, 3], average=None, zero_division=np.nan)
    assert list(result.pooled["dice"].values()) == pytest.approx(list(dice))
    assert result.pooled["accuracy"] == pytest.approx((true == predicted).mean())
    expected = np.mean([np.abs(p.segmentation.achieved - 1 / 3) for p in predictions])
    assert result.fraction_mae_pp == pytest.approx(100 * expected)


def test_no_ratio_has_one_repeat_and_nothing_imposed(folder: Path, model: LoadedModel) -> None:
    result, _ = run(folder, model, "none", repeats=7)
    assert (result.repeats, result.uncertainty, result.mode) == (1, None, None)
    assert result.imposed_achieved_mae_pp is None and result.asked_achieved_mae_pp is None
    assert result.fraction_mae_pp == pytest.approx(result.own_fraction_mae_pp)
    row = result.per_image[0]
    assert set(row["asked"].values()) == set(row["imposed"].values()) == {None}
    assert result.pooled_std["dice_mean"] == 0
    assert result.pooled_p10 == result.pooled


def test_exact_oracle_reaches_the_true_composition(folder: Path, model: LoadedModel) -> None:
    result, _ = run(folder, model, "oracle", uncertainty=0.0)
    assert result.fraction_mae_pp <= 100 / PIXELS
    assert result.asked_achieved_mae_pp is not None and result.asked_achieved_mae_pp <= 100 / PIXELS
    blended, _ = run(folder, model, "oracle")
    assert blended.uncertainty == 0.1
    assert result.fraction_mae_pp < blended.fraction_mae_pp < blended.own_fraction_mae_pp
    assert blended.imposed_achieved_mae_pp is not None and blended.imposed_achieved_mae_pp <= 100 / PIXELS


def test_every_source_runs(folder: Path, model: LoadedModel) -> None:
    mean, _ = run(folder, model, "train-mean")
    assert mean.per_image[0]["asked"] == pytest.approx(dict.fromkeys(NAMES, 1 / 3))
    auto, _ = run(folder, model, "auto")
    assert auto.asked_achieved_mae_pp is None and auto.imposed_achieved_mae_pp is not None
    guess, predictions = run(folder, model, "guess:0.9", repeats=5)
    assert guess.repeats == 5 and len(predictions) == 2, "the same in every repeat, so computed once"


@pytest.mark.parametrize(
    ("guidance", "options", "words"),
    [
        ("plm", None, ""),
        ("none", None, "has no guidance that takes a ratio, so none can be fed back to it"),
        ("plm", DEAF, "has no guidance that takes a ratio, so none can be fed back to it"),
    ],
)
def test_a_study_says_where_no_areas_are_fed_back(
    folder: Path, tmp_path: Path, guidance: str, options: dict[str, Any] | None, words: str
) -> None:
    model = load_model(tiny_model(tmp_path, guidance, guidance_options=options))
    data = open_dataset(folder).only(["field0"])
    told = {
        source: [e.message for e in evaluate(data, model, source, device="cpu") if isinstance(e, Notice)]
        for source in ("autoregressive", "own")
    }
    said = [message for message in told["autoregressive"] if "fed back" in message]
    assert (len(said) == 1 and words in said[0]) if words else not said
    assert not [message for message in told["own"] if "fed back" in message], "nobody asked for it"


def test_an_expert_differs_between_repeats_and_comes_back_with_the_seed(
    folder: Path, model: LoadedModel
) -> None:
    result, predictions = run(folder, model, "expert:0.3", repeats=3)
    asked = [p.segmentation.asked for p in predictions if p.stem == "field0"]
    assert len(asked) == 3 and not np.allclose(asked[0], asked[1])
    assert result.pooled_std["accuracy"] > 0
    drawn = [
        np.mean([predictions[i + 3 * k].segmentation.labels == tiny_labels() for k in range(2)])
        for i in range(3)
    ]
    assert result.pooled["accuracy"] == pytest.approx(np.mean(drawn))
    assert result.pooled_std["accuracy"] == pytest.approx(np.std(drawn, ddof=1))
    assert result.pooled_p10["accuracy"] == pytest.approx(np.percentile(drawn, 10))
    assert run(folder, model, "expert:0.3", repeats=3)[0].to_dict() == result.to_dict()
    alone = open_dataset(folder).only(["field1"])
    last = list(evaluate(alone, model, "expert:0.3", repeats=1, device="cpu"))[-1].result
    assert last.per_image[0]["asked"] == result.per_image[1]["repeats"][0]["asked"]


def test_predictions_are_the_same_whether_or_not_labels_can_be_read(
    folder: Path, model: LoadedModel, tmp_path: Path
) -> None:
    assert list(inspect.signature(predict).parameters) == ["session", "request", "asked"]
    _, predictions = run(folder, model, "expert:0.2", repeats=2, mode="both")
    shutil.copytree(folder / "images", tmp_path / "images")
    items = {i.stem: i for i in open_dataset(tmp_path).items}
    assert all(i.label_path is None for i in items.values())
    for made in predictions:
        session = open_session(items[made.stem], model, device="cpu")
        request = Request(uncertainty=0.1, mode="both")
        again = run_to_end(predict(session, request, made.segmentation.asked))
        assert np.array_equal(again.labels, made.segmentation.labels)
        assert np.array_equal(again.achieved, made.segmentation.achieved)


def test_labels_change_the_scores_and_not_the_predictions(
    folder: Path, model: LoadedModel, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    for path in (changed / "labels").iterdir():
        Image.fromarray(np.flip(tiny_labels(), axis=1)).save(path)  # the same composition, elsewhere
    before, first = run(folder, model, "guess:0.8")
    after, second = run(changed, model, "guess:0.8")
    assert all(
        np.array_equal(a.segmentation.labels, b.segmentation.labels)
        for a, b in zip(first, second, strict=True)
    )
    assert before.pooled["accuracy"] != after.pooled["accuracy"]


def test_an_image_is_encoded_once(folder: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def counted(item: Item, *args: Any, **options: Any) -> Any:
        opened.append(item.stem)
        return open_session(item, *args, **options)

    monkeypatch.setattr(study, "open_session", counted)
    run(folder, model, "expert:0.1", repeats=3)
    assert opened == ["field0", "field1"]


def test_unlabelled_and_excluded_pixels_and_absent_phases(model: LoadedModel, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path, count=1)
    labels = tiny_labels()
    labels[labels == 3] = 1
    labels[:10], labels[10:20] = 0, 255
    Image.fromarray(labels).save(folder / "labels" / "field0.png")
    result, (made,) = run(folder, model, "expert:0.1", repeats=1)
    assert np.isnan(made.segmentation.asked[2]), "an absent phase stays open"
    assert result.per_image[0]["asked"][NAMES[2]] is None
    known = made.segmentation.labels[20:]
    assert result.pooled["accuracy"] == pytest.approx((known == labels[20:]).mean())
    assert result.per_image[0]["true"] == pytest.approx(dict(zip(NAMES, [2 / 3, 1 / 3, 0], strict=True)))


@pytest.mark.parametrize(("source", "is_told"), [("oracle", True), ("expert:0.1", True), ("none", False)])
def test_a_ratio_of_a_part_is_told_to_be_one(
    model: LoadedModel, tmp_path: Path, source: str, is_told: bool
) -> None:
    folder = tiny_dataset(tmp_path, count=2)
    labels = tiny_labels()
    labels[:20] = 0
    Image.fromarray(labels).save(folder / "labels" / "field0.png")
    events = evaluate(open_dataset(folder), model, source, repeats=1, device="cpu")
    told = [event.message for event in events if isinstance(event, Notice)]
    assert any("1 of 2 images are labelled in part (field0)" in text for text in told) == is_told


def test_progress_counts_images_and_repeats(folder: Path, model: LoadedModel) -> None:
    events = evaluate(open_dataset(folder), model, "expert:0.1", repeats=3, device="cpu")
    steps = [(e.done, e.total) for e in events if isinstance(e, Progress)]
    assert steps == [(i, 6) for i in range(7)]


def test_data_sets_that_do_not_fit_say_why(model: LoadedModel, tmp_path: Path) -> None:
    unlabelled = tiny_dataset(tmp_path / "a")
    shutil.rmtree(unlabelled / "labels")
    with pytest.raises(DatasetError, match="no image has a label map"):
        run(unlabelled, model, "none")
    other = tiny_dataset(tmp_path / "b", names=("ferrite", "bainite"))
    with pytest.raises(DatasetError, match=r"scheme\.json.*1 ferrite, 2 bainite.*'tiny-plm' was made for"):
        run(other, model, "none")
    turned = tiny_dataset(tmp_path / "c", names=NAMES[::-1])
    with pytest.raises(DatasetError, match="model 'tiny-plm' in another order"):
        run(turned, model, "none")
    spelt = tiny_dataset(tmp_path / "d", names=("Ferrite", "carbide_network", "widmanstatten cementite"))
    assert run(spelt, model, "none")[0].scheme == PhaseScheme.from_names(NAMES)
    empty = tiny_dataset(tmp_path / "e", count=1)
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(empty / "labels" / "field0.png")
    with pytest.raises(DatasetError, match="no pixel carries a phase"):
        run(empty, model, "none")
    with pytest.raises(PhaseguideError, match="at least one repeat"):
        run(empty, model, "expert:0.1", repeats=0)


def test_labels_are_looked_at_before_anything_is_segmented(model: LoadedModel, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path, 2)
    for i in range(2):
        Image.fromarray(tiny_labels() - 1).save(folder / "labels" / f"field{i}.png")
    events = list(evaluate(open_dataset(folder), model, device="cpu"))
    said = [e.message for e in events[:2] if isinstance(e, Notice)]
    assert any(NAMES[2] in s and "no pixel" in s for s in said) and any("from 0, add 1" in s for s in said)
    Image.fromarray(np.zeros((64, 96), dtype=np.uint8)).save(folder / "labels" / "field1.png")
    with pytest.raises(DatasetError, match=r"field1\.png: no pixel carries a phase"):
        next(evaluate(open_dataset(folder), model, device="cpu"))


def test_own_shares_are_told_for_the_labelled_pixels_too(model: LoadedModel, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path, 1)
    labels = tiny_labels()
    labels[:, 40:] = 0
    Image.fromarray(labels).save(folder / "labels" / "field0.png")
    result, predicted = run(folder, model, "none")
    own = predicted[0].segmentation.own_labels[:, :40]
    told = result.per_image[0]["own_labelled"]
    assert [told[n] for n in NAMES] == pytest.approx([float((own == k).mean()) for k in (1, 2, 3)])


def test_boundaries_and_compositions_are_summed_up_over_images(folder: Path, model: LoadedModel) -> None:
    result, predictions = run(folder, model, "expert:0.3", repeats=2)
    rows = np.array([boundary_f1(tiny_labels(), p.segmentation.labels, 3) for p in predictions])
    expected = dict(zip(NAMES, np.nanmean(rows, axis=0), strict=True))
    assert result.pooled["boundary_f1"] == pytest.approx(expected)
    assert result.pooled["boundary_f1_mean"] == pytest.approx(np.nanmean(rows))
    gaps = [np.abs(p.segmentation.achieved - 1 / 3).sum() / 2 for p in predictions]
    assert result.to_dict()["total_variation"] == pytest.approx(np.mean(gaps))


def test_own_and_achieved_are_judged_on_the_same_pixels(model: LoadedModel, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path, count=1)
    labels = tiny_labels()
    labels[:, 20:70] = 0
    Image.fromarray(labels).save(folder / "labels" / "field0.png")
    result, (made,) = run(folder, model, "oracle", uncertainty=0.0)
    known = labels > 0
    own = np.array([(made.segmentation.own_labels[known] == k).mean() for k in (1, 2, 3)])
    true = np.array([(labels[known] == k).mean() for k in (1, 2, 3)])
    assert result.own_fraction_mae_pp == pytest.approx(100 * np.abs(own - true).mean())
    alone, _ = run(folder, model, "none")
    assert alone.fraction_mae_pp == pytest.approx(result.own_fraction_mae_pp)


def test_hits_false_alarms_and_misses_are_counted(folder: Path, model: LoadedModel) -> None:
    result, predictions = run(folder, model, "none")
    true, found = tiny_labels() == 2, [p.segmentation.labels == 2 for p in predictions]
    name = NAMES[1]
    assert result.pooled["tp"][name] == sum((true & one).sum() for one in found)
    assert result.pooled["fp"][name] == sum((~true & one).sum() for one in found)
    assert result.per_image[0]["fn"][name] == (true & ~found[0]).sum()


def test_the_share_of_images_over_an_iou(folder: Path, model: LoadedModel) -> None:
    result, _ = run(folder, model, "none")
    scores = [row["iou"][NAMES[0]] for row in result.per_image]
    assert result.over_iou(min(scores))[NAMES[0]] == 1
    assert result.over_iou(max(scores))[NAMES[0]] == np.mean(np.array(scores) >= max(scores))
    assert result.over_iou(max(scores) + 1e-9)[NAMES[0]] == 0
    absent = [{**row, "iou": {**row["iou"], NAMES[2]: None}} for row in result.per_image]
    one = [*absent[:1], {**absent[1], "iou": {**absent[1]["iou"], NAMES[2]: 0.9}}]
    assert replace(result, per_image=tuple(absent)).over_iou(0.5)[NAMES[2]] is None
    assert replace(result, per_image=tuple(one)).over_iou(0.5)[NAMES[2]] == 1, (
        "an absent phase does not count"
    )
