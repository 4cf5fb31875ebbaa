"""Studies that train networks: none trained twice, test images unseen, pairs, sentences for what is missing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.errors import DatasetError, PhaseguideError, TrainingError
from phaseguide.events import Notice, run_to_end
from phaseguide.models.model_file import read_card
from phaseguide.models.sam.download import WEIGHTS_VARIABLE
from phaseguide.phases import PhaseScheme
from phaseguide.studies.commands.study import LONGEST_PX, _keep
from phaseguide.studies.named import ablation, epochs, gauges, rank, training_size, transfer
from phaseguide.studies.named.gauges import gauges_by_epoch
from phaseguide.studies.named.registry import STUDIES
from phaseguide.studies.named.systems import ARCHITECTURES
from phaseguide.studies.networks.groups import read_groups
from phaseguide.studies.networks.recipes import pair_of, recipe
from phaseguide.studies.networks.sam_base import SamBase
from phaseguide.studies.networks.splits import ALL, StudyData, open_study_data
from phaseguide.studies.networks.training import Cell, Condition, Matrix, chosen_images
from phaseguide.studies.study import SIZES, Given
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import load_images
from phaseguide.training.events import EpochDone
from phaseguide.training.windows import feed_for
from textures import TINY, write_fields

QUICK: dict[str, Any] = {
    "encoder": "tu-test_efficientnet",
    "decoder": TINY,
    "epochs": 1,
    "crop": 32,
    "batch": 4,
    "windows": "random",
    "threads": 1,
    "device": "cpu",
}
SPLITS = {"train": ["f0", "f1"], "val": ["f2"], "test": ["f3", "f4"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    """A data set with published splits."""
    folder = write_fields(tmp_path_factory.mktemp("data") / "steel", 5)
    (folder / "splits.json").write_text(json.dumps(SPLITS))
    return open_study_data(folder)


@pytest.fixture(scope="module")
def given(data: StudyData, tmp_path_factory: pytest.TempPathFactory) -> Given:
    """A study of two systems that has been run."""
    found = Given(
        [data], tmp_path_factory.mktemp("out"), conditions=["unet-none", "unet-plm"], settings=QUICK
    )
    run_to_end(STUDIES["systems"].run(found))
    return found


def numbers_of(name: str, given: Given) -> Any:
    return run_to_end(STUDIES[name].run(given))


def network(given: Given, condition: str) -> Path:
    return given.out / "networks" / "steel" / condition / "seed0" / "test.safetensors"


def test_what_is_done_is_not_done_again_and_test_images_are_unseen(given: Given) -> None:
    times = {path: path.stat().st_mtime_ns for path in given.out.rglob("test.*")}
    assert len(times) == 4
    assert not [e for e in STUDIES["systems"].run(given) if isinstance(e, EpochDone)]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    images = read_card(network(given, "unet-plm")).training["images"]
    assert images == {"train": SPLITS["train"], "validation": SPLITS["val"]}
    with pytest.raises(TrainingError, match=r"test\.safetensors: is a model of other settings"):
        numbers_of("systems", replace(given, settings={**QUICK, "learning_rate": 1e-4}))
    with pytest.raises(PhaseguideError, match="--set guidance: is what study systems compares"):
        numbers_of("systems", replace(given, settings={**QUICK, "guidance": "plm"}))


def test_rows_have_pairs_and_what_was_not_run_says_so(given: Given) -> None:
    numbers = numbers_of("systems", replace(given, train=False))
    rows = {(r["condition"], r.get("ratio"), r.get("mode")): r for r in numbers["data"]["steel"]["rows"]}
    assert rows["unet-ccrm", None, None]["networks"] == 0
    assert ("unet-none", "oracle", "conditioned") not in rows
    for mode in ("conditioned", "matched", "both"):
        assert rows["unet-plm", "oracle", mode]["images"] == 2
    kept = {
        name: json.loads(network(given, name).with_suffix(".scores.json").read_text())["scores"]
        for name in given.conditions or ()
    }
    gaps = [
        kept["unet-plm"]["oracle both"]["images"][stem]["dice_mean"]
        - kept["unet-none"]["none"]["images"][stem]["dice_mean"]
        for stem in SPLITS["test"]
    ]
    paired = rows["unet-plm", "oracle", "both"]["difference"]["dice_mean"]
    assert paired["n"] == 2 and paired["mean"] == pytest.approx(np.mean(gaps))
    matched = rows["unet-none", "oracle", "matched"]["scores"]
    assert matched["fraction_mae_pp"]["mean"] < 0.1, "matched to the true ratio"
    accuracy = matched["accuracy"]["mean"]
    assert matched["micro_iou"]["mean"] == pytest.approx(accuracy / (2 - accuracy))
    text = "\n".join(STUDIES["systems"].lines(numbers))
    assert "| `unet-ccrm`: unet, ccrm | not run |" in text and "epochs = 1" in text
    assert STUDIES["systems"].figure(numbers) is not None
    (nothing := replace(given, train=False, out=given.out / "new")).out.mkdir()
    assert STUDIES["systems"].figure(numbers_of("systems", nothing)) is None


def test_a_network_that_was_exchanged_is_judged_anew(given: Given, tmp_path: Path) -> None:
    shutil.copytree(given.out, tmp_path, dirs_exist_ok=True)
    one = replace(given, out=tmp_path, conditions=["unet-none"])
    kept = network(one, "unet-none").with_suffix(".scores.json")
    found = json.loads(kept.read_text())
    kept.write_text(json.dumps({**found, "weights": "of another", "scores": {}}))
    told = [e.message for e in STUDIES["systems"].run(one) if isinstance(e, Notice)]
    assert any("is of another network" in message for message in told)
    assert json.loads(kept.read_text()) == found
    kept.write_text("{}")
    with pytest.raises(PhaseguideError, match="holds no judgement of this study"):
        numbers_of("systems", one)


def test_what_is_of_other_labels_or_settings_does_not_count(given: Given, tmp_path: Path) -> None:
    shutil.copytree(given.out, tmp_path / "out")
    shutil.copytree(given.data[0].dataset.folder, tmp_path / "steel")
    labels = tmp_path / "steel" / "labels"
    shutil.copy(labels / "f4.png", labels / "f3.png")
    one = replace(
        given, data=[open_study_data(tmp_path / "steel")], out=tmp_path / "out", conditions=["unet-none"]
    )
    events = list(STUDIES["systems"].run(replace(one, train=False)))
    assert any("other images or other questions, and does not count" in str(event) for event in events)
    assert not any(row["networks"] for row in events[-1].result["data"]["steel"]["rows"])
    events = list(STUDIES["systems"].run(one))
    assert not any(isinstance(event, EpochDone) for event in events), (
        "the network has not seen what was changed"
    )
    assert run_to_end(STUDIES["systems"].run(replace(one, train=False))) == events[-1].result
    with pytest.raises(PhaseguideError, match=r"scores\.json: is of a network of other settings"):
        numbers_of("systems", replace(one, settings={**QUICK, "epochs": 2}, train=False))
    shutil.copy(labels / "f4.png", labels / "f0.png")
    with pytest.raises(TrainingError, match="images or labels that were changed since"):
        numbers_of("systems", replace(one, data=[open_study_data(tmp_path / "steel")]))


def test_test_images_without_labels_are_named(given: Given, tmp_path: Path) -> None:
    shutil.copytree(given.data[0].dataset.folder, tmp_path / "steel")
    for stem in SPLITS["test"]:
        Image.new("L", (64, 64)).save(tmp_path / "steel" / "labels" / f"{stem}.png")
    with pytest.raises(DatasetError, match=r"no pixel of what test tests \(f3, f4\) carries a phase"):
        numbers_of("systems", replace(given, data=[open_study_data(tmp_path / "steel")]))
    (tmp_path / "steel" / "splits.json").write_text('{"train": [1], "test": [2]}')
    with pytest.raises(DatasetError, match="Write lists of names of images"):
        open_study_data(tmp_path / "steel")


def test_a_training_that_was_stopped_goes_on(given: Given, tmp_path: Path) -> None:
    one = replace(given, out=tmp_path, conditions=["unet-none"], settings={**QUICK, "epochs": 2})
    events: Iterator[Any] = STUDIES["systems"].run(one)
    first = next(event for event in events if isinstance(event, EpochDone))
    assert "seed 0" in first.stage, "an epoch says which network it is of"
    events.close()  # type: ignore[attr-defined]
    again = list(STUDIES["systems"].run(one))
    assert [e.epoch for e in again if isinstance(e, EpochDone)] == [2]
    told = [e.message for e in again if isinstance(e, Notice) and "Going on from" in e.message]
    assert told and all(text.startswith("unet-none, seed ") for text in told)  # of which network it is said


def test_fewer_images_are_among_more_and_are_shown_as_often(data: StudyData, tmp_path: Path) -> None:
    stems = [f"f{i}" for i in range(9)]
    drawn = [chosen_images(stems, n, 3) for n in (1, 2, 4, 8)]
    assert [len(d) for d in drawn] == [1, 2, 4, 8]
    for less, more in pairwise(drawn):
        assert set(less) < set(more)
    assert chosen_images(stems, 4, 4) != chosen_images(stems, 4, 5)
    with pytest.raises(TrainingError, match="10 images are to teach, but there are 9"):
        chosen_images(stems, 10, 0)
    images = {image.stem: image for image in load_images(data.dataset, data.scheme)}
    settings = {**QUICK, "architecture": "unet", "guidance": "none", "validation_share": 0.0}
    del settings["epochs"]
    conditions = {str(n): Condition("", settings, images=n, steps=24) for n in (1, 2)}
    matrix = Matrix(images, data.splits, data.scheme, conditions, {}, tmp_path)
    shown = []
    for name in conditions:
        cell = Cell(name, 0, "test")
        assert not matrix.data(cell).validation
        shown.append(matrix.config(cell).epochs * feed_for(matrix.data(cell), matrix.config(cell)).steps)
    assert shown == [24, 24]


def test_sizes_that_there_are_not_say_so(data: StudyData, tmp_path: Path) -> None:
    given = Given([data], tmp_path, conditions=["none-1"], settings=QUICK)
    numbers = numbers_of("training-size", given)
    text = "\n".join(STUDIES["training-size"].lines(numbers))
    assert "not run: there are 2 images to train on" in text
    card = read_card(tmp_path / "networks" / "steel" / "none-1" / "seed0" / "test.safetensors")
    assert len(card.training["images"]["train"]) == 1 and not card.training["images"]["validation"]
    assert STUDIES["training-size"].figure(numbers) is not None


def test_gauges_are_there_for_every_epoch(data: StudyData, tmp_path: Path) -> None:
    given = Given([data], tmp_path, conditions=["gauges-plm"], seeds=[0, 1], settings={**QUICK, "epochs": 3})
    numbers = numbers_of("gauges", given)
    found = numbers["data"]["steel"]["gauges"]["gauges-plm"]
    assert [p["epoch"] for p in found["gamma"]] == [1, 2, 3] == [p["epoch"] for p in found["delta"]]
    assert all(p["networks"] == 2 and p["variance"] is not None for p in found["gamma"])
    assert found["gamma"][0]["mean"] == pytest.approx(0.5, abs=0.05)
    assert STUDIES["gauges"].figure(numbers) is not None
    judged = [
        {"condition": "c", "split": "A", "seed": seed, "gauges": [{"0.delta": value, "1.delta": value + 0.2}]}
        for seed, value in enumerate((0.1, 0.3))
    ]
    (point,) = gauges_by_epoch(judged)["c"]["delta"]
    assert point["mean"] == pytest.approx(0.3) and point["variance"] == pytest.approx(0.02)
    assert "gamma" not in gauges_by_epoch(judged)["c"]


def test_groups_are_read_or_asked_for(data: StudyData, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no groups\.csv, .* columns image and group"):
        numbers_of("magnification", Given([data], tmp_path / "out", settings=QUICK))
    shutil.copytree(data.dataset.folder, tmp_path / "steel")
    own, file = open_study_data(tmp_path / "steel"), tmp_path / "steel" / "groups.csv"
    for text, message in (
        ("image;zoom\nf3;1\n", "has no columns image and group"),
        ("image,group\nf3,500x\nx,1\n", "there is no image x"),
        ("image,group\nf3,500x\n", "names no group of image f4"),
        ("image,group\nf3,\nf4,1\n", "has no group"),
    ):
        file.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_groups(own)
    file.write_text("image;group\nf3.png;500x\nf4;5000x\n")
    given = Given([own], tmp_path / "out", conditions=["unet-none"], settings=QUICK)
    numbers = numbers_of("magnification", given)
    rows = [r for r in numbers["data"]["steel"]["groups"] if r["ratio"] == "none"]
    assert [(r["group"], r["images"]) for r in rows] == [("500x", 1), ("5000x", 1)]
    kept = json.loads(network(given, "unet-none").with_suffix(".scores.json").read_text())
    assert rows[0]["scores"]["miou"]["mean"] == kept["scores"]["none"]["images"]["f3"]["miou"]
    assert STUDIES["magnification"].figure(numbers) is not None


def test_transfer_starts_from_the_first_material(data: StudyData, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="needs two data sets, not 1"):
        numbers_of("transfer", Given([data], tmp_path, settings=QUICK))
    folder = write_fields(tmp_path / "other", 3)
    (folder / "scheme.json").write_text(json.dumps(PhaseScheme.from_names(["rough", "new"]).to_dict()))
    (folder / "folds.json").write_text(json.dumps({"A": ["f0"], "B": ["f1"], "C": ["f2"]}))
    given = Given(
        [open_study_data(folder), data],
        tmp_path / "out",
        conditions=["scratch-none-all", "tuned-none-all"],
        settings=QUICK,
    )
    numbers = numbers_of("transfer", given)
    source = tmp_path / "out" / "networks" / "other" / "source-none" / "seed0" / f"{ALL}.safetensors"
    assert sorted(read_card(source).training["images"]["train"]) == ["f0", "f1", "f2"]
    assert network(given, "scratch-none-all").read_bytes() != network(given, "tuned-none-all").read_bytes()
    rows = {r["condition"]: r for r in numbers["data"]["steel"]["rows"] if r.get("ratio") == "none"}
    assert rows["tuned-none-all"]["base"] == "scratch-none-all" and rows["tuned-none-all"]["difference"]
    assert not [e for e in STUDIES["transfer"].run(given) if isinstance(e, EpochDone)]
    another = open_study_data(shutil.copytree(folder, tmp_path / "another"))
    with pytest.raises(PhaseguideError, match="--set guidance: is what study transfer compares"):
        numbers_of("transfer", replace(given, settings={**QUICK, "guidance": "plm"}))
    shutil.copy(folder / "labels" / "f0.png", another.dataset.folder / "labels" / "f1.png")
    tuned = replace(given, data=[another, data], conditions=["tuned-none-all"])
    with pytest.raises(TrainingError, match="is a model with another start"):
        numbers_of("transfer", tuned)
    shutil.copy(data.dataset.folder / "images" / "f3.png", another.dataset.folder / "images" / "f2.png")
    with pytest.raises(DatasetError, match="image f3 is tested, but is f2 of another too"):
        numbers_of(
            "transfer", replace(tuned, data=[open_study_data(another.dataset.folder), data], out=tmp_path)
        )


def test_a_random_base_is_marked_and_only_there_while_it_is_used(data: StudyData, tmp_path: Path) -> None:
    before = os.environ.get(WEIGHTS_VARIABLE)
    settings = {k: v for k, v in QUICK.items() if k not in ("encoder", "decoder")}
    given = Given([data], tmp_path, conditions=["none-4"], settings=settings)
    numbers = numbers_of("rank", given)
    assert numbers_of("rank", replace(given, train=False)) == numbers, "a report marks it too"
    assert os.environ.get(WEIGHTS_VARIABLE) == before
    row = next(r for r in numbers["data"]["steel"]["rows"] if r["networks"])
    assert "random base" in row["what"]
    text = "\n".join(STUDIES["rank"].lines(numbers))
    assert "not run: at full size only" in text and "has no groups.csv" in text
    tables = [
        line
        for line in text.splitlines()
        if (line.startswith("|") and "no ratio" in line) or "none-4" in line
    ]
    assert tables and all("random base" in line for line in tables)


def test_conditions_differ_from_their_twin_in_guidance_alone() -> None:
    for size in SIZES:
        for name in ("unet", "unet3plus", "nnunet"):
            plain, told = (TrainingConfig(**recipe(size, name, g)).to_dict() for g in ("none", "plm"))
            differing = {k for k in plain if plain[k] != told[k]}
            assert differing == {"guidance", "guidance_options", "validation_ratio"}


def test_every_condition_has_settings_that_go_together() -> None:
    base = SamBase("vit_b", "", True)
    for size in SIZES:
        systems = {
            name: c
            for architecture in ARCHITECTURES
            for name, c in pair_of(
                size, architecture, base.settings(4) if architecture == "sam" else {}
            ).items()
        }
        by_study = {
            "systems": systems,
            "ablation": ablation.conditions_of(size),
            "training-size": training_size.conditions_of(size),
            "epochs": epochs.conditions_of(size),
            "rank": rank.conditions_of(size, base),
            "transfer": transfer.conditions_of(size, "other"),
            "gauges": gauges.conditions_of(size),
        }
        for study, conditions in by_study.items():
            assert list(conditions) == list(STUDIES[study].conditions), study
            for name, condition in conditions.items():
                TrainingConfig(**condition.settings).check_architecture()
                assert condition.unguided in ("", *conditions), name
        whole, base_of = by_study["ablation"]["unet-plm"], by_study["ablation"]["unet-none"]
        assert (whole.settings, whole.steps) == (systems["unet-plm"].settings, systems["unet-plm"].steps)
        assert base_of.settings == systems["unet-none"].settings, "one network for both studies"


def test_a_study_from_the_command_line(data: StudyData, tmp_path: Path) -> None:
    arguments = [
        "study",
        "ablation",
        str(data.dataset.folder),
        "--out",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    for key, value in QUICK.items():
        if key != "device":
            arguments += ["--set", f"{key}={json.dumps(value) if not isinstance(value, str) else value}"]
    none = CliRunner().invoke(app, [*arguments, "--conditions", ","])
    assert none.exit_code == 2 and "No condition is named" in none.output
    (file := tmp_path / "file").write_text("")
    taken = CliRunner().invoke(app, [*arguments, "--out", str(file)])
    assert taken.exit_code == 2 and "A file is in the place of a folder" in taken.output.replace("\n", " ")
    wrong = CliRunner().invoke(app, [*arguments, "--conditions", "sa"])
    assert wrong.exit_code == 2 and "There is no condition 'sa'" in wrong.output
    done = CliRunner().invoke(app, [*arguments, "--conditions", "unet-none,sa-no-xy"])
    assert done.exit_code == 0, done.output
    for ending in ("md", "json", "png"):
        assert (tmp_path / "out" / f"ablation.{ending}").stat().st_size > 100
    numbers = json.loads((tmp_path / "out" / "ablation.json").read_text())
    options = numbers["data"]["steel"]["settings"]["sa-no-xy"]["guidance_options"]
    assert (
        options["use_spatial_awareness"] and not options["use_ratio_encoder"] and not options["coordinates"]
    )
    assert "SA, no coordinates" in (tmp_path / "out" / "ablation.md").read_text()


def test_a_figure_of_very_many_networks_is_drawn_coarser(tmp_path: Path) -> None:
    study = replace(STUDIES["systems"], figure=lambda _: Figure(figsize=(2, 900)))
    _keep(study, tmp_path, {}, [])
    with Image.open(tmp_path / "systems.png") as drawn:
        assert 1000 < drawn.height <= LONGEST_PX + 100
