"""An image that is annotated twice, or two of one name, is told: else one of them would be written over the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from layout_copies import SIZE, aachen, coco, coco_data, colour_masks, cvat, grey, save, uhcs_files, uhcs_h5
from phaseguide.datasets.layouts.registry import open_layout
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError


def refuses(folder: Path, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        open_layout(folder)


def test_an_image_is_listed_once_in_one_file_or_in_two(tmp_path: Path) -> None:
    data = coco_data()
    data["images"].append({**data["images"][0], "id": 9})
    refuses(coco(tmp_path, data), r"image 9: is for images.a\.png, and so is .*image 7\. Keep one")
    (coco(tmp_path) / "annotations" / "other.json").write_text(json.dumps(coco_data()))
    refuses(tmp_path, r"other\.json, image 7: is for images.a\.png, and so is .*instances\.json")


def test_cvat_names_both_lines(tmp_path: Path) -> None:
    file = cvat(tmp_path) / "annotations.xml"
    file.write_text(file.read_text().replace('name="b.png"', 'name="a.png"'))
    refuses(tmp_path, r"line 10: is for images.a\.png, and so is .*line 7\. Keep one")


def test_numbers_with_zeros_before_them_are_one_micrograph(tmp_path: Path) -> None:
    refuses(
        uhcs_h5(tmp_path / "h5", ("micrograph6", "micrograph0006")),
        "micrograph0006 and micrograph6 have the same",
    )
    folder = uhcs_files(tmp_path / "files")
    for part in ("images", "labels"):
        (folder / part / "uhcs6.png").write_bytes((folder / part / "uhcs0006.png").read_bytes())
    refuses(folder, r"uhcs0006\.png and uhcs6\.png have the same name")


def test_one_name_with_two_endings(tmp_path: Path) -> None:
    save(colour_masks(tmp_path) / "images" / "a.tif", grey(2))
    refuses(tmp_path, r"images: a\.png and a\.tif have the same name")


def test_two_splits_may_share_a_name_where_one_is_taken(tmp_path: Path) -> None:
    for label, split in enumerate(("train", "test"), start=1):
        save(tmp_path / split / "images" / "a.png", grey(label))
        save(tmp_path / split / "labels" / "a.png", np.full(SIZE, label, np.uint8))
    with pytest.raises(DatasetError, match=r"train.images.a\.png and test.images.a\.png have the same name"):
        open_layout(tmp_path, LayoutOptions(phases=("x", "y")))
    for label, split in enumerate(("train", "test"), start=1):
        listing = open_layout(tmp_path, LayoutOptions(phases=("x", "y"), splits=(split,)))
        (entry,) = listing.entries
        assert listing.groups == {split: ("a",)} and (entry.read().labels == label).all()
    with pytest.raises(DatasetError, match=r"has no split 'tset'\. Splits of it: train, test"):
        open_layout(tmp_path, LayoutOptions(phases=("x", "y"), splits=("tset",)))


def test_a_second_table_or_export_is_told(tmp_path: Path) -> None:
    for folder, name in (
        (aachen(tmp_path), "annotations_polygon.csv"),
        (cvat(tmp_path / "c"), "annotations.xml"),
    ):
        other = folder / f"again_{name}"
        other.write_bytes((folder / name).read_bytes())
        refuses(folder, "needs one (CSV with columns|XML of CVAT).* and has 2. Expected")
