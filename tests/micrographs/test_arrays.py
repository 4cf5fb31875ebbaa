"""Whatever numpy can take works as an image and as labels, or is refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import zarr
from PIL import Image

from phaseguide.errors import MicrographError
from phaseguide.estimation.painted import check_painted
from phaseguide.micrographs import as_image_array, as_label_array, write_label_map
from phaseguide.phases import PhaseScheme

GREY = np.random.default_rng(0).integers(0, 3, (9, 12), dtype=np.uint8)

KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda a: a,
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "torch": torch.from_numpy,
    "torch that learns": lambda a: torch.from_numpy(a.astype(np.float32)).requires_grad_(),
    "bfloat16": lambda a: torch.from_numpy(a).to(torch.bfloat16),
    "transposed torch": lambda a: torch.from_numpy(a.T.copy()).T,
    "sparse torch": lambda a: torch.from_numpy(a.astype(np.int32)).to_sparse(),
    "dask": lambda a: pytest.importorskip("dask.array").from_array(a, chunks=4),
    "zarr": lambda a: zarr.array(a),
    "pillow": Image.fromarray,
    "masked, nothing hidden": np.ma.array,
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "mirrored": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "big-endian": lambda a: a.astype(">u2"),
    "float64": lambda a: a.astype(float),
    "float16": lambda a: a.astype(np.float16),
    "int64": lambda a: a.astype(np.int64),
    "columns first": np.asfortranarray,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_pixels(kind: str) -> None:
    given = KINDS[kind](GREY)
    image, labels = as_image_array(given, "a"), as_label_array(given, "a")
    np.testing.assert_array_equal(image, GREY)
    np.testing.assert_array_equal(labels, GREY)
    assert image.dtype in (np.uint8, np.uint16, np.float32) and labels.dtype == np.uint8
    for array in (image, labels):
        assert type(array) is np.ndarray and array.flags.c_contiguous and array.dtype.isnative
    np.testing.assert_array_equal(check_painted(given, PhaseScheme.from_names(["a", "b"])), GREY)


def test_an_array_that_fits_is_not_copied(tmp_path: Path) -> None:
    assert as_image_array(GREY, "a") is GREY
    mapped = np.memmap(tmp_path / "a.dat", np.uint16, "w+", shape=(5, 6))
    assert np.shares_memory(as_image_array(mapped, "a"), mapped)


def test_black_and_white_and_wide_integers() -> None:
    np.testing.assert_array_equal(as_image_array(GREY > 1, "a"), (GREY > 1) * 255)
    np.testing.assert_array_equal(as_label_array(GREY > 1, "a"), GREY > 1)
    assert as_image_array(GREY.astype(np.int32) + 60_000, "a").dtype == np.uint16
    assert as_image_array(GREY.astype(np.int32) + 70_000, "a").dtype == np.float32


def test_pillow_pictures_are_read_as_their_files_would_be() -> None:
    inverted = Image.fromarray(255 - GREY).convert("P")
    inverted.putpalette(np.repeat(np.arange(255, -1, -1), 3).tolist())
    np.testing.assert_array_equal(as_image_array(inverted, "a"), GREY)
    np.testing.assert_array_equal(as_label_array(inverted, "a"), 255 - GREY)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([[1, 2], [3]], "list cannot be taken"),
        (np.array([[1, "x"], [2, 3]], dtype=object), "type object"),
        (np.array([["a"]]), "type <U1"),
        (GREY + 1j, "type complex128"),
        (np.zeros((3, 3), "datetime64[s]"), "datetime64"),
        (np.ma.array(GREY, mask=GREY == 1), "masked pixels"),
        (None, "type object"),
    ],
)
def test_what_is_no_image_is_refused(given: Any, words: str) -> None:
    for read in (as_image_array, as_label_array):
        with pytest.raises(MicrographError, match=f"^layer 7: .*{words}"):
            read(given, "layer 7")


@pytest.mark.parametrize("wrong", [GREY + 0.5, GREY - 1.0, GREY * np.nan, GREY.astype(np.int16) + 254])
def test_labels_are_whole_numbers_from_0_to_255(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(MicrographError, match="edits: label values run from"):
        as_label_array(wrong, "edits")
    with pytest.raises(MicrographError, match=r"a\.tif: label values"):
        write_label_map(tmp_path / "a.tif", wrong)


def test_what_exceeds_the_memory_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    with pytest.raises(MicrographError, match=r"field: holds 100000 x 100000.*GB are free"):
        as_image_array(zarr.zeros((100_000, 100_000), dtype=np.uint8), "field")
