"""What can be learnt from, and what cannot: each with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.finetuning.sources import (
    Source,
    data_sha256,
    describe_sources,
    merge_labels,
    sources_from_dataset,
)
from phaseguide.phases import PhaseScheme
from tiny_models import NAMES, tiny_dataset

SCHEME = PhaseScheme.from_names(NAMES)
IMAGE = np.arange(80, dtype=np.uint8).reshape(8, 10)


def labels(**pixels: int) -> np.ndarray:
    found = np.zeros((8, 10), dtype=np.uint8)
    for value, count in pixels.items():
        found.flat[np.flatnonzero(found.ravel() == 0)[:count]] = int(value[1:])
    return found


def row(source: Source):
    return describe_sources([source], SCHEME)[0]


def test_shares_are_of_the_image_and_excluded_pixels_are_no_label() -> None:
    found = row(Source("a", IMAGE, labels(p1=20, p3=4, p255=8), "edits"))
    assert found.shares == (20 / 80, 0.0, 4 / 80)
    assert found.labelled == 24
    assert not found.problem


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source("a", IMAGE, labels(), "edits"), "no label and no ratio"),
        (Source("a", IMAGE, labels(p255=9), "edits"), "no label and no ratio"),
        (Source("a", IMAGE, labels(p4=1), "partial"), "label 4, but the phases are 1 ferrite"),
        (Source("a", IMAGE, np.ones((4, 4), np.uint8), "full"), "4 x 4 px, but the image is 8 x 10 px"),
        (Source("a", IMAGE, None, "ratio", (0.5, 0.5)), "ratio of 2 phases, but there are 3"),
        (Source("a", IMAGE, None, "ratio", (None, None, None)), "every phase is open"),
        (Source("a", IMAGE, None, "ratio", (0.9, 0.3, None)), "120.0% in all"),
        (Source("a", IMAGE, None, "ratio", (float("nan"), 0.3, None)), "a share that is no number"),
        (Source("a", IMAGE, None, "ratio", (0.0, 0.0, 0.0)), "every phase is 0"),
        (Source("a", np.full((8, 10), np.nan), labels(p1=3), "edits"), "no finite pixel"),
    ],
)
def test_what_cannot_work_says_why(source: Source, words: str) -> None:
    assert words in row(source).problem


def test_two_sources_of_one_name_are_told() -> None:
    one = Source("a", IMAGE, labels(p1=3), "edits")
    assert all("twice" in r.problem for r in describe_sources([one, one], SCHEME))


def test_the_checksum_sees_labels_ratio_and_image_but_not_the_order() -> None:
    a = Source("a", IMAGE, labels(p1=3), "edits")
    b = Source("b", IMAGE, None, "ratio", (0.2, None, None))
    whole = data_sha256([a, b])
    assert data_sha256([b, a]) == whole
    others = [
        Source("a", IMAGE, labels(p2=3), "edits"),
        Source("a", IMAGE + 1, labels(p1=3), "edits"),
        Source("a", IMAGE, labels(p1=3), "edits", (0.1, None, None)),
    ]
    assert len({whole, *(data_sha256([other, b]) for other in others)}) == 4


def test_edits_lie_on_top_of_truth() -> None:
    truth, edits = np.array([[1, 2, 0]], np.uint8), np.array([[0, 255, 3]], np.uint8)
    np.testing.assert_array_equal(merge_labels(truth, edits), [[1, 255, 3]])
    assert merge_labels(None, np.zeros((1, 3), np.uint8)) is None


def test_a_folder_of_pairs_gives_full_sources(tmp_path: Path) -> None:
    found = list(sources_from_dataset(open_dataset(tiny_dataset(tmp_path)), SCHEME))
    assert [(s.name, s.kind) for s in found] == [("field0", "full"), ("field1", "full")]
    assert not any(r.problem for r in describe_sources(found, SCHEME))


def test_the_bar_of_a_labelled_image_is_excluded(tmp_path: Path) -> None:
    folder = tiny_dataset(tmp_path, 1, shape=(80, 96))
    for part, below in (("images", np.zeros((16, 96), np.uint8)), ("labels", np.zeros((16, 96), np.uint8))):
        file = folder / part / "field0.png"
        if part == "images":
            below[5:11, 10:60:2] = 255
        Image.fromarray(np.vstack([np.asarray(Image.open(file)), below])).save(file)
    (source,) = sources_from_dataset(open_dataset(folder), PhaseScheme.from_names(NAMES))
    assert source.kind == "full" and source.labels is not None
    assert (source.labels[80:] == 255).all() and not (source.labels[:80] == 255).any()
