"""Data-set folders: what matches, what is missing, what does not fit together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.errors import DatasetError, SchemeError
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["a", "b"])


def write(folder: Path, name: str, array: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(folder / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for stem in ("one", "two", "three"):
        write(tmp_path / "images", f"{stem}.png", np.full((8, 9), 50, np.uint8))
    write(tmp_path / "labels", "one.png", np.ones((8, 9), np.uint8))
    write(tmp_path / "labels", "two_labels.png", np.full((8, 9), 2, np.uint8))
    return tmp_path


def test_images_and_labels_match_by_stem(folder: Path) -> None:
    (folder / "scheme.json").write_text(json.dumps(SCHEME.to_dict()))
    dataset = open_dataset(folder)
    assert [i.stem for i in dataset.items] == ["one", "three", "two"]
    assert [i.stem for i in dataset.labelled().items] == ["one", "two"]
    assert dataset.scheme == SCHEME
    assert dataset.only(["two"]).items[0].read_labels(SCHEME, (8, 9)).max() == 2
    assert [i.stem for i in dataset.without(["two"]).items] == ["one", "three"]
    with pytest.raises(DatasetError, match="no image nine"):
        dataset.without(["nine"])


def test_a_folder_of_bare_images_is_a_data_set_without_labels(folder: Path) -> None:
    dataset = open_dataset(folder / "images")
    assert len(dataset.items) == 3 and not dataset.labelled().items


def test_what_does_not_fit_names_file_and_reason(folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(folder)
    items = {i.stem: i for i in dataset.items}
    with pytest.raises(DatasetError, match=r"one\.png: is 8 x 9 px, but its image .* 8 x 10"):
        items["one"].read_labels(SCHEME, (8, 10))
    with pytest.raises(DatasetError, match="has no label map"):
        items["three"].read_labels(SCHEME, (8, 9))
    with pytest.raises(SchemeError, match=r"two_labels\.png: label value 2"):
        items["two"].read_labels(PhaseScheme.from_names(["a"]), (8, 9))
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(tmp_path / "absent")
    write(folder / "labels", "four.png", np.ones((8, 9), np.uint8))
    with pytest.raises(DatasetError, match="label map without an image: four"):
        open_dataset(folder)
    write(folder / "images", "one.tif", np.ones((8, 9), np.uint8))
    with pytest.raises(DatasetError, match="have the same name"):
        open_dataset(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no images found"):
        open_dataset(tmp_path / "empty")
