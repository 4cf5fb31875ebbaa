"""Bars and rims are found where they are, and never over metal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, rotate

from phaseguide.micrographs import Margins, find_margins, read_micrograph, rim
from phaseguide.phases import EXCLUDED

Plane = NDArray[np.uint8]


def texture(seed: int = 0, height: int = 300, width: int = 360) -> Plane:
    """Noisy lamellae, some of it saturated to black and white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    grey = 120 + 70 * np.sin(x / 9 + y / 25) + 30 * np.sin(y / 160) + rng.normal(0, 25, (height, width))
    return np.clip(grey, 0, 255).astype(np.uint8)


def bar(rows: int, width: int, paper: int = 0, ink: int = 255) -> Plane:
    picture = Image.new("L", (width, rows), paper)
    pen = ImageDraw.Draw(picture)
    pen.text((10, rows // 2 - 6), "20.00 kV   WD 8.1 mm   2.00 KX   BSE", fill=ink)
    pen.rectangle((width - 80, rows // 2, width - 20, rows // 2 + 3), fill=ink)
    return np.asarray(picture)


def excluded(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """What is proposed to be excluded of an image."""
    labels = find_margins(image).exclude(None, image.shape[:2])
    return np.zeros(image.shape[:2], dtype=bool) if labels is None else labels == EXCLUDED


def fits(found: NDArray[np.bool_], empty: NDArray[np.bool_], slack: int = 2) -> bool:
    """Whether all that is empty was found, but for a few px at its edge, and no metal beyond that.

    Single px of metal at the edge may have the very value of the rim.
    """
    beyond = found & ~binary_dilation(empty, iterations=slack)
    return bool(beyond.sum() <= 2e-4 * found.size and (found & empty).sum() > 0.97 * empty.sum())


@pytest.mark.parametrize("value", [0, 255, 128])
@pytest.mark.parametrize("edges", ["all", "left", "corner"])
def test_a_frame(value: int, edges: str) -> None:
    image, empty = texture(), np.zeros((300, 360), dtype=bool)
    if edges == "all":
        empty[:20] = empty[-30:] = empty[:, :25] = empty[:, -10:] = True
    elif edges == "left":
        empty[:, :40] = True
    else:  # of a field that was stitched from tiles
        empty[:110, 200:] = True
    image[empty] = value
    assert fits(excluded(image), empty, slack=1)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("degrees", [3.0, -7.5, 20.0])
@pytest.mark.parametrize("reshape", [True, False])
def test_a_turned_picture(value: int, degrees: float, reshape: bool) -> None:
    image = rotate(texture(), degrees, reshape=reshape, order=1, cval=value)
    empty = rotate(np.ones((300, 360), np.float32), degrees, reshape=reshape, order=1, cval=0) < 0.5
    assert fits(excluded(image), empty)


def test_a_rim_after_jpeg() -> None:
    image, empty = texture(), np.zeros((300, 360), dtype=bool)
    empty[:, :48] = True
    image[empty] = 0
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    assert fits(excluded(np.asarray(Image.open(buffer))), empty, slack=8)


def test_other_types_colours_and_what_is_no_number() -> None:
    image, empty = texture(), np.zeros((300, 360), dtype=bool)
    empty[:, :40] = True
    image[empty] = 0
    for same in (image.astype(np.uint16) * 100 + 500, image.astype(np.float32) / 255, np.dstack([image] * 3)):
        assert fits(excluded(same), empty, slack=1)
    floats = texture().astype(np.float32)
    floats[empty] = np.nan
    assert fits(excluded(floats), empty, slack=1)


def test_a_large_picture_is_looked_at_in_every_nth_row_and_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rim, "_LARGEST_SIDE", 200)
    image, empty = texture(), np.zeros((300, 360), dtype=bool)
    empty[:, :101] = True
    image[empty] = 0
    assert fits(excluded(image), empty, slack=2)


def test_bars_within_a_frame_and_at_both_ends() -> None:
    image = np.vstack([bar(30, 360), texture(), bar(40, 360, 255, 0)])
    margins = find_margins(image)
    assert (margins.top, margins.bottom, margins.rim) == (30, 40, None)
    framed = np.pad(image, ((0, 0), (30, 30)), constant_values=128)
    empty = np.pad(np.zeros_like(texture(), dtype=bool), ((30, 40), (30, 30)), constant_values=True)
    assert fits(excluded(framed), empty, slack=1)


def _void(kind: str) -> Plane:
    image = texture()
    rows, columns = np.mgrid[:300, :360]
    if kind == "crack":
        image[np.abs(columns - 150 - 12 * np.sin(rows / 15) - rows / 3) < 6] = 0
    elif kind == "pore":
        image[np.hypot(rows - 300, columns - 200) < 70] = 0
    elif kind == "corner":
        image[np.hypot(rows, columns) < 120] = 0
    elif kind == "carbide":
        image[(np.hypot((rows - 0) / 2, columns - 250) < 40)] = 255
    elif kind == "blank":
        image = np.clip(np.random.default_rng(0).normal(230, 12, (300, 360)), 0, 255).astype(np.uint8)
    elif kind == "resin":
        edge = 240 + (6 * np.sin(np.arange(360) / 30)).astype(int)
        image[rows > edge] = 0
    return image


@pytest.mark.parametrize("kind", ["texture", "crack", "pore", "corner", "carbide", "blank", "resin"])
def test_metal_is_no_rim(kind: str) -> None:
    for turn in range(4):
        assert not find_margins(np.rot90(_void(kind), turn))


def test_real_micrographs_have_neither(shared_data: Path) -> None:
    found = {}
    for file in sorted(shared_data.glob("**/images/*.png")):
        image = np.asarray(Image.open(file))
        cut = np.rot90(image[37 : 37 + 300, 11 : 11 + 350])
        for name, same in (("", image), (" cut and turned", cut)):
            if margins := find_margins(same):
                found[file.name + name] = margins.parts()
    assert found == {}


def test_frames_around_real_micrographs(shared_data: Path) -> None:
    wrong = []
    for number, file in enumerate(sorted(shared_data.glob("**/images/*.png"))[::6]):
        image = np.asarray(Image.open(file))
        value = 255 * (number % 2)
        turned = rotate(image, 4.0, reshape=True, order=1, cval=value)
        empty = rotate(np.ones(image.shape, np.float32), 4.0, reshape=True, order=1, cval=0) < 0.5
        wrong += [] if fits(excluded(turned), empty, slack=3) else [file.name]
    assert wrong == []


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_what_cannot_be_seen_at_all_is_a_rim(tmp_path: Path, mode: str, suffix: str) -> None:
    image = Image.fromarray(texture()).convert(mode)
    alpha = np.full((300, 360), 255, np.uint8)
    alpha[:60, :50], alpha[200:, 200:] = 0, 100
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / f"a.{suffix}")
    micrograph = read_micrograph(tmp_path / f"a.{suffix}")
    assert micrograph.empty_rim is not None and np.array_equal(micrograph.empty_rim, alpha == 0)
    image.putalpha(0)  # not a picture of nothing: a channel that somebody forgot to fill
    image.save(tmp_path / f"b.{suffix}")
    assert not read_micrograph(tmp_path / f"b.{suffix}").margins


@pytest.mark.parametrize(("mode", "deep"), [("L", False), ("L", True), ("RGB", False)])
def test_a_png_may_name_one_value_as_transparent(tmp_path: Path, mode: str, deep: bool) -> None:
    grey = texture()
    grey[grey == 7] = 8
    grey[:60, :50] = 7
    pixels = grey.astype(np.uint16) * 257 if deep else grey
    value = int(pixels[0, 0])
    image = Image.fromarray(pixels)
    image = image if mode == "L" else image.convert("RGB")
    image.save(tmp_path / "a.png", transparency=value if mode == "L" else (value,) * 3)
    micrograph = read_micrograph(tmp_path / "a.png")
    assert np.array_equal(micrograph.data, pixels)
    assert micrograph.empty_rim is not None and np.array_equal(micrograph.empty_rim, grey == 7)


def test_turned_on_opening_the_transparent_part_is_turned_too(tmp_path: Path) -> None:
    image = Image.fromarray(texture()).convert("LA")
    alpha = np.full((300, 360), 255, np.uint8)
    alpha[:60, :50] = 0
    image.putalpha(Image.fromarray(alpha))
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "a.png", exif=exif)
    micrograph = read_micrograph(tmp_path / "a.png")
    assert micrograph.empty_rim is not None and micrograph.data.shape == (360, 300)
    assert np.array_equal(micrograph.empty_rim, np.rot90(alpha == 0, -1))


def test_each_plane_of_a_stack_has_its_own_rim(tmp_path: Path) -> None:
    """Planes that were shifted onto one another."""
    stack = np.stack([texture(i) for i in range(3)])
    stack[1, :, :20], stack[2, :, -35:] = 0, 0
    stack[:, -25:] = bar(25, 360)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert micrograph.info_bar_rows == 25 and micrograph.empty_rim is not None
    assert micrograph.margins.of_plane(0).rim is None
    first, second, third = micrograph.excluding(np.zeros(stack.shape, np.uint8)) == EXCLUDED
    assert (first[-25:].all(), first[:-25].any()) == (True, False)
    assert second[:, :20].all() and not second[:-25, 22:].any()
    assert third[:, -35:].all() and not third[:-25, :-37].any()


def test_what_was_painted_stays_and_labels_of_another_shape_too() -> None:
    left = np.zeros((10, 8), dtype=bool)
    left[:, 0] = True
    margins = Margins(3, 2, left)
    edits = np.zeros((10, 8), np.uint8)
    edits[0], edits[8] = 1, 2
    both = margins.exclude(edits, (10, 8))
    assert both[:, 5].tolist() == [1, 255, 0, 0, 0, 0, 0, 255, 2, 255]
    assert both[:, 0].tolist() == [1, 255, 255, 255, 255, 255, 255, 255, 2, 255]
    assert edits[1, 5] == 0
    assert margins.exclude(edits, (11, 8)) is edits and Margins().exclude(None, (10, 8)) is None
    assert "at the bottom (3 rows)" in margins.describe() and "empty rim (12 %" in margins.describe()
