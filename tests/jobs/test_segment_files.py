"""Batches of image files: which are found, and what one bad file does to the others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from phaseguide.errors import MicrographError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files.json_files import read_json
from phaseguide.jobs import segment_files as batch
from phaseguide.jobs.image_files import find_images
from phaseguide.jobs.segment_files import (
    BatchOptions,
    ImageDone,
    ImageFailed,
    segment_files,
)
from phaseguide.micrographs import read_label_map, read_micrograph, sha256_of_array, sha256_of_file
from phaseguide.micrographs.reading import Micrograph
from phaseguide.models.model_file import load_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import run_to_end
from phaseguide.segmentation.specimen import Composition
from tiny_models import tiny_image, tiny_model


def save(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tiny_image(seed)).save(path)
    return path


def test_folders_give_their_images_and_not_earlier_results(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a.png"), save(tmp_path / "b.tif")
    save(tmp_path / "a_labels.tif")
    save(tmp_path / "a_overlay.png")
    lonely = save(tmp_path / "c_labels.tif")
    (tmp_path / "notes.txt").write_text("x")
    assert find_images([tmp_path]) == [a, b, lonely]
    assert find_images([a, tmp_path]) == [a, b, lonely]


def test_files_of_a_result_that_a_pattern_of_the_shell_names_are_left_out(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png")
    model = load_model(tiny_model(tmp_path, "none"))
    list(segment_files([image], model, Request(), tmp_path, BatchOptions(device="cpu", overlay=True)))
    told: list[str] = []
    found = find_images([p for p in tmp_path.glob("a*") if p.is_file()], told.append)
    assert found == [image] and "a.json" in told[0] and "a_labels.tif" in told[0]


def test_a_data_set_folder_gives_its_images(tmp_path: Path) -> None:
    a = save(tmp_path / "images" / "a.png")
    save(tmp_path / "labels" / "a.png")
    assert find_images([tmp_path]) == [a]


def test_missing_empty_and_clashing_paths_are_errors(tmp_path: Path) -> None:
    with pytest.raises(MicrographError, match="no such file"):
        find_images([tmp_path / "x.png"])
    with pytest.raises(MicrographError, match="holds no images"):
        find_images([tmp_path])
    with pytest.raises(MicrographError, match="same name"):
        find_images([save(tmp_path / "a.png"), save(tmp_path / "b" / "a.tif")])


def test_one_bad_image_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    good = save(tmp_path / "good.png")
    model = load_model(tiny_model(tmp_path, "none"))
    options = BatchOptions(device="cpu")
    events = list(segment_files([bad, good], model, Request(), tmp_path / "out", options))
    assert isinstance(events[0], Progress)
    assert isinstance(events[-1], Finished)
    failed, done = events[-1].result
    assert isinstance(failed, ImageFailed) and "bad.png" in str(failed.error)
    assert isinstance(done, ImageDone) and done.files.labels.exists() and done.files.record.exists()


def test_a_stopped_batch_leaves_whole_files_only(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{i}.png", i) for i in range(2)]
    model = load_model(tiny_model(tmp_path, "none"))
    events = segment_files(images, model, Request(), tmp_path / "out", BatchOptions(device="cpu"))
    next(e for e in events if isinstance(e, ImageDone))
    events.close()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.json", "0_labels.tif"]


def test_a_detected_bar_is_said_and_kept_out_of_all_areas(tmp_path: Path) -> None:
    image = tiny_image(0, (128, 160))
    image[-16:] = 0
    image[-10:-6, 20:60:3] = 255
    path = tmp_path / "bar.png"
    Image.fromarray(image).save(path)
    model = load_model(tiny_model(tmp_path, "none"))
    events = list(segment_files([path], model, Request(), tmp_path, BatchOptions(device="cpu")))
    assert any(isinstance(e, Notice) and "information bar" in e.message for e in events)
    labels = events[-1].result[0].segmentation.labels
    assert (labels[-16:] == 255).all() and (labels[:-16] != 255).all()
    kept = BatchOptions(device="cpu", exclude_info_bar=False)
    labels = list(segment_files([path], model, Request(), tmp_path, kept))[-1].result[0].segmentation.labels
    assert (labels != 255).all()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "Not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "Not enough memory"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
    ids=["memory", "cuda", "disk"],
)
def test_what_the_system_refuses_for_one_image_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    images = [save(tmp_path / f"{i}.png", i) for i in range(2)]
    model = load_model(tiny_model(tmp_path, "none"))
    read = batch.read_micrograph

    def failing(path: Path) -> Micrograph:
        if path.stem == "0":
            raise error
        return read(path)

    monkeypatch.setattr(batch, "read_micrograph", failing)
    events = list(segment_files(images, model, Request(), tmp_path / "out", BatchOptions(device="cpu")))
    failed, done = events[-1].result
    assert isinstance(failed, ImageFailed) and "0.png: " in str(failed.error) and words in str(failed.error)
    assert failed.error.__traceback__ is None, "it would hold the arrays of the image"
    assert isinstance(done, ImageDone)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        KeyError("x"),
        RecursionError(),
        ZeroDivisionError(),
    ],
)
def test_a_fault_of_the_program_with_one_image_is_told_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    model = load_model(tiny_model(tmp_path, "none"))
    read = batch.read_micrograph

    def failing(path: Path) -> Micrograph:
        if path.stem == "a":
            raise error
        return read(path)

    monkeypatch.setattr(batch, "read_micrograph", failing)
    images = [save(tmp_path / "a.png"), save(tmp_path / "b.png")]
    failed, done = list(segment_files(images, model, Request(), tmp_path, BatchOptions(device="cpu")))[
        -1
    ].result
    assert isinstance(failed, ImageFailed) and "a.png" in str(failed.error) and isinstance(done, ImageDone)
    if not isinstance(error, RecursionError):
        assert type(error).__name__ in str(failed.error) and "unexpected error with" in caplog.text


def test_a_stop_by_the_user_is_no_fault_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: Path) -> Micrograph:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "read_micrograph", stopped)
    model = load_model(tiny_model(tmp_path, "none"))
    with pytest.raises(KeyboardInterrupt):
        list(
            segment_files([save(tmp_path / "a.png")], model, Request(), tmp_path, BatchOptions(device="cpu"))
        )


def test_the_record_names_the_files_that_were_used_and_not_those_that_are_there_now(tmp_path: Path) -> None:
    image, file = save(tmp_path / "a.png"), tiny_model(tmp_path, "none")
    used = [sha256_of_file(path) for path in (image, file)]
    model = load_model(file)
    file.write_bytes(b"another model")
    for event in segment_files([image], model, Request(), tmp_path / "out", BatchOptions(device="cpu")):
        if isinstance(event, Progress):
            save(image, 1)
    record = read_json(tmp_path / "out" / "a.json")
    assert sha256_of_file(image) != used[0], "it was replaced while the network was at work"
    assert [record["image"]["sha256"], record["model"]["sha256"]] == used
    assert record["image"]["pixels_sha256"] == sha256_of_array(tiny_image(0))


def test_an_image_that_is_replaced_before_its_specimen_is_saved_is_told(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{name}.png", seed) for seed, name in enumerate("ab")]
    model = load_model(tiny_model(tmp_path, "none"))
    request = Request(asked=np.array([0.4, np.nan, np.nan]))
    options = BatchOptions(device="cpu", scope="specimen")
    for event in segment_files(images, model, request, tmp_path / "out", options):
        if isinstance(event, Composition):
            save(images[0], 7)
    replaced, done = event.result
    assert "a.png: was replaced" in str(replaced.error) and isinstance(done, ImageDone)


@pytest.mark.parametrize("scope", ["field", "specimen"])
def test_an_image_that_vanishes_or_a_record_that_cannot_be_written_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: Any
) -> None:
    images = [save(tmp_path / f"{name}.png", seed) for seed, name in enumerate("abc")]
    (tmp_path / "out" / "b.json").mkdir(parents=True)  # in the way of the record
    model = load_model(tiny_model(tmp_path, "none"))
    written = batch.save_segmentation

    def vanished(folder: Path, stem: str, *args: Any, **options: Any) -> Any:
        if stem == "a":
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        return written(folder, stem, *args, **options)

    monkeypatch.setattr(batch, "save_segmentation", vanished)
    request = Request(asked=np.array([0.4, np.nan, np.nan]))
    options = BatchOptions(device="cpu", scope=scope)
    outcomes = list(segment_files(images, model, request, tmp_path / "out", options))[-1].result
    assert [type(o).__name__ for o in outcomes] == ["ImageFailed", "ImageFailed", "ImageDone"]
    assert "a.png" in str(outcomes[0].error) and "b.json" in str(outcomes[1].error)
    assert not (tmp_path / "out" / "b_labels.tif").exists(), "a map without its record"


def save_stack(path: Path, planes: int = 3) -> Path:
    tifffile.imwrite(path, np.stack([tiny_image(i) for i in range(planes)]), photometric="minisblack")
    return path


def test_every_plane_of_a_stack_is_segmented(tmp_path: Path) -> None:
    stack, plain = save_stack(tmp_path / "stack.tif"), save(tmp_path / "plain.png", 1)
    model = load_model(tiny_model(tmp_path, "none"))
    request = Request(asked=np.array([0.3, np.nan, np.nan]), uncertainty=0.0)
    options = BatchOptions(device="cpu", overlay=True, source="XRD", details={"basis": "area"})
    out = tmp_path / "out"
    first, second = list(segment_files([stack, plain], model, request, out, options))[-1].result
    assert isinstance(first, ImageDone) and isinstance(second, ImageDone)
    assert (len(first.planes), len(second.planes)) == (3, 1)
    labels = read_label_map(out / "stack_labels.tif")
    assert labels.shape == (3, 64, 96) and np.array_equal(labels, first.segmentation.labels)
    assert np.array_equal(labels[1], second.segmentation.labels), "as the same plane by itself"
    assert read_micrograph(out / "stack_overlay.tif").data.shape == (3, 64, 96, 3)
    record = json.loads((out / "stack.json").read_text(encoding="utf-8"))
    assert (record["image"]["planes"], record["image"]["height"], record["image"]["width"]) == (3, 64, 96)
    assert [plane["plane"] for plane in record["planes"]] == [0, 1, 2]
    assert all(plane["phases"][0]["achieved"] == pytest.approx(0.3, abs=1e-3) for plane in record["planes"])
    assert record["phases"][0]["achieved"] == pytest.approx(0.3, abs=1e-3)
    assert record["ratio"]["source"] == "XRD"
    assert (record["settings"]["scope"], record["settings"]["basis"]) == ("field", "area")


def test_a_specimen_is_all_images_and_planes_together(tmp_path: Path) -> None:
    stack, plain = save_stack(tmp_path / "stack.tif", 2), save(tmp_path / "plain.png", 5)
    model = load_model(tiny_model(tmp_path, "none"))
    request = Request(asked=np.array([0.4, np.nan, np.nan]), uncertainty=0.0)
    options = BatchOptions(device="cpu", scope="specimen")
    events = list(segment_files([plain, stack], model, request, tmp_path / "out", options))
    one, two = events[-1].result
    assert (one.image, two.image) == (plain, stack)
    shares = [one.segmentation.achieved[0], *(plane.achieved[0] for plane in two.planes)]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.001) and np.ptp(shares) > 0.001
    record = json.loads(two.files.record.read_text(encoding="utf-8"))
    assert record["settings"]["scope"] == "specimen" and record["settings"]["specimen"]["fields"] == 3
    assert record["settings"]["specimen"]["imposed"][0] == pytest.approx(0.4)
    assert record["phases"][0]["asked"] == 0.4
    assert record["phases"][0]["imposed"] == pytest.approx(two.segmentation.achieved[0], abs=0.001)


def test_a_bad_image_is_left_out_of_the_specimen(tmp_path: Path) -> None:
    good = [save(tmp_path / f"{i}.png", i) for i in range(2)]
    bad, black = tmp_path / "bad.png", tmp_path / "black.png"
    bad.write_bytes(b"not an image")
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(black)
    model = load_model(tiny_model(tmp_path, "none"))
    request = Request(asked=np.array([0.4, np.nan, np.nan]), uncertainty=0.0)
    options = BatchOptions(device="cpu", scope="specimen")
    images = [good[0], bad, black, good[1]]
    outcomes = list(segment_files(images, model, request, tmp_path / "out", options))[-1].result
    assert [type(o) for o in outcomes] == [ImageDone, ImageFailed, ImageFailed, ImageDone]
    assert "bad.png" in str(outcomes[1].error) and "black.png" in str(outcomes[2].error)
    mean = (outcomes[0].segmentation.achieved + outcomes[3].segmentation.achieved) / 2
    assert mean[0] == pytest.approx(0.4, abs=0.001)


def test_a_stack_with_a_bad_plane_says_which(tmp_path: Path) -> None:
    planes = np.stack([tiny_image(0), np.zeros((64, 96), np.uint8), np.zeros((64, 96), np.uint8)])
    tifffile.imwrite(tmp_path / "stack.tif", planes, photometric="minisblack")
    model = load_model(tiny_model(tmp_path, "none"))
    stack = tmp_path / "stack.tif"
    (outcome,) = list(segment_files([stack], model, Request(), tmp_path, BatchOptions(device="cpu")))[
        -1
    ].result
    assert isinstance(outcome, ImageFailed) and "stack.tif, plane 1" in str(outcome.error)


def test_edits_of_a_stack_belong_to_its_planes(tmp_path: Path) -> None:
    stack = save_stack(tmp_path / "stack.tif")
    model = load_model(tiny_model(tmp_path, "none"))
    edits = np.zeros((3, 64, 96), np.uint8)
    edits[1, :9], edits[2, :9] = 3, 255

    def outcome(painted: np.ndarray) -> ImageDone | ImageFailed:
        options = BatchOptions(device="cpu")
        return list(segment_files([stack], model, Request(), tmp_path, options, edits=painted))[-1].result[0]

    done = outcome(edits)
    assert isinstance(done, ImageDone)
    labels = done.segmentation.labels
    assert (labels[1, :9] == 3).all() and (labels[2, :9] == 255).all() and (labels[0] != 255).all()
    failed = outcome(edits[0])
    assert isinstance(failed, ImageFailed) and "64 x 96 px, but" in str(failed.error)
    assert "3 x 64 x 96" in str(failed.error)


def test_what_a_file_holds_besides_is_told_and_recorded(tmp_path: Path) -> None:
    for name, full in (("plain", [tiny_image(0)]), ("stack", [tiny_image(0), tiny_image(1)])):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as tiff:
            tiff.write(tiny_image(0)[::6, ::6])
            for page in full:
                tiff.write(page)
    model = load_model(tiny_model(tmp_path, "none"))
    paths = [tmp_path / "plain.tif", tmp_path / "stack.tif"]
    events = list(segment_files(paths, model, Request(), tmp_path / "out", BatchOptions(device="cpu")))
    told = [event for event in events if isinstance(event, Notice)]
    for path in paths:
        assert any(one.where == path.name and "page 1 (16 x 11 px)" in one.message for one in told)
        record = json.loads((tmp_path / "out" / f"{path.stem}.json").read_text(encoding="utf-8"))
        assert record["image"]["height"] == 64
        assert any("page 1 (16 x 11 px)" in notice for notice in record["notices"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_whatever_bears_the_name_of_an_image_is_told_and_stops_no_other(tmp_path: Path) -> None:
    a, folder, told = save(tmp_path / "a.png"), tmp_path / "folder.png", list[str]()
    folder.mkdir()
    pipe, nowhere, ring = (tmp_path / name for name in ("pipe.png", "nowhere.png", "ring.png"))
    os.mkfifo(pipe)
    nowhere.symlink_to(tmp_path / "gone" / "b.png")
    ring.symlink_to(ring)
    assert find_images([tmp_path]) == [a, nowhere, pipe, ring]
    assert find_images([a, folder, nowhere], told.append) == [a, nowhere]
    assert len(told) == 1 and "folder.png: holds no images" in told[0]
    model = load_model(tiny_model(tmp_path))
    outcomes = run_to_end(segment_files([nowhere, pipe, ring, a], model, Request(), tmp_path / "out"))
    assert [type(outcome) for outcome in outcomes] == [ImageFailed] * 3 + [ImageDone]
