"""Checking and converting data sets: complete or not there, resumed where it was stopped, and fit to train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from layout_copies import (
    aachen,
    coco,
    coco_data,
    colour_masks,
    corners,
    cvat,
    ebc,
    grey,
    imagej,
    labelme,
    metaldam,
    qupath,
    save,
    superalloy,
    uhcs_files,
    uhcs_h5,
)
from phaseguide.datasets.conversion import image_bytes, part_of
from phaseguide.datasets.folder import open_dataset
from phaseguide.datasets.layouts.registry import LAYOUTS, open_layout
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError
from phaseguide.events import Progress, run_to_end
from phaseguide.jobs.data.check import check_data
from phaseguide.jobs.data.convert import Converted, convert_data
from phaseguide.micrographs.reading import read_micrograph
from phaseguide.training.crossfit.folds import read_folds

MAKERS = {
    "uhcs": uhcs_h5, "superalloy": superalloy, "ebc": ebc, "metaldam": metaldam, "aachen-heerlen": aachen,
    "colour-masks": colour_masks, "coco": coco, "cvat": cvat, "labelme": labelme, "qupath": qupath, "imagej": imagej,
}  # fmt: skip


def convert(folder: Path, out: Path, **options: Any) -> Converted:
    done = run_to_end(convert_data(folder, out, LayoutOptions(**options)))
    assert isinstance(done, Converted)
    return done


def test_every_layout_has_a_small_copy() -> None:
    assert set(MAKERS) | {"folder"} == set(LAYOUTS)


@pytest.mark.parametrize("name", MAKERS)
def test_each_layout_converts_to_a_data_set_of_the_same_labels(tmp_path: Path, name: str) -> None:
    folder, out = MAKERS[name](tmp_path / "in"), tmp_path / "out"
    checked = run_to_end(check_data(folder))
    done = convert(folder, out)
    assert checked.problems == () and checked.listing.about.name == name
    assert checked.phases == done.report.phases and checked.notices == done.report.notices
    before, after = open_layout(folder), open_dataset(out)
    assert after.scheme == before.scheme
    assert [item.stem for item in after.items] == sorted(entry.stem for entry in before.entries)
    for entry in before.entries:
        (item,) = after.only([entry.stem]).items
        field = entry.read()
        np.testing.assert_array_equal(item.read_image().data, field.image)
        np.testing.assert_array_equal(item.read_labels(before.scheme, field.labels.shape), field.labels)
    again = run_to_end(check_data(out))
    assert again.phases == done.report.phases and again.listing.groups == before.groups
    assert again.listing.about.licence == before.about.licence
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_folds_of_a_converted_set_are_those_that_training_takes(tmp_path: Path) -> None:
    convert(metaldam(tmp_path / "in"), tmp_path / "out")
    folds = read_folds(tmp_path / "out" / "folds.json", open_dataset(tmp_path / "out"))
    assert sorted(map(len, folds.values())) == [1, 1, 1, 1, 2]


def test_a_report_counts_pixels_images_bars_and_sizes(tmp_path: Path) -> None:
    folder = uhcs_files(tmp_path)
    save(folder / "images" / "uhcs0007.png", grey(7, (484, 60)))
    save(folder / "labels" / "uhcs0007.png", np.ones((484, 60), np.uint8))
    report = run_to_end(check_data(folder))
    assert report.sizes == {"522 x 60": 2, "484 x 60": 1} and report.bars == {38: 2}
    assert [row.images for row in report.phases] == [2, 3, 2, 2]
    assert report.phases[1].share == pytest.approx((2 * 0.25 + 1) / 3)
    assert report.excluded == pytest.approx(2 * 38 / (2 * 522 + 484))
    assert report.values == {"uint8": 3}


def test_a_phase_that_no_image_has_is_told(tmp_path: Path) -> None:
    data = coco_data()
    data["categories"].append({"id": 9, "name": "pore"})
    report = run_to_end(check_data(coco(tmp_path, data)))
    assert any(notice.startswith("pore (label 4) has no pixel in any label map") for notice in report.notices)


def test_a_check_names_all_bad_images_the_first_first(tmp_path: Path) -> None:
    aachen(tmp_path, [f"a.png;0;{corners()}", "b.png;0;[(1, 2)", "c.png;0;[(1, 2), (3, 4)]"], images="abc")
    report = run_to_end(check_data(tmp_path))
    assert report.images == 1
    assert ["line 3" in str(report.problems[0]), "line 4" in str(report.problems[1])] == [True, True]


def test_a_conversion_that_is_stopped_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    folder, out = metaldam(tmp_path / "in"), tmp_path / "out"
    events = convert_data(folder, out)
    for event in events:
        if isinstance(event, Progress) and event.done == 4:
            break
    events.close()
    assert not out.exists() and len(list((part_of(out) / "labels").iterdir())) == 4
    with (part_of(out) / "state.jsonl").open("a") as file:
        file.write('{"key": "of a run that was killed in the mid')
    (part_of(out) / "labels" / "micrograph2.tif").unlink()
    save(part_of(out) / "images" / "foreign.png", grey(1))
    times = {path.name: path.stat().st_mtime_ns for path in (part_of(out) / "images").iterdir()}
    done = convert(folder, out)
    assert done.resumed == 3 and done.report.images == 6
    assert (out / "images" / "micrograph1.png").stat().st_mtime_ns == times["micrograph1.png"]
    assert not (out / "images" / "foreign.png").exists() and not part_of(out).exists()
    assert done.report.phases == run_to_end(check_data(folder)).phases


def test_what_changed_meanwhile_is_written_anew(tmp_path: Path) -> None:
    folder, out = aachen(tmp_path / "in", [f"a.png;0;{corners()}", "b.png;0;[(1, 2), (3"]), tmp_path / "out"
    with pytest.raises(DatasetError, match="line 3"):
        convert(folder, out)
    assert not out.exists()
    aachen(folder, [f"a.png;0;{corners()}", f"b.png;0;{corners()}"], images="b")
    done = convert(folder, out)
    assert done.resumed == 1

    out = tmp_path / "second"
    events = convert_data(folder, out)
    next(events), next(events)
    events.close()
    done = convert(folder, out, background="none")
    assert done.resumed == 0 and open_dataset(out).scheme is not None
    assert len(open_dataset(out).scheme) == 1


def test_out_must_be_free_and_outside(tmp_path: Path) -> None:
    folder = ebc(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    convert(folder, tmp_path / "empty")
    with pytest.raises(DatasetError, match="is there already, and stays"):
        convert(folder, tmp_path / "empty")
    with pytest.raises(DatasetError, match="lies in the folder that is read"):
        convert(folder, folder / "out")


def test_one_run_writes_at_a_time(tmp_path: Path) -> None:
    folder, out = ebc(tmp_path / "in"), tmp_path / "out"
    first = convert_data(folder, out)
    next(first)
    with pytest.raises(Exception, match="another run of Phase Guide is writing"):
        convert(folder, out)
    first.close()
    assert convert(folder, out).report.images == 2


def test_the_scale_of_an_image_stays(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "images").mkdir(parents=True)
    tifffile.imwrite(
        folder / "images" / "a.tif", grey(1), imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    save(folder / "images" / "b.png", grey(2))
    (folder / "images" / "b.txt").write_text("PixelSize=250\nDataSize=60x40\n")  # as Hitachi writes it, in nm
    for name in "ab":
        save(folder / "labels" / f"{name}.png", np.ones((40, 60), np.uint8))
    done = convert(folder, tmp_path / "out", phases=("ferrite",))
    assert done.report.with_pixel_size == 2
    for item in open_dataset(tmp_path / "out").items:
        assert item.read_image().pixel_size_um == pytest.approx(0.25), item.stem


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((9, 7), np.uint8),
        ((9, 7), np.uint16),
        ((9, 7), np.float32),
        ((9, 7, 3), np.uint8),
        ((9, 7, 3), np.uint16),
    ],
)
@pytest.mark.parametrize("size", [None, 0.125])
def test_images_are_written_as_they_are(tmp_path: Path, shape: Any, dtype: Any, size: float | None) -> None:
    image = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    (tmp_path / "a.tif").write_bytes(image_bytes(image, size))
    read = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.data, image)
    assert read.data.dtype == dtype and read.pixel_size_um == (None if size is None else pytest.approx(size))


def test_where_a_set_comes_from_stays_with_it(tmp_path: Path) -> None:
    convert(superalloy(tmp_path / "in"), tmp_path / "out", splits=("train", "val"))
    told = json.loads((tmp_path / "out" / "origin.json").read_text())
    assert told["layout"]["licence"] == "MIT" and told["images"] == 3 and "folder" not in told
    assert json.loads((tmp_path / "out" / "splits.json").read_text()) == {"train": ["a", "b"], "val": ["c"]}


@pytest.mark.parametrize(("name", "phases"), [("uhcs", ""), ("superalloy", "abc"), ("ebc", "abc")])
def test_real_sets_convert(shared_data: Path, tmp_path: Path, name: str, phases: str) -> None:
    """Only the first fold or the smallest split: the images are large."""
    split = {"uhcs": "F0", "superalloy": "val", "ebc": "val"}[name]
    done = convert(shared_data / name, tmp_path / "out", phases=tuple(phases), splits=(split,))
    assert done.report.images == {"uhcs": 4, "superalloy": 4, "ebc": 3}[name]
    assert sum(row.share for row in done.report.phases) == pytest.approx(1)
    assert done.report.excluded == done.report.not_classified == 0
