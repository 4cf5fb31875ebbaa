"""Label maps survive the way to disk and back, with their scale, or the old file stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.micrographs import read_label_map, read_micrograph, write_label_map

LABELS = np.random.default_rng(0).choice(np.array([0, 1, 2, 3, 255], np.uint8), (50, 70))


@given(pixel_size=st.floats(1e-4, 100))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_with_scale(tmp_path: Path, pixel_size: float) -> None:
    path = tmp_path / "a_labels.tif"
    write_label_map(path, LABELS, pixel_size)
    np.testing.assert_array_equal(read_label_map(path), LABELS)
    image = read_micrograph(path)
    np.testing.assert_array_equal(image.data, LABELS)
    assert image.pixel_size_um == pytest.approx(pixel_size, rel=1e-5)


@pytest.mark.parametrize(
    "labels", [LABELS, np.stack([LABELS, LABELS[::-1]]), np.stack([LABELS] * 3), LABELS[:1]]
)
def test_round_trip_without_scale(tmp_path: Path, labels: NDArray[np.uint8]) -> None:
    path = tmp_path / "new folder" / "a_labels.tif"
    write_label_map(path, labels)
    read = read_label_map(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)
    assert read_micrograph(path).scale_source == "scale unknown"


def test_it_is_compressed_and_plain_tifffile_reads_it(tmp_path: Path) -> None:
    write_label_map(tmp_path / "a.tif", np.ones((1000, 1000), np.uint8), 0.5)
    assert (tmp_path / "a.tif").stat().st_size < 10_000
    assert tifffile.imread(tmp_path / "a.tif").shape == (1000, 1000)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int32, bool])
def test_other_integers_are_written_as_uint8(tmp_path: Path, dtype: type) -> None:
    write_label_map(tmp_path / "a.tif", (LABELS % 2).astype(dtype))
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif"), LABELS % 2)


@pytest.mark.parametrize(
    "labels",
    [
        np.full((4, 4), 256),
        np.full((4, 4), -1),
        np.full((4, 4), 1.5),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_what_is_no_label_map_is_not_written(tmp_path: Path, labels: NDArray[Any]) -> None:
    with pytest.raises(MicrographError, match=r"a\.tif"):
        write_label_map(tmp_path / "a.tif", labels)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("pixel_size", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_pixel_size(tmp_path: Path, pixel_size: float) -> None:
    with pytest.raises(MicrographError, match=r"a\.tif.*pixel"):
        write_label_map(tmp_path / "a.tif", LABELS, pixel_size)


def test_disk_full_keeps_the_old_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a_labels.tif"
    write_label_map(path, LABELS)

    def no_space(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(PhaseguideError, match=r"a_labels\.tif.*No space left"):
        write_label_map(path, LABELS * 0)
    np.testing.assert_array_equal(read_label_map(path), LABELS)
    assert os.listdir(tmp_path) == ["a_labels.tif"]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_reads_other_programs_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(LABELS).save(path)
    np.testing.assert_array_equal(read_label_map(path), LABELS)
    Image.fromarray(np.repeat(LABELS[..., None], 3, axis=-1)).save(path)
    np.testing.assert_array_equal(read_label_map(path), LABELS)
    Image.fromarray(LABELS == 1).save(path)
    np.testing.assert_array_equal(read_label_map(path), LABELS == 1)
    coloured = Image.fromarray(LABELS).convert("P")
    coloured.putpalette([value % 256 for value in range(7, 7 + 768)])
    coloured.save(path)
    np.testing.assert_array_equal(read_label_map(path), LABELS)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.int64, np.float32])
def test_reads_wider_types(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(dtype))
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif"), LABELS)


@pytest.mark.parametrize(
    "values", [LABELS.astype(np.uint16) + 200, LABELS - 1.0, LABELS + 0.5, LABELS * np.nan]
)
def test_values_that_are_no_labels(tmp_path: Path, values: NDArray[Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(MicrographError, match=r"a\.tif.*from 0 to 255"):
        read_label_map(tmp_path / "a.tif")


def test_a_colour_picture_is_no_label_map(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (9, 9, 3), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    with pytest.raises(MicrographError, match=r"a\.png.*colour picture"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("end", ["jpg", "webp", "jp2", "avif"])
def test_lossy_pictures_are_no_label_maps(tmp_path: Path, end: str) -> None:
    Image.fromarray(LABELS).save(tmp_path / f"a.{end}", quality=95)
    with pytest.raises(MicrographError, match=rf"a\.{end}: is stored as .*changes values.*PNG"):
        read_label_map(tmp_path / f"a.{end}")
    (tmp_path / f"a.{end}").rename(tmp_path / "b.png")  # the content counts
    with pytest.raises(MicrographError, match=r"b\.png: is stored as"):
        read_label_map(tmp_path / "b.png")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "jpegxl", "lerc"])
def test_lossy_tiffs_are_no_label_maps(tmp_path: Path, compression: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS, compression=compression)
    with pytest.raises(MicrographError, match=rf"a\.tif: is stored as TIFF with {compression.upper()}"):
        read_label_map(tmp_path / "a.tif")
    assert read_micrograph(tmp_path / "a.tif").data.shape == LABELS.shape


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "lzma", None])
def test_lossless_storage_keeps_labels(tmp_path: Path, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS, compression=compression)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif"), LABELS)
    Image.fromarray(LABELS).save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.webp"), LABELS)


def test_smoothed_colours_are_no_label_map(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [230, 159, 0], [86, 180, 233]], np.uint8)[LABELS % 3]
    Image.fromarray(colours).resize((140, 100), Image.Resampling.BILINEAR).save(tmp_path / "a.png")
    with pytest.raises(MicrographError, match=r"a\.png.*colour picture"):
        read_label_map(tmp_path / "a.png")


def test_missing_and_truncated(tmp_path: Path) -> None:
    with pytest.raises(MicrographError, match=r"gone\.tif.*no such file"):
        read_label_map(tmp_path / "gone.tif")
    write_label_map(tmp_path / "a.tif", LABELS)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-200])
    with pytest.raises(MicrographError, match=r"a\.tif.*damaged"):
        read_label_map(tmp_path / "a.tif")


def test_real_label_maps(shared_data: Path) -> None:
    for path in sorted((shared_data / "uhcs" / "labels").glob("*.png")):
        labels = read_label_map(path)
        assert labels.shape == (484, 645)
        assert set(np.unique(labels)) <= {1, 2, 3, 4}
