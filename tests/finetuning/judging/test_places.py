"""Places: strokes count once, and what is dealt out to folds leaves every phase a teacher."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseguide.finetuning.judging.places import (
    GAP,
    LARGEST,
    NEVER,
    count_phases,
    draw_folds,
    find_places,
    without_fold,
)
from phaseguide.finetuning.sources import Source
from phaseguide.finetuning.validation_blocks import BLOCK, NOTHING_NEW, split_labels

SHAPE = (480, 480)
IMAGE = np.zeros(SHAPE, dtype=np.uint8)


def on_the_wrong_area() -> np.ndarray:
    """Three strokes of each phase over the image, and ten of phase 2 on one area that the model takes for another."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for phase, row in ((1, 20), (2, 60), (3, 100)):
        for column in (20, 120, 220):
            labels[row : row + 7, column : column + 45] = phase
    for row in range(300, 400, 20):
        for column in (300, 350):
            labels[row : row + 6, column : column + 30] = 2
    return labels


def test_a_stroke_is_one_place_whatever_block_it_crosses_and_near_paint_is_of_it() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[40:56, 40:90] = 1  # across the grid of blocks
    labels[40:56, 90 + GAP : 100] = 2  # near: of the same island
    labels[300:310, 300:320] = 2
    places = find_places(labels)
    assert (
        places.max() == 2 and len(np.unique(places[40:56, 40:100])) == 2
    )  # the gap between them is no place
    assert (places[labels == 0] == 0).all()


def test_a_large_area_is_cut_into_blocks() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[: LARGEST + BLOCK, : LARGEST + BLOCK] = 1
    assert find_places(labels).max() == 9


@settings(max_examples=50)
@given(
    places=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=25
    ),
    folds=st.integers(2, 4),
    seed=st.integers(0, 3),
)
def test_every_phase_that_judges_has_a_teacher_in_every_fold(places: list, folds: int, seed: int) -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for row, column, phase in places:
        labels[row * BLOCK + 5 : row * BLOCK + 25, column * BLOCK + 5 : column * BLOCK + 35] = phase
    numbers = find_places(labels)
    counts = count_phases(labels, numbers, 3)
    dealt = draw_folds(counts, np.ones(len(counts), dtype=bool), folds, np.random.default_rng(seed))
    for fold in range(folds):
        judged = counts[dealt == fold].sum(0)
        teaching = counts[dealt != fold].sum(0)
        assert (teaching[judged > 0] > 0).all()


def test_the_only_strokes_on_the_one_wrong_place_are_both_learnt_and_judged() -> None:
    labels = on_the_wrong_area()
    found = split_labels([Source("a", IMAGE, labels, "edits")], 3, share=0.2, crossfit=2)
    assert found.n_folds == 2
    teach, judge, places = found.teach[0], found.judge[0], found.places[0]
    assert teach is not None and judge is not None and places is not None
    np.testing.assert_array_equal(teach, labels)  # the model itself learns from all
    area = (slice(290, 410), slice(290, 400))
    np.testing.assert_array_equal(judge[area], labels[area])
    for fold in range(2):
        left = without_fold(labels, places, np.array(found.folds) == fold)
        assert (left[area] == 2).any(), "some of it teaches in every fold"
        assert (left[area] == 2).sum() < (labels[area] == 2).sum(), "and some of it judges"
        held = np.array(found.folds)[places] == fold
        assert not (left[held] > 0).any()
    assert "by one of 2 fits" in found.sentence
    # Held out in blocks, as before, part of the area would have taught nothing.
    before = split_labels([Source("a", IMAGE, labels, "edits")], 3, share=0.2)
    assert before.n_folds == 0 and (before.teach[0] == 0)[labels > 0].any()


def test_what_has_taught_judges_no_more_and_that_is_said() -> None:
    labels = on_the_wrong_area()
    source = Source("a", IMAGE, labels, "edits")
    first = split_labels([source], 3, share=0.2, crossfit=2)
    ((image, blocks),) = first.blocks_by_image.items()
    history = {image: (frozenset(), frozenset((row, column) for row, column in blocks["taught"]))}
    again = split_labels([source], 3, share=0.2, crossfit=2, history=history)
    assert again.n_folds == 0 and again.sentence == NOTHING_NEW
    np.testing.assert_array_equal(again.teach[0], labels)
    more = labels.copy()
    more[430:436, 20:60], more[430:436, 120:160] = 1, 1
    new = split_labels([Source("a", IMAGE, more, "edits")], 3, share=0.2, crossfit=2, history=history)
    assert new.n_folds == 2
    judge = new.judge[0]
    assert judge is not None and (judge[430:436] > 0).any() and not (judge[:420] > 0).any()


def test_a_phase_that_is_painted_once_always_teaches() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[10:20, 10:40], labels[100:110, 10:40], labels[200:210, 10:40] = 1, 1, 2
    counts = count_phases(labels, find_places(labels), 2)
    dealt = draw_folds(counts, np.ones(3, dtype=bool), 2, np.random.default_rng(0))
    assert dealt[counts[:, 1] > 0].tolist() == [NEVER]
    assert sorted(dealt[counts[:, 0] > 0].tolist()) == [0, 1]
