"""Micrographs of every usual kind are read with values, scale and information bar, or refused by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from phaseguide.errors import MicrographError
from phaseguide.micrographs import read_micrograph, reading

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 80), dtype=np.uint8)
RGB = RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)
ALPHA = np.full((60, 80, 1), 128, np.uint8)

FEI = (
    "[Scan]\r\nPixelWidth={0}e-9\r\nPixelHeight={1}e-9\r\n"
    "[Image]\r\nResolutionY={2}\r\n[PrivateFei]\r\nDatabarHeight=14\r\n"
)


# --- values ---


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (GREY, GREY),
        (RGB, RGB),
        (np.concatenate([RGB, ALPHA], axis=-1), RGB),
        (np.repeat(GREY[..., None], 3, axis=-1), GREY),
        (GREY > 99, ((GREY > 99) * 255).astype(np.uint8)),
    ],
    ids=["grey", "rgb", "rgba", "grey saved as rgb", "black and white"],
)
def test_eight_bit(tmp_path: Path, suffix: str, stored: NDArray[Any], expected: NDArray[np.uint8]) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(stored).save(path)
    image = read_micrograph(path)
    assert image.data.dtype == np.uint8
    np.testing.assert_array_equal(image.data, expected)
    assert image.is_rgb == (expected.ndim == 3)
    assert not image.is_stack
    assert image.path == path
    assert (image.pixel_size_um, image.scale_source, image.info_bar_rows) == (None, "scale unknown", 0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_with_alpha(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(np.concatenate([GREY[..., None], ALPHA], axis=-1)).save(path)
    np.testing.assert_array_equal(read_micrograph(path).data, GREY)


def test_sixteen_bit_png_and_jpeg_and_palette(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 200
    Image.fromarray(deep).save(tmp_path / "deep.png")
    read = read_micrograph(tmp_path / "deep.png").data
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, deep)
    Image.fromarray(GREY).save(tmp_path / "a.jpg", quality=95)
    assert read_micrograph(tmp_path / "a.jpg").data.shape == (60, 80)
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "p.png").data, GREY)


@pytest.mark.parametrize(
    ("stored", "expected_type"),
    [
        (GREY.astype(np.uint16) * 257, np.uint16),
        (GREY.astype(np.float32) / 7, np.float32),
        (GREY.astype(np.float64) / 8, np.float32),
        (GREY.astype(np.float16) / 8, np.float32),
        (GREY.astype(np.int16), np.uint16),
        (GREY.astype(np.int16) - 100, np.float32),
        (GREY.astype(np.uint32), np.uint16),
        (GREY.astype(np.uint32) * 1000, np.float32),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_types(tmp_path: Path, stored: NDArray[Any], expected_type: type, byteorder: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stored, byteorder=byteorder)
    read = read_micrograph(tmp_path / "a.tif").data
    assert read.dtype == expected_type
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, stored)


def test_complex_values_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "fft.tif", GREY.astype(np.complex64))
    with pytest.raises(MicrographError, match=r"fft\.tif.*complex64"):
        read_micrograph(tmp_path / "fft.tif")


def test_many_channels_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "eds.tif", np.zeros((9, 9, 7), np.uint8), photometric="rgb")
    with pytest.raises(MicrographError, match=r"eds\.tif: has 7 channels"):
        read_micrograph(tmp_path / "eds.tif")


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((5, 60, 80), {}, (5, 60, 80)),
        ((1, 60, 80), {}, (60, 80)),
        ((60, 80, 1), {}, (60, 80)),
        ((4, 60, 80, 3), {"photometric": "rgb"}, (4, 60, 80, 3)),
        ((3, 60, 80), {"photometric": "rgb", "planarconfig": "separate"}, (60, 80, 3)),
        ((2, 3, 60, 80), {"photometric": "minisblack"}, (6, 60, 80)),
        ((1, 2, 60, 80), {"imagej": True, "metadata": {"axes": "TZYX"}}, (2, 60, 80)),
        ((3, 60, 80), {"ome": True, "metadata": {"axes": "ZYX"}}, (3, 60, 80)),
    ],
)
def test_stacks_and_axes(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], expected: tuple[int, ...]
) -> None:
    stored = RNG.integers(0, 256, shape, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    image = read_micrograph(tmp_path / "a.tif")
    assert image.data.shape == expected
    assert image.is_rgb == (expected[-1] == 3)
    assert image.is_stack == (len(expected) - image.is_rgb == 3)
    if expected[-1] != 3:
        np.testing.assert_array_equal(image.data, stored.reshape(expected))


def test_pages_of_other_size_are_thumbnails(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY)
        writer.write(GREY[::4, ::4])
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").data, GREY)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_compressed_tiff_needs_no_extra_package(tmp_path: Path, compression: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").data, GREY)
    pages = [Image.fromarray(GREY // k) for k in (1, 2, 3)]
    pages[0].save(tmp_path / "b.tif", compression=compression, save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_micrograph(tmp_path / "b.tif").data, [GREY, GREY // 2, GREY // 3])


def test_inverted_grey_scale_is_shown_upright(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 255 - GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").data, GREY)


def test_the_content_counts_not_the_suffix(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_micrograph(str(tmp_path / "a.tif")).data, GREY)


# --- scale ---


@pytest.mark.parametrize("tag", [34680, 34682])
def test_fei_scale_and_bar(tmp_path: Path, tag: int) -> None:
    header = FEI.format(3.5, 3.5, 46)
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(tag, "s", 0, header, True)], resolution=(72, 72))
    image = read_micrograph(tmp_path / "a.tif")
    assert image.pixel_size_um == pytest.approx(3.5e-3)
    assert image.scale_source == "FEI/Thermo metadata"
    assert image.info_bar_rows == 14  # as recorded: 46 + 14 rows


def test_fei_bar_that_was_cropped_away_is_not_believed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(34682, "s", 0, FEI.format(3.5, 3.5, 60), True)])
    assert read_micrograph(tmp_path / "a.tif").info_bar_rows == 0


def test_pixels_that_are_not_square_have_no_scale(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(34682, "s", 0, FEI.format(3.5, 4.5, 60), True)])
    assert read_micrograph(tmp_path / "a.tif").pixel_size_um is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 11.16 nm", 0.01116),
        ("AP_PIXEL_SIZE\r\nPixel Size = 1.25 µm", 1.25),
        ("AP_PIXEL_SIZE\r\nPixel Size = 1,25 µm", 1.25),
        ("AP_PIXEL_SIZE\r\nPixel Size = 1.25 \xc2\xb5m", 1.25),
        ("AP_PIXEL_SIZE\r\nPixel Size = 640 pm", 0.00064),
        ("AP_PIXEL_SIZE\r\nPixel Size = none", None),
        ("AP_WD\r\nWD = 5.2 mm", None),
    ],
)
def test_zeiss_scale(tmp_path: Path, entry: str, expected: float | None) -> None:
    header = f"0\r\n1.5e-8\r\n{entry}\r\nDP_DETECTOR\r\nDetector = BSD".encode("latin-1")
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(34118, "s", 0, header, True)])
    image = read_micrograph(tmp_path / "a.tif")
    assert image.pixel_size_um == (None if expected is None else pytest.approx(expected))
    assert image.scale_source == ("scale unknown" if expected is None else "Zeiss metadata")


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("um", 8, 0.125),
        ("\\u00B5m", 8, 0.125),
        ("micron", 8, 0.125),
        ("nm", 0.05, 0.02),
        ("mm", 500, 2),
        ("pixel", 1, None),
    ],
)
def test_imagej_scale(tmp_path: Path, unit: str, per_unit: float, expected: float | None) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit}
    )
    image = read_micrograph(tmp_path / "a.tif")
    assert image.pixel_size_um == (None if expected is None else pytest.approx(expected))
    assert image.scale_source == ("scale unknown" if expected is None else "ImageJ metadata")


@pytest.mark.parametrize(
    ("unit", "size", "expected"), [("µm", 0.25, 0.25), ("nm", 5, 0.005), ("mm", 0.001, 1)]
)
def test_ome_scale(tmp_path: Path, unit: str, size: float, expected: float) -> None:
    metadata = {"axes": "ZYX", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit}
    metadata |= {"PhysicalSizeY": size, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.stack([GREY, GREY]), ome=True, metadata=metadata)
    image = read_micrograph(tmp_path / "a.ome.tif")
    assert image.pixel_size_um == pytest.approx(expected)
    assert image.scale_source == "OME metadata"


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20000, 20000), "CENTIMETER", 0.5),
        ((254000, 254000), "INCH", 0.1),
        ((20000, 10000), "CENTIMETER", None),
        ((20000, 20000), "NONE", None),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((600, 600), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_resolution_tags_count_only_if_credible(
    tmp_path: Path, resolution: tuple[float, float], unit: str, expected: float | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=resolution, resolutionunit=unit)
    image = read_micrograph(tmp_path / "a.tif")
    assert image.pixel_size_um == (None if expected is None else pytest.approx(expected))
    assert image.scale_source == ("scale unknown" if expected is None else "TIFF resolution tags")


def test_broken_metadata_costs_the_scale_not_the_image(tmp_path: Path) -> None:
    description = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/"><Pixels PhysicalSizeX="1'
    tifffile.imwrite(tmp_path / "a.tif", GREY, description=description, metadata=None)
    image = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, GREY)
    assert image.pixel_size_um is None


def test_bar_is_found_in_the_pixels(tmp_path: Path) -> None:
    image = np.vstack([GREY, GREY, np.zeros((12, 80), np.uint8)])
    image[-8:-4, 5:30] = 255
    tifffile.imwrite(tmp_path / "a.tif", np.stack([image, image]))
    assert read_micrograph(tmp_path / "a.tif").info_bar_rows == 12


# --- refusals ---


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(MicrographError, match=r"gone\.tif.*no such file"):
        read_micrograph(tmp_path / "gone.tif")
    with pytest.raises(MicrographError, match="is a folder"):
        read_micrograph(tmp_path)


@pytest.mark.parametrize("name", ["empty.tif", "empty.png"])
def test_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(MicrographError, match=f"{name}.*empty"):
        read_micrograph(tmp_path / name)


@pytest.mark.parametrize("content", [b"Mag = 1000\n", b"PK\x03\x04 a zip", b"\x00", b"II*\x00"])
def test_not_an_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes.tif").write_bytes(content)
    with pytest.raises(MicrographError, match=r"notes\.tif.*(not a readable image|damaged)"):
        read_micrograph(tmp_path / "notes.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "plain.tif", "zlib.tif", "lzw.tif"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_truncated(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    noise = RNG.integers(0, 256, (300, 300), dtype=np.uint8)
    if name == "plain.tif":
        tifffile.imwrite(path, noise)
    elif name == "zlib.tif":
        tifffile.imwrite(path, noise, compression="zlib")
    else:
        Image.fromarray(noise).save(path, **({"compression": "tiff_lzw"} if name == "lzw.tif" else {}))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(MicrographError, match=f"{name}.*(damaged|not a readable)"):
        read_micrograph(path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user who is not root")
def test_no_permission(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(MicrographError, match=r"a\.png.*cannot be read.*ermission"):
        read_micrograph(tmp_path / "a.png")


def test_real_micrographs(shared_data: Path) -> None:
    for path in sorted((shared_data / "uhcs" / "images").glob("*.png")):
        image = read_micrograph(path)
        assert (image.data.shape, image.data.dtype, image.info_bar_rows) == ((484, 645), np.uint8, 0)


def test_memory_that_runs_out_after_decoding_is_told_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(reading, "find_margins", too_large)
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(MicrographError, match=r"a\.png: there is not enough memory"):
        read_micrograph(tmp_path / "a.png")
