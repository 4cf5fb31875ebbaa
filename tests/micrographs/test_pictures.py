"""Of a file with several pictures the full-size one is read, and what is left out is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from phaseguide.micrographs import read_label_map, read_micrograph

RNG = np.random.default_rng(0)
FULL = RNG.integers(0, 256, (48, 64), dtype=np.uint8)
THUMB = FULL[::6, ::8]


def write(path: Path, *pages: NDArray[Any], **options: Any) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for page in pages:
            tiff.write(page, **options)
    return path


@pytest.mark.parametrize("options", [{}, {"metadata": None}], ids=["as tifffile writes", "as others do"])
@pytest.mark.parametrize("pages", [(THUMB, FULL), (FULL, THUMB)], ids=["thumbnail first", "last"])
def test_the_full_size_is_read_and_the_thumbnail_named(
    tmp_path: Path, pages: tuple[NDArray[Any], ...], options: dict[str, Any]
) -> None:
    image = read_micrograph(write(tmp_path / "a.tif", *pages, **options))
    np.testing.assert_array_equal(image.data, FULL)
    (notice,) = image.notices
    number = 1 + (pages[0] is FULL)
    assert "64 x 48 px" in notice and "8 x 8 px" in notice
    assert f"page {number}" in notice or "a smaller copy" in notice
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif"), FULL)


def test_equal_pages_are_a_stack_with_a_thumbnail_in_their_midst(tmp_path: Path) -> None:
    pages = [FULL // k for k in range(1, 11)]
    image = read_micrograph(write(tmp_path / "a.tif", *pages[:4], THUMB, *pages[4:]))
    np.testing.assert_array_equal(image.data, pages)
    assert "page 5 (8 x 8 px)" in image.notices[0]
    assert read_micrograph(write(tmp_path / "b.tif", *pages, metadata=None)).notices == ()


def test_pyramids_give_their_full_size(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(FULL, subifds=2)
        tiff.write(FULL[::2, ::2], subfiletype=1)
        tiff.write(FULL[::4, ::4], subfiletype=1)
    write(tmp_path / "b.tif", FULL, FULL[::2, ::2], FULL[::4, ::4], metadata=None)
    with tifffile.TiffWriter(tmp_path / "c.tif") as tiff:  # the full size below a preview, as raw formats do
        tiff.write(FULL[::4, ::4], subifds=1, metadata=None)
        tiff.write(FULL, metadata=None)
    for name in "abc":
        image = read_micrograph(tmp_path / f"{name}.tif")
        np.testing.assert_array_equal(image.data, FULL)
        assert "16 x 12 px" in image.notices[0]


def test_a_mask_or_another_kind_of_the_same_size_is_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(FULL > 9, photometric="mask", metadata=None)
        tiff.write(FULL, metadata=None)
        tiff.write(np.dstack([FULL] * 3), photometric="rgb", metadata=None)
    image = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, FULL)
    assert "page 1 (64 x 48 px), page 3 (64 x 48 px)" in image.notices[0]


def test_the_scale_is_that_of_the_picture_that_is_read(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        tiff.write(THUMB, metadata={"PhysicalSizeX": 8, "PhysicalSizeY": 8})
        tiff.write(FULL, metadata={"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    assert read_micrograph(tmp_path / "a.ome.tif").pixel_size_um == 0.5
    with tifffile.TiffWriter(tmp_path / "b.tif") as tiff:
        tiff.write(THUMB, resolution=(2e5, 2e5), resolutionunit="CENTIMETER")
        tiff.write(FULL, resolution=(4e4, 4e4), resolutionunit="CENTIMETER")
    assert read_micrograph(tmp_path / "b.tif").pixel_size_um == pytest.approx(0.25)


@pytest.mark.parametrize(
    "options", [{"ome": True, "metadata": {"axes": "CYX"}}, {"imagej": True, "metadata": {"axes": "CYX"}}]
)
def test_channels_are_told_from_planes(tmp_path: Path, options: dict[str, Any]) -> None:
    stored = np.stack([FULL, FULL // 2])
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    image = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, stored)
    assert "2 channels" in image.notices[0]
    tifffile.imwrite(
        tmp_path / "b.tif", np.dstack([FULL, FULL // 2]), photometric="minisblack", planarconfig="contig"
    )
    second = read_micrograph(tmp_path / "b.tif")
    np.testing.assert_array_equal(second.data, FULL)
    assert "second channel" in second.notices[0]


def test_a_file_never_opens_another_that_it_names(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "other.tif", FULL // 3)
    text = tifffile.OmeXml()
    text.addimage(np.uint8, (2, 48, 64), (2, 1, 1, 48, 64, 1), axes="ZYX")
    xml = text.tostring().replace(
        '<TiffData IFD="0" PlaneCount="2"/>',
        '<TiffData IFD="0"/><TiffData FirstZ="1"><UUID FileName="other.tif">urn:uuid:1</UUID></TiffData>',
    )
    assert "other.tif" in xml
    tifffile.imwrite(tmp_path / "a.ome.tif", FULL, description=xml, metadata=None)
    image = read_micrograph(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.data, FULL)
    assert "further files" in image.notices[0]


@pytest.mark.parametrize("end", ["gif", "png", "webp"])
def test_of_moving_pictures_the_first_is_read(tmp_path: Path, end: str) -> None:
    first, *rest = (Image.fromarray(FULL // k) for k in (1, 2, 3))
    options: dict[str, Any] = {"lossless": True} if end == "webp" else {}
    first.save(tmp_path / f"a.{end}", save_all=True, append_images=rest, **options)
    image = read_micrograph(tmp_path / f"a.{end}")
    np.testing.assert_array_equal(image.data, FULL)
    assert "3 pictures" in image.notices[0]
