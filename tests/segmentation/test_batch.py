"""Batches of image files: which are found, and what one bad file does to the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phaseguide.errors import MicrographError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.micrographs.reading import Micrograph
from phaseguide.models.model_file import load_model
from phaseguide.segmentation import batch
from phaseguide.segmentation.batch import (
    BatchOptions,
    ImageDone,
    ImageFailed,
    existing_results,
    find_images,
    segment_files,
    with_info_bar,
)
from phaseguide.segmentation.request import Request
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
    assert existing_results([bad, good], tmp_path / "out", overlay=True) == [
        done.files.labels,
        done.files.record,
    ]


def test_a_stopped_batch_leaves_whole_files_only(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{i}.png", i) for i in range(2)]
    model = load_model(tiny_model(tmp_path, "none"))
    events = segment_files(images, model, Request(), tmp_path / "out", BatchOptions(device="cpu"))
    next(e for e in events if isinstance(e, ImageDone))
    events.close()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.json", "0_labels.tif"]


def test_the_information_bar_is_excluded_except_where_the_user_painted() -> None:
    micrograph = Micrograph(np.zeros((10, 4), np.uint8), None, "scale unknown", Path("x"), 3)
    fixed = with_info_bar(micrograph, None)
    assert fixed is not None
    assert (fixed[:7] == 0).all() and (fixed[7:] == 255).all()
    edits = np.zeros((10, 4), np.uint8)
    edits[0], edits[8] = 1, 2
    both = with_info_bar(micrograph, edits)
    assert both is not None
    assert both[:, 0].tolist() == [1, 0, 0, 0, 0, 0, 0, 255, 2, 255]
    assert edits[7, 0] == 0


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


def test_errors_of_the_program_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_model(tmp_path, "none"))

    def failing(_: Path) -> Micrograph:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(batch, "read_micrograph", failing)
    with pytest.raises(RuntimeError, match="mat1"):
        list(segment_files([save(tmp_path / "a.png")], model, Request(), tmp_path, BatchOptions()))
