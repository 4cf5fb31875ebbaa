"""``phaseguide segment``: results, exit codes, and every error a user can cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.files import atomic
from phaseguide.micrographs import read_label_map
from tiny_models import tiny_dataset, tiny_image, tiny_labels, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "steel.png"
    Image.fromarray(tiny_image()).save(path)
    return path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


def fails(result: Result, *words: str) -> None:
    """A user error: one sentence on standard error with these words, exit code 2, no traceback."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def test_label_map_and_record_are_written(image: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(image, "--model", model, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["steel.json", "steel_labels.tif"]
    assert read_label_map(out / "steel_labels.tif").shape == (64, 96)
    assert "ferrite" in result.stdout and "constrained" not in result.stdout


def test_a_ratio_is_met_and_said_to_constrain(image: Path, model: Path, tmp_path: Path) -> None:
    result = run(
        image, "-m", model, "--out", tmp_path, "--ratio", "FERRITE=20%,2=0.3", "--exact", "--overlay"
    )
    assert result.exit_code == 0, result.output
    assert "constrained by your value, not independent" in result.stdout
    assert (tmp_path / "steel_overlay.png").exists()
    counts = np.bincount(read_label_map(tmp_path / "steel_labels.tif").ravel(), minlength=4)[1:4]
    assert np.abs(counts / (64 * 96) - [0.2, 0.3, 0.5]).max() <= 1 / (64 * 96)


def test_json_on_standard_output_is_alone_there(image: Path, model: Path, tmp_path: Path) -> None:
    result = run(image, "-m", model, "--out", tmp_path, "--ratio", "ferrite=0.2", "--json", "-")
    data = json.loads(result.stdout)
    assert (data["model"], data["ratio"], data["uncertainty"]) == ("tiny-plm", "ferrite=0.2", 0.3)
    (row,) = data["images"]
    assert row["constrained"] and row["phases"][0]["asked"] == 0.2 and row["phases"][1]["asked"] is None
    assert sum(p["achieved"] for p in row["phases"]) == pytest.approx(1)
    assert "Area %" in result.stderr


def test_an_estimate_that_is_fed_back_stands_in_record_and_numbers(
    image: Path, model: Path, tmp_path: Path
) -> None:
    target = tmp_path / "numbers.json"
    options = ("--ratio", "auto", "--estimator", "autoregressive", "--json", target)
    done = run(image, "-m", model, "--out", tmp_path / "out", *options)
    assert done.exit_code == 0, done.output
    numbers = json.loads(target.read_text(encoding="utf-8"))
    record = json.loads(Path(numbers["images"][0]["record"]).read_text(encoding="utf-8"))
    found = record["ratio"]["estimator"]
    assert numbers["estimator"] == found["estimator"] == "autoregressive"
    assert numbers["images"][0]["estimator"] == found and found["rounds"] >= 1
    assert record["ratio"]["mode"] == "conditioned" and not record["ratio"]["constrained"]


def test_auto_estimates_and_is_not_constrained(image: Path, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "numbers" / "auto.json"
    assert run(image, "-m", model, "--out", tmp_path, "--ratio", "auto", "--json", target).exit_code == 0
    (row,) = json.loads(target.read_text(encoding="utf-8"))["images"]
    assert not row["constrained"] and row["phases"][0]["imposed"] is not None


def test_folders_and_one_bad_image_of_many(model: Path, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path / "data")
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG broken")
    result = run(folder, "-m", model, "--out", tmp_path / "out", "--json", tmp_path / "n.json")
    assert result.exit_code == 1
    assert "1 of 3 images could not be segmented" in result.stderr and "broken.png" in result.stderr
    data = json.loads((tmp_path / "n.json").read_text(encoding="utf-8"))
    assert [len(data["images"]), len(data["failed"])] == [2, 1]
    assert (tmp_path / "out" / "field1_labels.tif").exists()


def test_a_bar_and_a_rim_change_nothing_of_what_is_beside_them(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    metal = np.clip(120 + rng.normal(0, 6, (120, 160)) + np.linspace(-9, 9, 160)[None], 0, 255)
    barred = np.zeros((144, 200), np.uint8)
    barred[128:134, 20:90:2] = 255
    barred[:120, :160] = metal  # black at the right and below
    for name, picture in (("plain", metal.astype(np.uint8)), ("barred", barred)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    files = [tmp_path / "plain.png", tmp_path / "barred.png"]
    wish = ["--ratio", "1=30%", "--smoothing", 1.0]
    result = run(*files, "-m", model, *wish, "--out", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "the information bar at the bottom (24 rows) and the empty rim" in told and "are excluded" in told
    plain, beside = (read_label_map(tmp_path / "out" / f"{name}_labels.tif") for name in ("plain", "barred"))
    assert np.array_equal(beside[:120, :160], plain)
    assert (beside[120:] == 255).all() and (beside[:, 160:] == 255).all()
    record = json.loads((tmp_path / "out" / "barred.json").read_text())
    assert (
        record["settings"]["info_bar_rows_excluded"] == 24 and record["settings"]["exclude_info_bar"] is True
    )
    assert any("information bar at the bottom (24 rows)" in notice for notice in record["notices"])
    assert record["settings"]["empty_rim_excluded"] == pytest.approx(40 * 120 / (144 * 200), abs=1e-4)
    kept = run(files[1], "-m", model, "--keep-info-bar", "--out", tmp_path / "kept", "--device", "cpu")
    assert kept.exit_code == 0 and "excluded" not in kept.output
    assert (read_label_map(tmp_path / "kept" / "barred_labels.tif") != 255).all()


def test_nothing_is_overwritten_silently(image: Path, model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "steel_labels.tif"
    kept.write_bytes(b"mine")
    for option in ([], ["--overwrite"]):
        fails(
            run(image, "-m", model, "--out", tmp_path, *option), "steel_labels.tif", "no record", "It stays"
        )
    assert kept.read_bytes() == b"mine"
    kept.unlink()
    assert run(image, "-m", model, "--out", tmp_path).exit_code == 0
    first = kept.read_bytes()
    fails(run(image, "-m", model, "--out", tmp_path, "--ratio", "1=90%"), "exists already", "--overwrite")
    assert run(image, "-m", model, "--out", tmp_path, "--ratio", "1=90%", "--overwrite").exit_code == 0
    assert kept.read_bytes() != first


def test_edits_are_kept(image: Path, model: Path, tmp_path: Path) -> None:
    edits = np.zeros((64, 96), np.uint8)
    edits[:8], edits[8:16] = 3, 255
    Image.fromarray(edits).save(tmp_path / "edits.tif")
    out = tmp_path / "out"
    result = run(
        image, "-m", model, "--out", out, "--edits", tmp_path / "edits.tif", "--ratio", "3=0.2", "--exact"
    )
    assert result.exit_code == 0, result.output
    labels = read_label_map(out / "steel_labels.tif")
    assert (labels[:8] == 3).all() and (labels[8:16] == 255).all()
    assert (labels == 3).sum() == pytest.approx(0.2 * 56 * 96, abs=1)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ("austenite=20%", ("Unknown phase 'austenite'", "1 ferrite")),
        ("ferrite=120%", ("120 %", "not an area share")),
        ("ferrite=70%,2=60%", ("130.00 %", "more than 100 %")),
        ("ferrite=-5%", ("-5 %", "not an area share")),
        ("ferrite", ("not understood",)),
        ("ferrite=20", ("more than the whole", "20%")),
        ("1=0.2,2=0.2,3=0.2", ("sum to 60.00 %",)),
        ("", ("every phase is open", "--ratio none")),
        (",", ("Every phase is open", "--ratio none")),
        ("15;20", ("2 cells", "3 phases")),
    ],
)
def test_ratios_that_cannot_be_meant(
    ratio: str, words: tuple[str, ...], image: Path, model: Path, tmp_path: Path
) -> None:
    fails(run(image, "-m", model, "--out", tmp_path / "out", "--ratio", ratio), *words)
    assert not (tmp_path / "out").exists()


def test_images_that_cannot_be_segmented(model: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(tiny_image()).save(good)

    def written(name: str, array: np.ndarray) -> Path:
        Image.fromarray(array).save(tmp_path / name)
        return tmp_path / name

    truncated, wrong, nan = tmp_path / "cut.png", tmp_path / "text.tif", tmp_path / "nan.tif"
    truncated.write_bytes(good.read_bytes()[:400])
    wrong.write_text("no image at all")
    values = tiny_image().astype(np.float32)
    values[0, 0] = np.nan
    Image.fromarray(values).save(nan)
    for path, word in (
        (tmp_path / "missing.png", "no such file"),
        (truncated, "cut.png"),
        (wrong, "text.tif"),
        (nan, "not finite"),
        (written("pixel.png", np.ones((1, 1), np.uint8)), "1 x 1"),
        (written("flat.png", np.full((64, 64), 7, np.uint8)), "constant"),
        (written("black.png", np.zeros((64, 64), np.uint8)), "all black"),
    ):
        fails(run(path, "-m", model, "--out", tmp_path / "out"), path.name, word)


def numbers(model: Path, *arguments: Any) -> dict[str, Any]:
    result = run(*arguments, "-m", model, "--device", "cpu", "--json", "-")
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


@pytest.mark.parametrize(
    ("options", "uncertainty", "source"),
    [
        ((), 0.3, "not stated, taken as a visual estimate"),
        (("--source", "visual"), 0.3, "Visual estimate"),
        (("--source", "field"), 0.1, "EBSD or point count of this field"),
        (("--source", "BULK"), 0.2, "XRD or dilatometry of the specimen"),
        (("--source", "EBSD by Anna"), 0.3, "EBSD by Anna"),
        (("--source", "field", "--uncertainty", "0.05"), 0.05, "EBSD or point count of this field"),
        (("--source", "field", "--exact"), 0.0, "EBSD or point count of this field"),
        (("--uncertainty", "ferrite=0.05,3=0.4"), [0.05, 0.3, 0.4], "not stated, taken as a visual estimate"),
        (
            ("--source", "field", "--uncertainty", "3=0.4"),
            [0.1, 0.1, 0.4],
            "EBSD or point count of this field",
        ),
    ],
)
def test_the_source_says_how_far_a_ratio_is_believed(
    image: Path, model: Path, tmp_path: Path, options: tuple[str, ...], uncertainty: Any, source: str
) -> None:
    data = numbers(model, image, "--out", tmp_path, "--ratio", "ferrite=20%,3=10%", *options)
    assert (data["uncertainty"], data["source"]) == (uncertainty, source)
    record = json.loads((tmp_path / "steel.json").read_text(encoding="utf-8"))
    assert (record["ratio"]["uncertainty"], record["ratio"]["source"]) == (uncertainty, source)
    assert record["settings"]["basis"] == data["basis"] == "area"
    assert record["settings"]["scope"] == data["scope"]


def test_weight_per_cent_becomes_area_per_cent_and_is_said(image: Path, model: Path, tmp_path: Path) -> None:
    options = ("--ratio", "2=10%", "--basis", "weight", "--density", "ferrite=7.8,2=5.7,3=7.8", "--exact")
    result = run(image, "-m", model, "--out", tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert "10.0 weight % carbide network = 13.2 area %" in result.stdout
    record = json.loads((tmp_path / "steel.json").read_text(encoding="utf-8"))
    assert record["phases"][1]["asked"] == pytest.approx(0.13198, abs=1e-5)
    assert record["phases"][1]["achieved"] == pytest.approx(0.132, abs=5e-4)
    told = record["settings"]
    assert told["basis"] == "weight" and told["asked_weight"] == {"carbide network": 0.1}
    assert told["densities_g_cm3"]["carbide network"] == 5.7
    assert told["conversion"] == "10.0 weight % carbide network = 13.2 area %"


def test_a_specimens_ratio_is_met_by_the_mean_of_its_images(model: Path, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path / "data", count=3)
    options = ("--ratio", "1=40%", "--source", "bulk", "--exact")
    data = numbers(model, folder, "--out", tmp_path / "out", *options)
    assert data["scope"] == "specimen"
    shares = [row["phases"][0]["achieved"] for row in data["images"]]
    assert np.mean(shares) == pytest.approx(0.4, abs=1e-3) and np.ptp(shares) > 1e-4
    assert data["mean"][0]["achieved"] == pytest.approx(np.mean(shares))
    assert data["mean"][0]["asked"] == 0.4
    each = numbers(model, folder, "--out", tmp_path / "each", *options, "--scope", "field")
    assert [row["phases"][0]["achieved"] for row in each["images"]] == pytest.approx([0.4] * 3, abs=1e-3)
    assert each["mean"] is None


def test_the_mean_of_a_specimen_is_shown(model: Path, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path / "data")
    result = run(folder, "-m", model, "--out", tmp_path / "o", "--ratio", "1=40%", "--scope", "specimen")
    assert result.exit_code == 0 and "mean of 2 images" in result.stdout


def test_a_stack_gives_a_stack(model: Path, tmp_path: Path) -> None:
    planes = np.stack([tiny_image(i) for i in range(2)])
    tifffile.imwrite(tmp_path / "stack.tif", planes, photometric="minisblack")
    data = numbers(model, tmp_path / "stack.tif", "--out", tmp_path / "out", "--ratio", "1=40%", "--exact")
    (row,) = data["images"]
    assert [p["phases"][0]["achieved"] for p in row["planes"]] == pytest.approx([0.4, 0.4], abs=1e-3)
    assert read_label_map(tmp_path / "out" / "stack_labels.tif").shape == (2, 64, 96)


def test_cells_of_a_spreadsheet_are_a_ratio(image: Path, model: Path, tmp_path: Path) -> None:
    data = numbers(model, image, "--out", tmp_path, "--ratio", "15,5\t\t20")
    assert [p["asked"] for p in data["images"][0]["phases"]] == [0.155, None, 0.2]


def test_a_preset_brings_all_that_belongs_to_the_ratio(model: Path, tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path / "data")
    wish = ("--ratio", "2=10%", "--basis", "weight", "--density", "1=7.8,2=5.7,3=7.8", "--source", "bulk")
    keep = ("--save-preset", "as quenched", "--material", "DP800", "--uncertainty", "2=0.25")
    made = numbers(model, folder, "--out", tmp_path / "a", *wish, *keep)
    used = numbers(model, folder, "--out", tmp_path / "b", "--preset", "As Quenched")
    assert made["images"][0]["phases"] == used["images"][0]["phases"]
    same = ("uncertainty", "scope", "source", "basis", "densities_g_cm3", "conversion")
    assert {key: made[key] for key in same} == {key: used[key] for key in same}
    assert (used["scope"], used["uncertainty"]) == ("specimen", [0.2, 0.25, 0.2])
    assert (made["preset"], used["preset"]) == (None, "as quenched (DP800)")
    other = numbers(model, folder, "--out", tmp_path / "c", "--preset", "as quenched", "--scope", "field")
    assert other["scope"] == "field"
    fails(
        run(folder, "-m", model, "--out", tmp_path / "d", *wish, *keep),
        "preset 'as quenched (DP800)' already",
    )
    assert run(folder, "-m", model, "--out", tmp_path / "d", *wish, *keep, "--overwrite").exit_code == 0


def test_a_broken_preset_is_told_and_harms_no_other(
    image: Path, model: Path, tmp_path: Path, data_dir: Path
) -> None:
    done = run(image, "-m", model, "--out", tmp_path / "a", "--ratio", "1=20%", "--save-preset", "mine")
    assert done.exit_code == 0, done.output
    (data_dir / "presets" / "broken.json").write_text("{", encoding="utf-8")
    result = run(image, "-m", model, "--out", tmp_path / "b", "--preset", "mine")
    assert result.exit_code == 0 and "broken.json: is not a preset" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ratio", "2=10%", "--basis", "weight"), ("weight % needs a density", "carbide network")),
        (
            ("--ratio", "2=10%", "--basis", "weight", "--density", "1=7.8,2=5.7"),
            ("Widmanstätten cementite: weight % needs a density",),
        ),
        (("--ratio", "2=10%", "--basis", "weight", "--density", "iron=7.8"), ("Unknown phase 'iron'",)),
        (("--ratio", "2=10%", "--basis", "weight", "--density", "2=heavy"), ("density '2=heavy'",)),
        (("--ratio", "2=10%", "--density", "2=5.7"), ("--density belongs to --basis weight",)),
        (("--ratio", "2=10%", "--basis", "mole"), ("--basis 'mole'", "area or weight")),
        (("--ratio", "2=10%", "--scope", "world"), ("--scope 'world'", "field or specimen")),
        (("--scope", "specimen"), ("--scope specimen", "--ratio is none")),
        (("--ratio", "auto", "--basis", "weight"), ("--ratio is auto",)),
        (("--ratio", "1=20%", "--estimator", "own"), ("--estimator", "--ratio auto")),
        (("--ratio", "auto", "--estimator", "guess"), ("'guess'", "prior-shift")),
        (("--ratio", "2=10%", "--source", "force"), ("--exact",)),
        (("--ratio", "2=10%", "--uncertainty", "2=much"), ("uncertainty '2=much'",)),
        (("--ratio", "2=10%", "--uncertainty", "iron=0.1"), ("Unknown phase 'iron'",)),
        (("--ratio", "2=10%", "--uncertainty", "2=0.1", "--exact"), ("exclude each other",)),
        (("--preset", "mine"), ("no preset 'mine'", "none yet")),
        (("--preset", "mine", "--ratio", "2=10%"), ("--preset brings its own ratio",)),
        (("--save-preset", "mine"), ("--save-preset keeps a ratio",)),
        (("--ratio", "2=10%", "--save-preset", " "), ("no name",)),
    ],
)
def test_wishes_that_cannot_be_meant(
    options: tuple[str, ...], words: tuple[str, ...], image: Path, model: Path, tmp_path: Path
) -> None:
    fails(run(image, "-m", model, "--out", tmp_path / "out", *options), *words)
    assert not (tmp_path / "out").exists()


def test_edits_that_do_not_fit(image: Path, model: Path, tmp_path: Path) -> None:
    edits = tmp_path / "edits.png"
    Image.fromarray(tiny_labels((32, 96))).save(edits)
    fails(run(image, "-m", model, "--out", tmp_path, "--edits", edits), "32 x 96", "64 x 96", "steel.png")
    Image.fromarray(np.full((64, 96), 9, np.uint8)).save(edits)
    fails(run(image, "-m", model, "--out", tmp_path, "--edits", edits), "label value 9", "1 ferrite")
    folder = tiny_dataset(tmp_path / "data")
    fails(run(folder, "-m", model, "--out", tmp_path, "--edits", edits), "one image")


def test_models_that_cannot_be_used(image: Path, model: Path, tmp_path: Path) -> None:
    fails(run(image, "-m", "nothing", "--out", tmp_path), "no model 'nothing'")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(model.read_bytes()[:-1000])
    fails(run(image, "-m", cut, "--out", tmp_path), "cut.safetensors", "truncated")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_text("hello, this is no model")
    fails(run(image, "-m", foreign, "--out", tmp_path), "foreign.safetensors")
    two = tiny_model(tmp_path, in_channels=2, file_name="two.safetensors")
    fails(run(image, "-m", two, "--out", tmp_path), "channels", "made for 2")


def test_devices_and_modes_that_are_not_there(
    image: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    fails(run(image, "-m", model, "--out", tmp_path, "--device", "cuda"), "CUDA was asked for")
    fails(run(image, "-m", model, "--out", tmp_path, "--device", "tpu"), "Unknown device 'tpu'")
    fails(run(image, "-m", model, "--out", tmp_path, "--mode", "magic"), "Mode 'magic'")
    fails(run(image, "-m", model, "--out", tmp_path, "--exact", "--uncertainty", "0.2"), "exclude each other")


def test_a_full_disk_is_said_and_leaves_no_half_file(
    image: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", no_space)
    fails(run(image, "-m", model, "--out", tmp_path / "out"), "steel_labels.tif", "No space left on device")
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_leaves_cleanly(
    image: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.segmentation.session import Session

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "segment", interrupt)
    result = run(image, "-m", model, "--out", tmp_path / "out")
    assert (result.exit_code, result.stderr, result.stdout) == (130, "Stopped.\n", "")
    assert not (tmp_path / "out").exists()
