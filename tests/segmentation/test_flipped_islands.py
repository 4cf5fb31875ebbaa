"""Which islands flip between two label maps of one image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phaseguide.errors import MicrographError
from phaseguide.models.model_file import load_model
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.review.flipped_islands import find_flipped_islands
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import tiny_image, tiny_model

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "pearlite"])


def matrix() -> np.ndarray:
    """80 x 100 px of ferrite with a carbide of 20 x 20 px and one of 6 x 6."""
    labels = np.ones((80, 100), dtype=np.uint8)
    labels[10:30, 10:30] = 2
    labels[50:56, 60:66] = 2
    return labels


def test_an_island_that_flips_is_told_from_a_rim_that_moves() -> None:
    before = matrix()
    after = before.copy()
    after[50:56, 60:66] = 3  # the small island becomes pearlite
    after[10:30, 30:32] = 2  # the large one grows by two columns
    found = find_flipped_islands(before, after, SCHEME)
    (island,) = found.islands
    assert (island.before, island.after, island.kind) == (2, 3, "whole")
    assert island.area_px == 36 and island.share == 36 / 8000
    assert island.centroid == (52.5, 62.5) and island.box == (50, 60, 56, 66)
    assert [(c.before, c.after, c.islands, c.rims, c.island_px, c.rim_px) for c in found.changes] == [
        (1, 2, 0, 1, 0, 40),
        (2, 3, 1, 0, 36, 0),
    ]
    assert found.share == pytest.approx(76 / 8000)
    assert (found.shown == np.where(before != after, after, 0)).all()
    assert ((found.numbers == 1) == (after == 3)).all()
    assert found.describe() == (
        "1 island (0.4 %) and 1 rim or speck (0.5 %) change, 0.9 % of the area: 0.5 % ferrite → carbide, "
        "0.4 % carbide → pearlite."
    )


def test_islands_that_appear_and_that_vanish_both_count_as_whole() -> None:
    before = matrix()
    after = before.copy()
    after[50:56, 60:66] = 1
    forward, back = find_flipped_islands(before, after, SCHEME), find_flipped_islands(after, before, SCHEME)
    assert [(i.before, i.after, i.kind) for i in forward.islands] == [(2, 1, "whole")]
    assert [(i.before, i.after, i.kind) for i in back.islands] == [(1, 2, "whole")]


def test_a_thick_piece_of_an_island_is_a_part_and_thin_laths_can_be_whole() -> None:
    before = matrix()
    after = before.copy()
    after[10:30, 10:20] = 1  # half of the large island
    np.fill_diagonal(after[35:75, 20:60], 3)  # a slanting lath, one pixel thin
    found = find_flipped_islands(before, after, SCHEME)
    assert [(i.kind, i.area_px) for i in found.islands] == [("part", 188), ("whole", 40)], (
        "an opening takes corners"
    )


def test_the_frame_does_not_make_a_rim_of_an_island_that_it_cuts() -> None:
    before = np.ones((30, 30), dtype=np.uint8)
    before[:, 20:] = 2
    after = before.copy()
    after[27:, 10:20] = 2  # three rows at the lower edge: five or more, could one see further
    assert [i.kind for i in find_flipped_islands(before, after, SCHEME).islands] == ["part"]


def test_specks_are_not_listed() -> None:
    before, after = matrix(), matrix()
    after[40:42, 40:43] = 3
    found = find_flipped_islands(before, after, SCHEME)
    assert not found.islands and found.changes[0].rims == 1
    assert found.describe() == "1 rim or speck (0.1 %) changes, 0.1 % of the area: 0.1 % ferrite → pearlite."


def test_pixels_without_a_phase_do_not_count() -> None:
    before, after = matrix(), matrix()
    after[40:60, :] = EXCLUDED
    before[60:, :50] = 0
    found = find_flipped_islands(before, after, SCHEME)
    assert not found.changes and not found.shown.any() and found.share == 0
    assert found.describe() == "No pixel changes its phase."


def test_maps_of_different_images_are_refused() -> None:
    with pytest.raises(MicrographError, match="same image"):
        find_flipped_islands(matrix(), matrix()[:-1], SCHEME)


two_maps = arrays(np.uint8, (2, 9, 11), elements=st.sampled_from([0, 1, 1, 1, 2, 2, 3, EXCLUDED]))


@given(maps=two_maps)
def test_every_changed_pixel_is_counted_once(maps: np.ndarray) -> None:
    before, after = maps
    found = find_flipped_islands(before, after, SCHEME)
    phases = (np.isin(maps, (1, 2, 3))).all(axis=0)
    changed = phases & (before != after)
    assert sum(c.island_px + c.rim_px for c in found.changes) == np.count_nonzero(changed)
    assert np.array_equal(found.shown, np.where(changed, after, 0))
    assert found.share == pytest.approx(changed.sum() / max(phases.sum(), 1))
    assert sum(i.area_px for i in found.islands) == sum(c.island_px for c in found.changes)
    for island in found.islands:
        here = found.numbers == island.number
        assert here.sum() == island.area_px
        assert set(before[here]) == {island.before} and set(after[here]) == {island.after}
    assert [i.area_px for i in found.islands] == sorted((i.area_px for i in found.islands), reverse=True)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    model = load_model(tiny_model(tmp_path_factory.mktemp("models")))
    return Session(model, tiny_image(), device="cpu")


def test_two_maps_of_a_session_are_compared(session: Session) -> None:
    own, nothing_asked = (
        run_to_end(session.segment(Request(asked=asked))).labels for asked in (None, np.full(3, np.nan))
    )
    assert np.array_equal(own, nothing_asked), "a ratio that leaves everything open is no ratio"
    wish = np.array([0.5, 0.3, 0.2])
    asked = run_to_end(session.segment(Request(asked=wish, uncertainty=0.0, mode="matched"))).labels
    shares = [np.mean(asked == k) for k in (1, 2, 3)]
    assert shares == pytest.approx(wish, abs=1e-3), "imposed as it is, whatever the model thinks"
    found = find_flipped_islands(own, asked, session.scheme)
    assert found.share == pytest.approx(np.mean(own != asked))
