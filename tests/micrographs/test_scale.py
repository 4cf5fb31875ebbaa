"""The size of a pixel is found where an instrument or ImageJ told it, and never invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from phaseguide.micrographs import read_micrograph
from phaseguide.micrographs.lengths import length_um

GREY = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 µm", 1), ("1 μm", 1), (r"1 \u00B5m", 1), (r"1 \u03BCm", 1), ("1 Âµm", 1), ("1 ?m", 1), ("1 \ufffdm", 1),
        ("1 um", 1), ("2 microns", 2), ("1 Micrometers", 1), ("1 micrometre", 1), ("1 MICRON", 1), ("1 мкм", 1),
        ("5 nm", 0.005), ("5 nanometres", 0.005), ("1 mm", 1e3), ("1 Millimeters", 1e3), ("1 cm", 1e4), ("1 m", 1e6),
        ("1 meter", 1e6), ("1 inch", 25400), ("2 inches", 50800), ("3 Å", 3e-4), ("3 Angstroms", 3e-4),
        ("0,25 µm", 0.25), ("2.5e-08 m", 0.025), ("1 pixel", None), ("1 pixels", None), ("1", None), ("nan um", None),
        ("inf um", None), ("1.234,5 nm", None), ("um", None), ("1 furlong", None), ("1 dim", None),
    ],
)  # fmt: skip
def test_units(text: str, expected: float | None) -> None:
    assert length_um(text) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("dpi", [72, 300, 600, 1200, 1440, 2400, 4800, 9600, 12800, 25400 / 1.01])
@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
@pytest.mark.parametrize("imagej", [False, True], ids=["tags", "taken over by ImageJ"])
def test_dots_of_prints_and_scans_are_no_scale(tmp_path: Path, dpi: float, unit: str, imagej: bool) -> None:
    dots = dpi if unit == "INCH" else dpi / 2.54
    more: dict[str, Any] = {"resolutionunit": unit}
    if imagej:
        more = {"imagej": True, "metadata": {"unit": "inch" if unit == "INCH" else "cm"}}
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(dots, dots), **more)
    image = read_micrograph(tmp_path / "a.tif")
    assert (image.pixel_size_um, image.scale_source) == (None, "scale unknown")
    Image.fromarray(GREY).save(tmp_path / "a.png", dpi=(dpi, dpi))
    assert read_micrograph(tmp_path / "a.png").pixel_size_um is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"unit": "um", "yunit": "mm"},
        {"unit": "pixel"},
        {"unit": ""},
        {"unit": "m"},  # 125 mm a pixel
    ],
)
def test_imagej_scales_that_cannot_be_meant(tmp_path: Path, metadata: dict[str, str]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, resolution=(8, 8), metadata=metadata)
    assert read_micrograph(tmp_path / "a.tif").pixel_size_um is None


@pytest.mark.parametrize("value", ["0", "-3e-8", "nan", "inf", "1e9", "3e-8 m", "zero"])
def test_absurd_values_of_instruments_are_unknown(tmp_path: Path, value: str) -> None:
    header = f"[MAIN]\r\nPixelSizeX={value}\r\nPixelSizeY={value}\r\n".encode()
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(50431, "B", len(header), header, True)])
    assert read_micrograph(tmp_path / "a.tif").pixel_size_um is None


def test_tescan_header_in_the_file(tmp_path: Path) -> None:
    for x, y, expected in (("2.5e-08", "2.5e-08", 0.025), ("2.5e-08", "3.5e-08", None)):
        header = b"\0\1\2" + f"[MAIN]\r\nDevice=VEGA\r\nPixelSizeX={x}\r\nPixelSizeY={y}\r\n".encode()
        tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(50431, "B", len(header), header, True)])
        assert read_micrograph(tmp_path / "a.tif").pixel_size_um == (expected and pytest.approx(expected))


def test_a_record_about_another_width_is_not_about_these_pixels(tmp_path: Path) -> None:
    fei = "[Scan]\r\nPixelWidth=3e-9\r\nPixelHeight=3e-9\r\n[Image]\r\nResolutionX={}\r\n"
    zeiss = "0\r\n1\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 3 nm\r\n"
    zeiss += "DP_IMAGE_STORE\r\nStore resolution = {} * 60\r\n"
    for width, expected in ((80, 0.003), (160, None)):
        for tag, header in ((34682, fei), (34118, zeiss)):
            text = header.format(width)
            tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(tag, "s", 0, text, True)])
            assert read_micrograph(tmp_path / "a.tif").pixel_size_um == (expected and pytest.approx(expected))


TESCAN = "[MAIN]\nDevice=MIRA\nPixelSizeX={}\nPixelSizeY={}\n"
JEOL = "$CM_FORMAT 1\n$CM_FULL_SIZE {} 60\n$$SM_MICRON_BAR 40\n$$SM_MICRON_MARKER {}\n"
HITACHI = "[SemImageFile]\nInstructName=SU5000\nDataSize={}x60\nPixelSize={}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    ("name", "text", "expected", "source"),
    [
        ("a.hdr", TESCAN.format("2.5e-08", "2.5e-08"), 0.025, "TESCAN header"),
        ("a-png.hdr", TESCAN.format("2,5e-08", "2,5e-08"), 0.025, "TESCAN header"),
        ("a.hdr", TESCAN.format("2.5e-08", "3.5e-08"), None, "scale unknown"),
        ("a.txt", JEOL.format(80, "10µm"), 0.25, "JEOL text file"),
        ("a.TXT", JEOL.format(80, "100nm"), 0.0025, "JEOL text file"),
        ("a.txt", JEOL.format(160, "10µm"), None, "scale unknown"),
        ("a.txt", HITACHI.format(80, "9.92"), 0.00992, "Hitachi text file"),
        ("a.txt", HITACHI.format(80, "9,92"), 0.00992, "Hitachi text file"),
        ("a.txt", HITACHI.format(1280, "9.92"), None, "scale unknown"),
        ("a.txt", "Heat 4711, etched. PixelSize unknown\n", None, "scale unknown"),
        ("b.txt", HITACHI.format(80, "9.92"), None, "scale unknown"),
    ],
)
def test_text_files_beside_the_image(
    tmp_path: Path, name: str, text: str, expected: float | None, source: str, encoding: str
) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    image = read_micrograph(tmp_path / "a.png")
    assert image.pixel_size_um == (expected and pytest.approx(expected))
    assert image.scale_source == source


def test_a_text_file_that_cannot_be_read_costs_only_the_scale(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\0\x81" * 99)
    (tmp_path / "a.hdr").mkdir()
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").data, GREY)


@pytest.mark.parametrize(
    "text",
    [
        "$SM_MICRON_BAR \n$SM_MICRON_MARKER 1um\n", "PixelSizeX=\nPixelSizeY=\n", "PixelSize=1e999\n",
        f"DataSize={'9' * 5000}x3\nPixelSize=1\n",
    ],
    ids=["no bar", "no value", "infinite", "thousands of digits"],
)  # fmt: skip
def test_nonsense_beside_the_image_costs_only_the_scale(tmp_path: Path, text: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    (tmp_path / "a.txt").write_text(text)
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert micrograph.pixel_size_um is None and np.array_equal(micrograph.data, GREY)


@pytest.mark.parametrize(
    "note",
    [
        "ImageJ=1.5\nimages=x\n", "ImageJ=1.5\nunit=um\nimages=-1\n", '{"shape": [40, 50], "axes": 5}',
        "<?xml version='1.0'?><OME><Image><Pixels SizeX='x' PhysicalSizeX='1'/></Image></OME>",
    ],
)  # fmt: skip
def test_a_damaged_description_costs_only_the_scale(tmp_path: Path, note: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, description=note, metadata=None)
    assert np.array_equal(read_micrograph(tmp_path / "a.tif").data, GREY)


def test_an_instrument_that_tells_no_number(tmp_path: Path) -> None:
    store = f"DP_IMAGE_STORE\r\nStore resolution = {'9' * 5000} * 3\r\n"
    record = f"{store}AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 1 um\r\n"
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(34118, 2, 0, record, True)])
    assert read_micrograph(tmp_path / "a.tif").pixel_size_um is None
