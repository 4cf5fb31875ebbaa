"""Published sets in small copies: labels, bars, splits and folds come out as published, and bad files are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from layout_copies import (
    aachen,
    corners,
    ebc,
    grey,
    inside,
    metaldam,
    quarters,
    save,
    superalloy,
    uhcs_files,
    uhcs_h5,
)
from phaseguide.datasets.layouts import metaldam as metaldam_layout
from phaseguide.datasets.layouts.registry import open_layout
from phaseguide.datasets.reading.base import Field
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import DatasetError, PhaseguideError


def read(folder: Path, name: str, **options: object) -> dict[str, Field]:
    listing = open_layout(folder, LayoutOptions(**options))
    assert listing.about.name == name
    return {entry.stem: entry.read() for entry in listing.entries}


def test_uhcs_in_hdf5_has_its_bar_excluded_and_its_folds(tmp_path: Path) -> None:
    listing = open_layout(uhcs_h5(tmp_path))
    assert listing.about.name == "uhcs" and listing.grouping == "folds"
    assert listing.groups == {"F0": ("uhcs1176", "uhcs0357"), "F3": ("uhcs0006",)}
    assert "1219" in listing.notices[0] and "21 images" in listing.notices[0]
    field = listing.entries[0].read()
    assert field.bar_rows == 38 and field.image.shape == (60, 60)
    np.testing.assert_array_equal(field.labels[:22], quarters((1, 2, 3, 4), (22, 60)))
    assert (field.labels[22:] == 255).all()
    cut = read(tmp_path, "uhcs", bar="crop")["uhcs0006"]
    assert cut.image.shape == cut.labels.shape == (22, 60) and not cut.copied


@pytest.mark.parametrize("first", [0, 1])
def test_uhcs_in_files_counts_from_0_as_published_or_from_1(tmp_path: Path, first: int) -> None:
    field = read(uhcs_files(tmp_path, first=first), "uhcs")["uhcs0006"]
    np.testing.assert_array_equal(field.labels[:484], quarters((1, 2, 3, 4), (484, 60)))
    assert (field.labels[484:] == 255).all() and field.bar_rows == 38


def test_uhcs_labels_may_lack_the_bar_or_be_signed(tmp_path: Path) -> None:
    uhcs_files(tmp_path)
    (tmp_path / "labels" / "uhcs0006.png").unlink()
    save(tmp_path / "labels" / "uhcs0006.tif", quarters((0, 1, 2, 3), (484, 60)))
    (tmp_path / "labels" / "uhcs0220.png").unlink()
    signed = quarters((0, 1, 2, 3), (522, 60), np.int16)
    signed[-38:] = -1
    save(tmp_path / "labels" / "uhcs0220.tif", signed)
    fields = read(tmp_path, "uhcs")
    np.testing.assert_array_equal(fields["uhcs0006"].labels, fields["uhcs0220"].labels)


def test_uhcs_bad_files_are_named(tmp_path: Path) -> None:
    cut = uhcs_h5(tmp_path / "cut") / "uhcs.h5"
    cut.write_bytes(cut.read_bytes()[:3000])
    with pytest.raises(DatasetError, match=r"uhcs\.h5.*cut short or damaged.*Download it again"):
        [entry.read() for entry in open_layout(cut.parent).entries]

    import h5py

    foreign = uhcs_h5(tmp_path / "foreign")
    with h5py.File(foreign / "uhcs.h5", "r+") as file:
        file["micrograph6/labels"][0, 0] = 9
    with pytest.raises(DatasetError, match=r"uhcs\.h5, micrograph6, labels: holds the label 9"):
        [entry.read() for entry in open_layout(foreign).entries]

    ones = uhcs_files(tmp_path / "ones")
    for path in (ones / "labels").iterdir():
        save(path, np.full((522, 60), 2, np.uint8))
    with pytest.raises(DatasetError, match=r"whether the phases are 0 to 3 or 1 to 4"):
        open_layout(ones)


def test_a_fold_file_that_names_a_missing_image_is_refused(tmp_path: Path) -> None:
    uhcs_h5(tmp_path)
    file = tmp_path / "uhcs-validation-sets.json"
    file.write_text(json.dumps({"0": ["micrograph6"], "1": ["micrograph1219"]}))
    with pytest.raises(DatasetError, match=r"validation-sets\.json: fold F1 names the image uhcs1219"):
        open_layout(tmp_path)
    file.write_text(json.dumps({"0": ["micrograph6"], "1": ["micrograph357"]}))
    assert open_layout(tmp_path).groups == {"F0": ("uhcs0006",), "F1": ("uhcs0357",)}


def test_a_fold_file_that_names_an_image_twice_is_refused(tmp_path: Path) -> None:
    uhcs_h5(tmp_path)
    (tmp_path / "uhcs-validation-sets.json").write_text(
        json.dumps({"0": ["micrograph6"], "1": ["micrograph357", "micrograph6"]})
    )
    with pytest.raises(DatasetError, match=r"the image uhcs0006 is in fold F0 and in fold F1"):
        open_layout(tmp_path)


def test_superalloy_masks_are_read_by_pure_colours_in_8_and_16_bits(tmp_path: Path) -> None:
    listing = open_layout(superalloy(tmp_path))
    assert listing.about.name == "superalloy"
    assert listing.groups == {"train": ("a", "b"), "val": ("c",), "test": ("d",)}
    fields = {entry.stem: entry.read() for entry in listing.entries}
    assert fields["d"].image.dtype == np.uint16
    for field in fields.values():
        assert [np.unique(field.labels[:, at]).tolist() for at in (0, 25, 42, 59)] == [[1], [2], [3], [1]]
    only = open_layout(tmp_path, LayoutOptions(splits=("test",)))
    assert [entry.stem for entry in only.entries] == ["d"] and list(only.groups) == ["test"]
    with pytest.raises(DatasetError, match=r"no split 'tset'. Splits of it: train, val, test"):
        open_layout(tmp_path, LayoutOptions(splits=("tset",)))


def test_smoothed_edges_of_a_superalloy_mask_count_as_published_and_are_told(tmp_path: Path) -> None:
    from phaseguide.datasets.layouts.nasa import labels_of_colours

    mask = np.repeat(grey(1)[..., None], 3, axis=-1)
    mask[3, 4] = (10, 0, 240)
    labels, told = labels_of_colours(save(tmp_path / "m.png", mask))
    assert (labels == 1).all() and "1 pixels are neither pure" in told[0]


def test_coatings_count_from_0(tmp_path: Path) -> None:
    fields = read(ebc(tmp_path), "ebc")
    np.testing.assert_array_equal(fields["040617#2_S127(2)0015"].labels, quarters((1, 2, 3)))
    save(tmp_path / "test_annot" / "b.tif", quarters((0, 1, 300), dtype=np.uint16))
    with pytest.raises(DatasetError, match=r"b\.tif: holds the label 300"):
        read(tmp_path, "ebc")


def test_labels_without_images_and_images_without_labels_are_named(tmp_path: Path) -> None:
    save(ebc(tmp_path) / "train" / "alone.tif", grey(2))
    with pytest.raises(DatasetError, match=r"alone\.tif: is without any label \(1 such images"):
        open_layout(tmp_path)
    listing = open_layout(tmp_path, LayoutOptions(unlabelled="drop"))
    assert len(listing.entries) == 2 and "alone.tif" in listing.notices[0]
    save(tmp_path / "test_annot" / "orphan.tif", quarters((0, 1, 2)))
    with pytest.raises(DatasetError, match=r"orphan\.tif: is a label file without an image"):
        open_layout(tmp_path, LayoutOptions(unlabelled="drop"))


def test_metaldam_labels_stop_above_the_bar(tmp_path: Path) -> None:
    listing = open_layout(metaldam(tmp_path))
    field = listing.entries[0].read()
    np.testing.assert_array_equal(field.labels[:55], quarters((1, 2, 3, 4, 5), (55, 60)))
    assert (field.labels[55:] == 255).all()
    assert sorted(stem for group in listing.groups.values() for stem in group) == [
        f"micrograph{n}" for n in range(1, 7)
    ]


def test_metaldam_full_images_have_the_published_bar(tmp_path: Path) -> None:
    save(tmp_path / "images" / "micrograph1.png", grey(1, (768, 1024)))
    save(tmp_path / "labels" / "micrograph1.png", quarters((0, 1, 2, 3, 4), (768, 1024)))
    field = read(tmp_path, "metaldam")["micrograph1"]
    assert field.bar_rows == 65 and (field.labels[-65:] == 255).all() and (field.labels[:-65] < 6).all()
    cut = read(tmp_path, "metaldam", bar="crop")["micrograph1"]
    assert cut.image.shape == cut.labels.shape == (703, 1024)


def test_metaldam_folds_are_those_of_the_protocol() -> None:
    stems = [f"micrograph{n}" for n in range(42)]
    folds = metaldam_layout.folds_of(stems)
    assert [len(fold) for fold in folds.values()] == [9, 9, 8, 8, 8]
    assert folds == metaldam_layout.folds_of(stems[::-1])
    from sklearn.model_selection import KFold

    _, test = next(iter(KFold(5, shuffle=True, random_state=123456789).split(sorted(stems))))
    assert folds["1"] == tuple(sorted(stems)[i] for i in test)


def test_aachen_polygons_of_several_lines_make_one_image(tmp_path: Path) -> None:
    listing = open_layout(aachen(tmp_path))
    assert listing.about.name == "aachen-heerlen"
    assert listing.scheme.names == ("bainitic matrix", "martensite-austenite")
    labels = listing.entries[0].read().labels
    np.testing.assert_array_equal(labels == 2, inside() | inside((40, 28, 50, 35)))
    named = read(tmp_path, "aachen-heerlen", background="none", phases=("M-A",))
    assert set(np.unique(named["b"].labels)) == {0, 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png;(1, 1);[(1, 2), (3, 4", r"line 2: its polygon .* is not a whole list"),
        ("a.png;(1, 1);[(1, 2), (30, 4)]", "line 2: the polygon .* has 2 corners"),
        ("a.png;(1, 1);[(1, 2, 3), (30, 4, 4), (3, 3, 3)]", "line 2: its corners are not pairs"),
        (
            f"a.png;(1, 1);{corners((10, 5, 90, 25))}",
            "line 2: .* corner at x = 90, y = 5, outside of the image of 60 x 40",
        ),
        (
            "a.png;(1, 1);[(5, 5), (20, 20), (20, 5), (5, 20)]",
            r"line 2: .* crosses itself near x = 12\.5, y = 12\.5",
        ),
        ("a.png;(1, 1)", "line 2: has 2 cells, but the heading has 3"),
        ("zzz.png;(1, 1);[(1, 2), (3, 4), (5, 9)]", "line 2: the image 'zzz.png' is not in"),
    ],
)
def test_aachen_bad_lines_are_named(tmp_path: Path, row: str, words: str) -> None:
    folder = aachen(tmp_path, [row, f"b.png;(1, 1);{corners()}"])
    with pytest.raises(DatasetError, match=words):
        [entry.read() for entry in open_layout(folder).entries]


def test_images_without_polygons_are_refused_negative_or_dropped(tmp_path: Path) -> None:
    aachen(tmp_path, [f"a.png;(1, 1);{corners()}"])
    with pytest.raises(DatasetError, match=r"b\.png: is without any label .* --unlabelled negative"):
        open_layout(tmp_path)
    fields = read(tmp_path, "aachen-heerlen", unlabelled="negative")
    assert (fields["b"].labels == 1).all()
    assert list(read(tmp_path, "aachen-heerlen", unlabelled="drop")) == ["a"]


@pytest.mark.parametrize(
    ("name", "phases", "images"),
    [("uhcs", (), 20), ("superalloy", ("a", "b", "c"), 18), ("ebc", ("a", "b", "c"), 10)],
)
def test_real_sets_are_listed_and_their_first_image_reads(
    shared_data: Path, name: str, phases: tuple[str, ...], images: int
) -> None:
    listing = open_layout(shared_data / name, LayoutOptions(phases=phases if name != "uhcs" else ()))
    assert len(listing.entries) == images
    field = listing.entries[0].read()
    assert field.image.shape == field.labels.shape and set(np.unique(field.labels)) <= {1, 2, 3, 4}
    if name == "uhcs":
        assert [len(group) for group in listing.groups.values()] == [4] * 5
        assert listing.groups["F0"] == ("uhcs1176", "uhcs1219", "uhcs0357", "uhcs0333")
    else:
        assert list(listing.groups) == ["train", "val", "test"]


def test_folders_that_are_no_layout_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"in none of the layouts .* phaseguide data list"):
        open_layout(tmp_path)
    with pytest.raises(DatasetError, match=r"There is no layout 'ucsh'. Layouts: uhcs, superalloy"):
        open_layout(tmp_path, name="ucsh")
    with pytest.raises(DatasetError, match="there is no such folder"):
        open_layout(tmp_path / "absent")
    with pytest.raises(DatasetError, match="--phases names 2 phases, but the layout has 4"):
        open_layout(uhcs_h5(tmp_path), LayoutOptions(phases=("a", "b")))
    with pytest.raises(PhaseguideError, match="unlabelled is 'maybe'; choose refuse, negative or drop"):
        LayoutOptions(unlabelled="maybe")
