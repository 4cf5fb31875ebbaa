"""However a picture is stored, it is read as a viewer shows it, or refused by name."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from phaseguide.errors import MicrographError
from phaseguide.micrographs import read_label_map, read_micrograph

ROWS, COLUMNS = np.mgrid[:48, :64]
GREY = np.clip(70 + 2 * COLUMNS + 40 * np.sin(ROWS / 6), 0, 255).astype(np.uint8)
RGB = np.dstack([GREY, np.roll(GREY, 7, 1), np.roll(GREY, 5, 0)])


def shown(path: Path) -> NDArray[np.uint8]:
    """What Pillow shows."""
    with Image.open(path) as image:
        turned = ImageOps.exif_transpose(image)
        return np.asarray(turned.convert("L" if turned.mode in ("1", "L", "LA") else "RGB"))


def off(path: Path, wanted: NDArray[Any]) -> float:
    read = read_micrograph(path).data
    if read.ndim < wanted.ndim:
        read = np.repeat(read[..., None], 3, axis=-1)
    assert read.shape == wanted.shape
    return float(np.abs(read.astype(float) - wanted).max())


def lab(rgb: NDArray[np.uint8]) -> Image.Image:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    return ImageCms.applyTransform(Image.fromarray(rgb), to_lab)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "jpeg"])
@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "RGB", "RGBA", "LA", "L", "P", "1"])
def test_tiff_colour_spaces_as_pillow_shows_them(tmp_path: Path, mode: str, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    picture = lab(RGB) if mode == "LAB" else Image.fromarray(RGB).convert(mode)
    if compression == "jpeg" and mode in ("P", "1"):
        pytest.skip("no program writes these")
    picture.save(path, compression=compression)
    if compression == "jpeg" and mode == "LAB":
        with pytest.raises(MicrographError, match=r"a\.tif.*CIELAB"):
            read_micrograph(path)
    else:
        assert off(path, shown(path)) <= 1


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_compressions(tmp_path: Path, compression: str) -> None:
    Image.fromarray(GREY > 150).save(tmp_path / "a.tif", compression=compression)
    assert off(tmp_path / "a.tif", (GREY > 150) * 255) == 0


@pytest.mark.parametrize("compression", ["jpeg2000", "jpegxl", "lzma", "png", "jpegxr"])
def test_rare_compressions(tmp_path: Path, compression: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression=compression)
    assert off(tmp_path / "a.tif", GREY) == 0


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14, 16])
@pytest.mark.parametrize("white", ["minisblack", "miniswhite"])
def test_bit_depths_and_inverted_grey_scales(tmp_path: Path, bits: int, white: str) -> None:
    path, top = tmp_path / "a.tif", 2**bits - 1
    stored = (ROWS * COLUMNS % (top + 1)).astype(np.uint8 if bits < 8 else np.uint16)
    packed = stored.astype(bool) if bits == 1 else stored
    tifffile.imwrite(path, packed, bitspersample=bits, photometric=white)
    wanted = stored.astype(int) if white == "minisblack" else top - stored.astype(int)
    assert off(path, wanted * (255 // top if bits < 8 else 1)) == 0
    if bits < 8:
        assert off(path, shown(path)) == 0
        np.testing.assert_array_equal(read_label_map(path), stored)  # labels are what is stored


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.float32])
def test_inverted_wide_values_keep_their_contrast(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(dtype), photometric="miniswhite")
    read = read_micrograph(tmp_path / "a.tif").data.astype(float)
    np.testing.assert_array_equal(read - read.max(), GREY.min() - GREY.astype(float))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_palettes_give_colours_and_labels_their_indices(tmp_path: Path, bits: int) -> None:
    path, n = tmp_path / "a.tif", 2**bits
    index = (ROWS * COLUMNS % min(n, 200)).astype(np.uint8 if bits <= 8 else np.uint16)
    colours = np.random.default_rng(0).integers(256, 2**16, (3, n)).astype(np.uint16)
    tag = (320, "H", 3 * n, colours.ravel().tolist(), True)
    packed = index.astype(bool) if bits == 1 else index
    tifffile.imwrite(path, packed, bitspersample=bits, extratags=[tag], metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags[262].overwrite(3)
    assert off(path, (colours.T >> 8)[index]) == 0
    np.testing.assert_array_equal(read_label_map(path), index)


@pytest.mark.parametrize("save", ["a.png", "a.tif", "a.gif"])
def test_an_inverting_palette_is_no_inverted_picture(tmp_path: Path, save: str) -> None:
    inverted = Image.fromarray(255 - GREY).convert("P")
    inverted.putpalette(np.repeat(np.arange(255, -1, -1), 3).tolist())
    inverted.save(tmp_path / save)
    assert off(tmp_path / save, GREY) == 0


def test_alpha_is_dropped_premultiplied_or_not(tmp_path: Path) -> None:
    alpha = np.full((48, 64, 1), 128, np.uint8)
    alpha[:9] = 0
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.concatenate([RGB, alpha], -1), photometric="rgb", extrasamples=["unassalpha"])
    assert off(path, RGB) == 0
    halved = np.where(alpha > 0, RGB // 2, 0).astype(np.uint8)
    tifffile.imwrite(
        path, np.concatenate([halved, alpha], -1), photometric="rgb", extrasamples=["assocalpha"]
    )
    assert off(path, np.where(alpha > 0, RGB, 0)) <= 2


def test_tiles_planes_predictors_and_byte_orders(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", tile=(16, 16),
        compression="lzw", predictor=True,
    )  # fmt: skip
    assert off(path, RGB) == 0
    tifffile.imwrite(path, GREY.astype(">f4"), bigtiff=True, byteorder=">", compression="zlib", predictor=3)
    assert off(path, GREY) == 0


@pytest.mark.parametrize(
    ("stored", "kind", "words"),
    [
        (GREY, {"photometric": "cfa"}, "CFA"),
        (np.dstack([GREY] * 4), {"photometric": "minisblack", "planarconfig": "contig"}, "4 channels"),
        (np.dstack([GREY] * 6), {"photometric": "separated"}, "6 channels"),
    ],
)
def test_what_no_viewer_shows_is_refused_by_name(
    tmp_path: Path, stored: NDArray[Any], kind: dict[str, Any], words: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stored, **kind)
    with pytest.raises(MicrographError, match=rf"a\.tif: .*{words}"):
        read_micrograph(tmp_path / "a.tif")


# --- orientation ---


@pytest.mark.parametrize("turn", range(10))
@pytest.mark.parametrize("save", ["a.tif", "a.jpg", "a.png", "a.webp"])
def test_turned_pictures_stand_upright_and_so_do_their_labels(tmp_path: Path, save: str, turn: int) -> None:
    path = tmp_path / save
    for stored in (RGB, GREY):
        if save == "a.tif":
            # Pillow turns uncompressed grey TIFFs twice.
            tifffile.imwrite(path, stored, compression="zlib", extratags=[(274, "H", 1, turn, True)])
        else:
            exif = Image.Exif()
            exif[274] = turn
            options: dict[str, Any] = {"a.jpg": {"quality": 98}, "a.webp": {"lossless": True}}.get(save, {})
            Image.fromarray(stored).save(path, exif=exif, **options)
        assert off(path, shown(path)) == 0
    if save != "a.jpg":
        np.testing.assert_array_equal(
            read_label_map(path), shown(path)[..., 0] if save == "a.webp" else shown(path)
        )


# --- pictures that are no TIFF ---


@pytest.mark.parametrize("end", ["gif", "webp", "ppm", "jp2", "pcx", "sgi", "bmp", "png", "jpg"])
def test_everyday_formats_by_content(tmp_path: Path, end: str) -> None:
    Image.fromarray(RGB).save(tmp_path / f"a.{end}")
    path = (tmp_path / f"a.{end}").rename(tmp_path / "a.dat")
    assert off(path, shown(path)) == 0


def test_a_deep_colour_png_keeps_its_depth(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 16  # 12 bits, of which 8 would keep 16 grey levels
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    assert off(tmp_path / "a.png", deep) == 0
    grey = np.dstack([GREY.astype(np.uint16) * 16] * 3 + [np.full_like(GREY, 7).astype(np.uint16)])
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(grey))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "b.png").data, grey[..., 0])


def test_inks_of_a_jpeg(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert off(tmp_path / "a.jpg", shown(tmp_path / "a.jpg")) == 0


# --- damage ---


def samples() -> list[bytes]:
    made = []
    for end, options in (
        ("png", {}), ("jpg", {}), ("gif", {}), ("tif", {"compression": "tiff_lzw"}), ("tif", {}), ("bmp", {}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, format={"jpg": "jpeg", "tif": "tiff"}.get(end, end), **options)
        made.append(buffer.getvalue())
    return made


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_told_in_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(samples())))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.img").write_bytes(content)
    for read in (lambda path: read_micrograph(path).data, read_label_map):
        with contextlib.suppress(MicrographError):
            assert read(tmp_path / "a.img").size


# --- size ---


def test_a_big_sound_picture_is_read_beyond_pillows_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert off(tmp_path / "a.png", GREY) == 0
    assert Image.MAX_IMAGE_PIXELS == 100  # others keep their guard


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_exceeds_the_memory_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Image.fromarray(GREY).save(tmp_path / name)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5000))
    with pytest.raises(MicrographError, match=rf"{name}: holds .*48 x 64.*GB are free\. Close"):
        read_micrograph(tmp_path / name)


def test_a_header_that_declares_a_million_squared(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in (256, 257, 278):
            if tag in tiff.pages.first.tags:
                tiff.pages.first.tags[tag].overwrite(1_000_000, dtype="I")
    with pytest.raises(MicrographError, match=r"a\.tif: holds .*1000000 x 1000000.*GB"):
        read_micrograph(path)


def test_memory_that_runs_out_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")

    def load(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("phaseguide.micrographs.pillow_decoding._stored", load)
    with pytest.raises(MicrographError, match=r"a\.png: there is not enough memory"):
        read_micrograph(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(MicrographError, match=r"a\.tif: cannot be read \(is a pipe"):
        read_micrograph(tmp_path / "a.tif")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/gef\xfcge.tif")
    with pytest.raises(MicrographError, match="no such file"):
        read_micrograph(name)
    tifffile.imwrite(name, GREY)
    np.testing.assert_array_equal(read_micrograph(name).data, GREY)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_a_few_bits_are_as_stored(tmp_path: Path, bits: int) -> None:
    labels = np.arange(48 * 60, dtype=np.uint8).reshape(48, 60) % 2**bits
    rows = b"".join(
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes()
        for row in labels
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60, 48, bits, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    assert np.array_equal(read_label_map(tmp_path / "a.png"), labels)
    shown = labels.astype(int) * 255 // (2**bits - 1)
    assert np.array_equal(read_micrograph(tmp_path / "a.png").data, shown)
