"""Results as files: the label map, the record beside it, the overlay picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.files.atomic import os as atomic_os
from phaseguide.micrographs import read_label_map, read_micrograph, sha256_of_array, sha256_of_file
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.saving import CONSTRAINED, overlay_image, report_picture, save_segmentation
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import tiny_image, tiny_model

ASKED = np.array([0.5, np.nan, np.nan])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


def segmented(model: LoadedModel, **request: object) -> Segmentation:
    return run_to_end(Session(model, tiny_image(), device="cpu").segment(Request(**request)))  # type: ignore[arg-type]


def test_record_tells_how_the_label_map_was_made(model: LoadedModel, tmp_path: Path) -> None:
    image = tiny_image()
    image_path = tmp_path / "a.raw"
    image_path.write_bytes(image.tobytes())
    result = segmented(model, asked=ASKED, uncertainty=0.0)
    files = save_segmentation(
        tmp_path / "new" / "folder", "a", result, model, image_path, image, 0.05, source="EBSD of this field"
    )
    assert (files.labels.name, files.record.name, files.overlay) == ("a_labels.tif", "a.json", None)
    assert np.array_equal(read_label_map(files.labels), result.labels)
    assert read_micrograph(files.labels).pixel_size_um == pytest.approx(0.05)
    record = json.loads(files.record.read_text(encoding="utf-8"))
    assert record["labels"] == "a_labels.tif"
    assert record["image"]["sha256"] == sha256_of_file(image_path)
    assert record["image"]["pixels_sha256"] == sha256_of_array(image)
    assert record["model"]["sha256"] == sha256_of_file(model.path)
    assert record["ratio"]["statement"] == CONSTRAINED
    assert (record["ratio"]["source"], record["ratio"]["uncertainty"]) == ("EBSD of this field", 0.0)
    first, second, _ = record["phases"]
    assert (first["name"], first["asked"], second["asked"]) == ("ferrite", 0.5, None)
    assert first["achieved"] == pytest.approx(0.5, abs=1 / image.size)
    for key in ("imposed", "achieved", "own"):
        assert sum(p[key] for p in record["phases"]) == pytest.approx(1)
    assert {"phaseguide", "torch"} <= set(record["versions"])
    assert record["time"].endswith("+00:00")


def test_a_result_without_a_ratio_is_not_called_constrained(model: LoadedModel, tmp_path: Path) -> None:
    files = save_segmentation(tmp_path, "a", segmented(model), model, None, tiny_image(), None)
    record = json.loads(files.record.read_text(encoding="utf-8"))
    assert not record["ratio"]["constrained"]
    assert CONSTRAINED not in record["ratio"]["statement"]
    assert record["ratio"]["source"] == "none"
    assert all(p["asked"] is None and p["achieved"] == p["own"] for p in record["phases"])
    assert record["image"]["file"] is None


def test_a_full_disk_names_the_file_and_keeps_the_old_result(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = segmented(model)
    save_segmentation(tmp_path, "a", result, model, None, tiny_image(), None)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_os, "fsync", no_space)
    with pytest.raises(PhaseguideError, match=r"a_labels\.tif.*No space left"):
        save_segmentation(tmp_path, "a", result, model, None, tiny_image(1), None, overlay=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "rgb", "constant"])
def test_overlay_paints_phases_and_leaves_the_rest(kind: str) -> None:
    scheme = PhaseScheme.from_names(["a", "b"])
    grey = np.tile(np.arange(64, dtype=np.uint8) * 4, (8, 1))
    image = {
        "uint8": grey,
        "uint16": grey.astype(np.uint16) * 200,
        "float32": grey.astype(np.float32) - 100,
        "rgb": np.repeat(grey[..., None], 3, axis=-1),
        "constant": np.full_like(grey, 9),
    }[kind]
    labels = np.zeros(grey.shape, dtype=np.uint8)
    labels[2], labels[3], labels[4] = 1, 2, 255
    picture = overlay_image(image, labels, scheme, alpha=1.0)
    assert picture.dtype == np.uint8 and picture.shape == (8, 64, 3)
    assert (picture[2] == [0x56, 0xB4, 0xE9]).all() and (picture[3] == [0xE6, 0x9F, 0x00]).all()
    assert (picture[4] == 0).all()
    assert (np.ptp(picture[0], axis=-1) == 0).all()
    if kind != "constant":
        assert picture[0, 0, 0] == 0 and picture[0, -1, 0] == 255


def test_the_legend_says_that_a_part_was_painted_by_hand(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    def remember(picture: np.ndarray, title: str, entries: object, note: str, pixel: object) -> np.ndarray:
        notes.append(note)
        return picture

    monkeypatch.setattr("phaseguide.segmentation.saving.with_legend", remember)
    for edited in (0, 1280):
        report_picture(tiny_image(), replace(segmented(model), edited_px=edited), "a", None)
    assert notes == ["", "with 1,280 px of manual edits"]


def test_overlay_refuses_labels_of_another_shape() -> None:
    with pytest.raises(MicrographError, match=r"4 x 5 px.*4 x 6 px"):
        overlay_image(np.zeros((4, 6)), np.zeros((4, 5), np.uint8), PhaseScheme.from_names(["a"]))
