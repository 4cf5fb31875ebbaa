"""What annotation tools write, in small copies: the same island from each, and every bad entry named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layout_copies import (
    HOLE,
    ISLAND,
    SIZE,
    coco,
    coco_data,
    colour_masks,
    corners,
    cvat,
    feature,
    grey,
    imagej,
    inside,
    labelme,
    points_text,
    qupath,
    save,
    shape,
)
from phaseguide.datasets.layouts.registry import open_layout
from phaseguide.datasets.reading.base import Field
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.errors import PhaseguideError

FLAT = [float(n) for pair in corners() for n in pair]


def read(folder: Path, **options: Any) -> dict[str, Field]:
    return {entry.stem: entry.read() for entry in open_layout(folder, LayoutOptions(**options)).entries}


def refuses(folder: Path, words: str, **options: Any) -> None:
    with pytest.raises(PhaseguideError, match=words):
        read(folder, **options)


@pytest.mark.parametrize(
    ("make", "name", "phases"),
    [
        (coco, "coco", ("background", "ferrite", "bainite")),
        (cvat, "cvat", ("background", "ferrite", "bainite")),
        (labelme, "labelme", ("background", "bainite")),
        (imagej, "imagej", ("background", "bainite", "ferrite")),
    ],
)
def test_an_island_is_the_same_pixels_in_every_format(
    tmp_path: Path, make: Callable[[Path], Path], name: str, phases: tuple[str, ...]
) -> None:
    listing = open_layout(make(tmp_path))
    assert listing.about.name == name and listing.scheme.names == phases
    labels = listing.entries[0].read().labels
    np.testing.assert_array_equal(labels == listing.scheme.find("bainite").label, inside())
    open_ = read(tmp_path, background="none")[listing.entries[0].stem].labels
    assert open_[0, 0] == 0


def test_what_the_user_says_of_phases_comes_first(tmp_path: Path) -> None:
    listing = open_layout(
        coco(tmp_path), LayoutOptions(phases=("bainite", "ferrite", "rest"), background="rest")
    )
    assert [entry.read().labels[0, 0] for entry in listing.entries] == [3, 3]
    assert (listing.entries[0].read().labels == 1)[inside()].all()
    refuses(
        tmp_path,
        r"annotation 12: 'ferrite' is none of the phases 1 bainite",
        phases=("bainite",),
        background="none",
    )


def test_several_coco_files_are_splits(tmp_path: Path) -> None:
    data = coco_data()
    coco(tmp_path, {**data, "images": data["images"][:1], "annotations": data["annotations"][:1]})
    second = {**data, "images": data["images"][1:], "annotations": data["annotations"][1:]}
    (tmp_path / "annotations" / "val.json").write_text(json.dumps(second))
    assert open_layout(tmp_path).groups == {"instances": ("a",), "val": ("b",)}


@pytest.mark.parametrize("compressed", [False, True])
def test_coco_run_lengths(tmp_path: Path, compressed: bool) -> None:
    flat = inside().T.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    counts: Any = np.diff([0, *edges, flat.size]).tolist()
    if compressed:
        counts = compress(counts)
    data = coco_data()
    data["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": counts}
    np.testing.assert_array_equal(read(coco(tmp_path, data))["a"].labels == 3, inside())
    data["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": counts[:-3]}
    refuses(coco(tmp_path, data), "annotation 11: its run lengths (cover|are cut)")


def compress(counts: list[int]) -> str:
    """COCO's own way, from the description of its format."""
    text = ""
    for i, count in enumerate(counts):
        value, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + 48 + (32 if more else 0))
    return text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segmentation": [FLAT[:-1]]}, "annotation 11: its segmentation is not a list"),
        ({"segmentation": [FLAT[:4]]}, "annotation 11: the polygon .bainite. has 2 corners"),
        ({"segmentation": []}, "annotation 11: has no segmentation, only a box"),
        ({"image_id": 99}, "annotation 11: belongs to image 99"),
        ({"category_id": 99}, "annotation 11: has category 99"),
        ({"category_id": "x"}, "annotation 11: its category_id is 'x'"),
        ({"segmentation": [[*FLAT[:-2], 5.0, 700.0]]}, "annotation 11: .* corner at x = 5, y = 700, outside"),
    ],
)
def test_bad_coco_entries_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    data = coco_data()
    data["annotations"][0] |= change
    refuses(coco(tmp_path, data), rf"instances\.json, {words}")


def test_coco_images_must_be_there_and_of_their_size(tmp_path: Path) -> None:
    data = coco_data()
    data["images"][1]["height"] = 41
    refuses(
        coco(tmp_path, data),
        r"instances\.json, image 8: is made for an image of 41 x 60 px, but .*b\.png is 40 x 60",
    )
    data["images"][1]["file_name"] = "../../zzz.png"
    refuses(coco(tmp_path, data), r"image 8: the image '../../zzz\.png' is not in")
    (tmp_path / "annotations" / "instances.json").write_text(json.dumps(coco_data())[:-40])
    refuses(tmp_path, r"instances\.json: is not sound JSON")


def test_run_lengths_are_compared_with_the_image_where_the_file_tells_no_size(tmp_path: Path) -> None:
    data = coco_data()
    for row in data["images"]:
        del row["height"], row["width"]
    data["annotations"][0]["segmentation"] = {"size": [10**5, 10**5], "counts": [0, 10**10]}
    # Before they are unrolled, which would want 10 GB.
    refuses(
        coco(tmp_path, data), r"image 7: is made for an image of 100000 x 100000 px, but .*a\.png is 40 x 60"
    )
    data["annotations"][0]["segmentation"] = {"counts": [0, 9]}
    refuses(coco(tmp_path, data), r"annotation 11: its run lengths have no size")


def test_two_images_of_one_name_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    data = coco_data()
    data["images"][0]["file_name"] = "one/x.png"
    data["images"][1]["file_name"] = "x.png"
    for folder in ("one", "two"):
        save(tmp_path / folder / "x.png", grey(1))
    refuses(coco(tmp_path, data), r"image 8: the image 'x\.png' could be one/x\.png or two/x\.png")
    data["images"][1]["file_name"] = "two/x.png"
    refuses(coco(tmp_path, data), "two/x.png have the same name, x")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (shape("bainite", [[1, 1], [5, 5]]), "shape 1: the polygon .* has 2 corners"),
        (
            shape("bainite", [[1, 1], [5, 5]], "line"),
            "shape 1: is a line with 2 points, which covers no area",
        ),
        (shape("", corners()), "shape 1: has no label"),
        (shape("bainite", [[1, 1], ["x", 5], [3, 3]]), "shape 1: its corners are not pairs"),
        (shape("bainite", [[1, 1], [3, 3], [5, 5]]), "shape 1: .* no area"),
    ],
)
def test_bad_labelme_shapes_are_named(tmp_path: Path, told: dict[str, Any], words: str) -> None:
    refuses(labelme(tmp_path, [told]), rf"a\.json, {words}", unlabelled="drop")


def test_labelme_rectangles_and_circles(tmp_path: Path) -> None:
    box = shape("bainite", [ISLAND[:2], ISLAND[2:]], "rectangle")
    labels = read(labelme(tmp_path, [box, shape("pore", [[45, 20], [45, 26]], "circle")]))["a"].labels
    np.testing.assert_array_equal(labels == 2, inside())
    assert (labels == 3).sum() == pytest.approx(np.pi * 36, rel=0.06)


def test_excluded_is_no_phase(tmp_path: Path) -> None:
    listing = open_layout(labelme(tmp_path, [shape("excluded", corners()), shape("bainite", corners(HOLE))]))
    assert listing.scheme.names == ("background", "bainite")
    labels = listing.entries[0].read().labels
    np.testing.assert_array_equal(labels == 255, inside() & ~inside(HOLE))


def test_a_labelme_image_without_shapes(tmp_path: Path) -> None:
    labelme(labelme(tmp_path), [], "b")
    save(tmp_path / "c.png", grey(3))
    refuses(tmp_path, r"b\.png: is without any label \(2 such images")
    assert sorted(read(tmp_path, unlabelled="negative")) == ["a", "b", "c"]
    assert sorted(read(tmp_path, unlabelled="drop")) == ["a"]


def test_cvat_colours_splits_and_lines(tmp_path: Path) -> None:
    listing = open_layout(cvat(tmp_path))
    assert listing.groups == {"train": ("a",), "test": ("b",)}
    assert [phase.colour for phase in listing.scheme][1:] == ["#33ddff", "#fa3253"]
    np.testing.assert_array_equal(listing.entries[1].read().labels == 2, inside())
    text = (tmp_path / "annotations.xml").read_text()
    (tmp_path / "annotations.xml").write_text(text[: text.index("<box")])
    refuses(tmp_path, r"annotations\.xml, line 11: is not sound XML")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ('<polygon label="bainite" points="1,2;3"/>', "line 8: its points are not a list"),
        ('<polygon label="bainite" points="1,2;3,4"/>', "line 8: the polygon .bainite. has 2 corners"),
        ('<polyline label="bainite" points="1,2;3,4"/>', "line 8: is a polyline"),
        (
            f'<polygon label="bainite" points="{points_text((10, 5, 61.5, 25))}"/>',
            "line 8: .* outside of the image",
        ),
    ],
)
def test_bad_cvat_shapes_are_named(tmp_path: Path, told: str, words: str) -> None:
    refuses(cvat(tmp_path, told), rf"annotations\.xml, {words}")


def test_cvat_shapes_lie_in_their_order(tmp_path: Path) -> None:
    above = f'<polygon label="ferrite" points="{points_text(HOLE)}" z_order="1"/>'
    below = f'<polygon label="bainite" points="{points_text()}" z_order="0"/>'
    field = read(cvat(tmp_path, above + below))["a"]
    np.testing.assert_array_equal(field.labels == 2, inside(HOLE))
    assert "50 pixels lie in polygons of several phases" in field.notices[0]


def test_qupath_holes_and_colours(tmp_path: Path) -> None:
    listing = open_layout(qupath(tmp_path))
    assert listing.about.name == "qupath"
    assert [phase.colour for phase in listing.scheme][1] == "#fa3e3e"
    np.testing.assert_array_equal(listing.entries[0].read().labels == 2, inside() & ~inside(HOLE))
    several = feature("bainite", [[corners()], [corners((40, 28, 50, 35))]], "MultiPolygon")
    labels = read(qupath(tmp_path, [several]))["a"].labels
    np.testing.assert_array_equal(labels == 2, inside() | inside((40, 28, 50, 35)))


def test_qupath_outlines_without_a_class_or_an_area(tmp_path: Path) -> None:
    refuses(qupath(tmp_path, [feature(None, [corners()])]), r"a\.geojson, feature 1: has no classification")
    assert (read(tmp_path, unnamed="bainite")["a"].labels == 2).sum() == inside().sum()
    refuses(qupath(tmp_path, [feature("b", [1, 2], "Point")]), "feature 1: is a Point, which covers no area")


def test_imagej_names_shapes_and_damage(tmp_path: Path) -> None:
    import roifile

    data = roifile.ImagejRoi.frompoints(np.array(corners())).tobytes()
    refuses(imagej(tmp_path, {"0012-0034": data}), "ROI 0012-0034: has the name that ImageJ gave it")
    np.testing.assert_array_equal(read(tmp_path, unnamed="bainite")["a"].labels == 2, inside())
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=2, x2=9, y2=9).tobytes()
    refuses(imagej(tmp_path, {"bainite": line}), "ROI bainite: is a line, which covers no area")
    refuses(imagej(tmp_path, {"bainite": data[:20]}), "ROI bainite: is no sound ROI")
    whole = (imagej(tmp_path, {"bainite": data}) / "a_RoiSet.zip").read_bytes()
    locked = bytearray(whole)
    locked[6] |= 1  # the flag of a password, before the data and in the table at the end
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a_RoiSet.zip").write_bytes(locked)
    refuses(tmp_path, "ROI bainite: cannot be unpacked .*without a password")


def test_a_missing_package_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.datasets.reading import packages

    imagej(tmp_path)
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    refuses(tmp_path, r"needs the package roifile.*napari-phaseguide\[data\]")


def test_colours_of_8_and_16_bits(tmp_path: Path) -> None:
    listing = open_layout(colour_masks(tmp_path))
    assert listing.about.name == "colour-masks" and listing.scheme.names == ("ferrite", "bainite")
    np.testing.assert_array_equal(listing.entries[0].read().labels == 2, inside())
    deep = np.zeros((*SIZE, 3), np.uint16)
    deep[..., 0] = 65535
    deep[inside()] = (0, 0, 0)
    (tmp_path / "masks" / "a_mask.png").unlink()
    save(tmp_path / "masks" / "a.tif", deep)
    np.testing.assert_array_equal(read(tmp_path)["a"].labels == 255, inside())
    deep[0, 0] = 1000
    save(tmp_path / "masks" / "a.tif", deep)
    refuses(tmp_path, r"a\.tif: has 16-bit values such as 1000")


def test_near_colours_of_smoothed_edges_are_named_and_never_guessed(tmp_path: Path) -> None:
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[..., 0] = 255
    mask[inside()] = (0, 0, 255)
    mask[5:8, 9] = (128, 0, 127)
    mask[30, 50] = (250, 5, 0)
    colour_masks(tmp_path, mask)
    refuses(
        tmp_path,
        r"a_mask\.png: 4 pixels have a colour .* #80007f \(3 px\), a mix of ferrite and bainite as on smoothed edges; "
        r"#fa0500 \(1 px\), near ferrite #ff0000",
    )
    field = read(tmp_path, unknown_colours="nearest")["a"]
    assert "4 pixels of 2 unknown colours went to the nearest: ferrite 4" in field.notices[0]
    assert (read(tmp_path, unknown_colours="unclassified")["a"].labels == 0).sum() == 4


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("colour,phase\n#ff0000\n", r"colours\.csv, line 2: is not a colour and a phase"),
        ("colour,phase\n#ff0000,a\nred,b\n", r"colours\.csv, line 3: is not a colour"),
        ("#ff0000,a\n#ff0000,b\n", r"colours\.csv, line 2: the colour #ff0000 stands for a too"),
        ("colour,phase\n", r"colours\.csv: names no phase"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, table: str, words: str) -> None:
    refuses(colour_masks(tmp_path, table=table), words)


def test_a_scheme_serves_as_a_table_and_sizes_must_fit(tmp_path: Path) -> None:
    colour_masks(tmp_path)
    scheme = {
        "phases": [
            {"label": 1, "name": "b", "color": "#0000ff"},
            {"label": 2, "name": "f", "color": "#ff0000"},
        ]
    }
    (tmp_path / "other.json").write_text(json.dumps(scheme))
    labels = read(tmp_path, colours=str(tmp_path / "other.json"))["a"].labels
    np.testing.assert_array_equal(labels == 1, inside())
    save(tmp_path / "images" / "a.png", grey(1, (40, 61)))
    refuses(tmp_path, r"a_mask\.png: is 40 x 60 px, but its image a\.png is 40 x 61 px")


def test_label_maps_of_16_bits_and_a_missing_scheme(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.tif", grey(1))
    save(tmp_path / "labels" / "a.tif", np.full(SIZE, 2, np.uint16))
    refuses(tmp_path, r"has no scheme\.json .* --phases")
    assert (read(tmp_path, phases=("x", "y"))["a"].labels == 2).all()
    save(tmp_path / "labels" / "a.tif", np.full(SIZE, 300, np.uint16))
    refuses(tmp_path, r"a\.tif: label values run from 300 to 300", phases=("x", "y"))


def test_own_folds_must_name_images_that_are_there(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.tif", grey(1))
    save(tmp_path / "labels" / "a.tif", np.ones(SIZE, np.uint8))
    (tmp_path / "folds.json").write_text(json.dumps({"A": ["a"], "B": ["b"]}))
    refuses(tmp_path, r"folds\.json: fold B names the image b", phases=("x",))
    (tmp_path / "folds.json").write_text("[1]")
    refuses(tmp_path, r"folds\.json: is not a file of folds", phases=("x",))
