"""Held-out blocks: disjoint, with a gap, never the whole of a phase."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseguide.finetuning.sources import Source
from phaseguide.finetuning.validation_blocks import BLOCK, GAP, Split, split_labels

IMAGE = np.zeros((480, 480), dtype=np.uint8)


def painted(places: list[tuple[int, int, int]]) -> np.ndarray:
    labels = np.zeros(IMAGE.shape, dtype=np.uint8)
    for row, column, phase in places:
        labels[row * BLOCK + 5 : row * BLOCK + 25, column * BLOCK + 5 : column * BLOCK + 40] = phase
    return labels


def split(labels: np.ndarray, share: float = 0.2, seed: int = 0) -> Split:
    return split_labels([Source("a", IMAGE, labels, "edits")], 3, share=share, seed=seed)


places = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=40)


@settings(max_examples=50)
@given(places=places, seed=st.integers(0, 5))
def test_no_pixel_teaches_and_judges_and_the_gap_is_kept(places: list, seed: int) -> None:
    from scipy.ndimage import binary_dilation

    labels = painted(places)
    found = split(labels, seed=seed)
    teach, judge = found.teach[0], found.judge[0]
    assert teach is not None and judge is not None
    both = np.maximum(teach, judge)
    np.testing.assert_array_equal(both[both > 0], labels[both > 0])
    near = binary_dilation(judge > 0, np.ones((2 * GAP + 1, 2 * GAP + 1)))
    assert not (near & (teach > 0)).any()


@settings(max_examples=50)
@given(places=places, seed=st.integers(0, 5))
def test_every_painted_phase_keeps_a_teacher(places: list, seed: int) -> None:
    labels = painted(places)
    teach = split(labels, seed=seed).teach[0]
    for phase in np.unique(labels[labels > 0]):
        assert (teach == phase).any()


def test_a_well_painted_image_holds_out_about_what_was_asked() -> None:
    labels = painted([(r, c, 1 + (r + c) % 3) for r in range(10) for c in range(10)])
    found = split(labels, share=0.2)
    held = np.count_nonzero(found.judge[0]) / np.count_nonzero(labels)
    assert 0.15 < held < 0.3
    assert set(np.unique(found.judge[0])) == {0, 1, 2, 3}
    assert str(found.blocks) in found.sentence


def test_too_little_paint_holds_out_nothing_and_says_so() -> None:
    labels = painted([(1, 1, 1), (4, 4, 2)])
    found = split(labels)
    assert found.blocks == 0
    assert "training loss decides" in found.sentence
    np.testing.assert_array_equal(found.teach[0], labels)


def test_another_seed_holds_out_other_blocks() -> None:
    labels = painted([(r, c, 1 + (r + c) % 3) for r in range(10) for c in range(10)])
    assert not np.array_equal(split(labels, seed=0).judge[0], split(labels, seed=1).judge[0])


def test_whole_fields_validate_and_do_not_teach() -> None:
    labels = painted([(1, 1, 1)])
    sources = [Source("a", IMAGE, labels, "edits"), Source("b", IMAGE, labels, "full")]
    found = split_labels(sources, 3, share=0.2, fields=("b",))
    assert found.teach[1] is None
    np.testing.assert_array_equal(found.judge[1], labels)
    assert found.judge[0] is None
