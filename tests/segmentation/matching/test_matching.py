from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from phaseguide.errors import PhaseguideError, RatioError, SchemeError
from phaseguide.segmentation.matching import whole_image
from phaseguide.segmentation.matching.match import Matcher, argmax_labels, match_ratio, shares


def smooth_field(n_phases: int, size: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_phases, size, size)).astype(np.float32)
    maps = np.stack([gaussian_filter(plane, 4) for plane in noise])
    return (3 * maps / maps.std()).astype(np.float32)


def total_score(scores: np.ndarray, labels: np.ndarray) -> float:
    index = labels.astype(np.intp)[None] - 1
    return float(np.take_along_axis(scores.astype(np.float64), index, axis=0).sum())


@st.composite
def problems(draw: st.DrawFn, *, quantised: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Small score maps and a wanted composition, zeros and ones included."""
    n_phases = draw(st.integers(1, 5))
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    values = st.integers(-2, 2) if quantised else st.floats(-8, 8, width=32)
    scores = draw(hnp.arrays(np.float32, (n_phases, *shape), elements=values))
    weights = np.array(draw(st.lists(st.integers(0, 5), min_size=n_phases, max_size=n_phases)), dtype=float)
    assume(weights.sum() > 0)
    return scores, weights / weights.sum()


@given(problems())
def test_exact_to_one_pixel(problem):
    scores, wanted = problem
    match = match_ratio(scores, wanted)
    if match.determinable:
        assert np.all(np.abs(match.achieved - wanted) * match.labels.size < 1 + 1e-9)
        assert match.targets.sum() == match.labels.size
        np.testing.assert_array_equal(shares(match.labels, len(scores)), match.achieved)
    assert match.reachable
    assert match.offsets.mean() == pytest.approx(0, abs=1e-9)
    assert np.isfinite(match.offsets).all()


@given(problems() | problems(quantised=True))
def test_total_score_is_that_of_the_best_assignment(problem):
    scores, wanted = problem
    match = match_ratio(scores, wanted)
    assume(match.determinable)
    slots = np.repeat(np.arange(len(scores)), match.targets)
    gain = scores.reshape(len(scores), -1)[slots].astype(np.float64)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    assert total_score(scores, match.labels) == pytest.approx(gain[rows, columns].sum(), abs=1e-5)


@given(problems())
def test_offsets_explain_the_labels(problem):
    scores, wanted = problem
    match = match_ratio(scores, wanted)
    assume(match.determinable)
    raised = scores.astype(np.float64) + match.offsets[:, None, None]
    own = np.take_along_axis(raised, match.labels.astype(np.intp)[None] - 1, axis=0)[0]
    assert np.all(own >= raised.max(axis=0) - 1e-6)


@given(problems() | problems(quantised=True))
def test_own_shares_give_the_argmax(problem):
    scores, _ = problem
    plain = argmax_labels(scores)
    match = match_ratio(scores, shares(plain, len(scores)))
    np.testing.assert_array_equal(match.labels, plain)
    np.testing.assert_array_equal(match.offsets, 0)
    assert match.determinable


@given(problems(), st.data())
def test_edits_stay_and_excluded_pixels_leave_the_denominator(problem, data):
    scores, wanted = problem
    n_phases = len(scores)
    values = st.sampled_from([0, 0, 0, *range(1, n_phases + 1), 255])
    fixed = data.draw(hnp.arrays(np.uint8, scores.shape[1:], elements=values))
    assume((fixed != 255).any())
    match = match_ratio(scores, wanted, fixed=fixed)
    np.testing.assert_array_equal(match.labels[fixed != 0], fixed[fixed != 0])
    assert np.all((match.labels >= 1) & (match.labels <= n_phases) | (fixed == 255))
    counted = np.count_nonzero(fixed != 255)
    edited = np.array([np.count_nonzero(fixed == k) for k in range(1, n_phases + 1)])
    assert match.targets.sum() == counted
    assert np.all(match.targets >= edited)
    if match.determinable:
        np.testing.assert_allclose(match.achieved * counted, match.targets)
        if match.reachable:
            assert np.all(np.abs(match.achieved - wanted) * counted <= 1 + 1e-6)


@settings(max_examples=50)
@given(problems() | problems(quantised=True), st.data())
def test_raising_one_phase_only_adds_to_it(problem, data):
    scores, _ = problem
    n_phases, n_pixels = len(scores), scores[0].size
    # Whole counts, so that rounding to pixels cannot raise another phase by one.
    cuts = sorted(data.draw(st.lists(st.integers(0, n_pixels), min_size=n_phases - 1, max_size=n_phases - 1)))
    before = np.diff([0, *cuts, n_pixels])
    phase = data.draw(st.integers(0, n_phases - 1))
    givers = [k for k in range(n_phases) if k != phase and before[k]]
    assume(givers)
    after = before.copy()
    for k in givers:
        moved = data.draw(st.integers(0, int(before[k])))
        after[k] -= moved
        after[phase] += moved
    # The plain argmax knows no order of equal pixels; the promise is about matched maps.
    own = shares(argmax_labels(scores), n_phases) * n_pixels
    assume(not np.allclose(own, before) and not np.allclose(own, after))
    first, second = match_ratio(scores, before / n_pixels), match_ratio(scores, after / n_pixels)
    assume(first.determinable and second.determinable)
    assert np.all(second.labels[first.labels == phase + 1] == phase + 1)


@settings(max_examples=50)
@given(problems() | problems(quantised=True), st.floats(0, 1), st.data())
def test_raising_one_phase_while_the_others_shrink_in_proportion_only_adds_to_it(problem, by, data):
    scores, wanted = problem
    n_phases = len(scores)
    phase = data.draw(st.integers(0, n_phases - 1))
    raised = wanted * (1 - by)
    raised[phase] += by
    own = argmax_labels(scores)
    matcher = Matcher(scores)
    first, second = matcher.match(wanted), matcher.match(raised / raised.sum())
    assume(first.determinable and second.determinable)
    assume(not any(np.array_equal(m.labels, own) for m in (first, second)))
    lost = np.count_nonzero((first.labels == phase + 1) & (second.labels != phase + 1))
    # Rounding to whole pixels can give another phase one pixel more.
    assert lost <= np.count_nonzero(second.targets > first.targets)
    assert second.targets[phase] >= first.targets[phase] - 1


@pytest.mark.parametrize("n_phases", [2, 4])
def test_monotone_on_a_large_image(n_phases):
    matcher = Matcher(smooth_field(n_phases, 300))
    rest = np.random.default_rng(1).dirichlet(np.ones(n_phases - 1))
    before = np.zeros((300, 300), bool)
    for share in (0.0, 0.02, 0.1, 0.11, 0.5, 0.97, 1.0):
        labels = matcher.match([share, *(rest * (1 - share))]).labels
        assert np.count_nonzero(before & (labels != 1)) <= n_phases - 2
        before = labels == 1


@given(problems() | problems(quantised=True), st.data())
def test_there_and_back_is_the_same_map_bit_for_bit(problem, data):
    scores, there = problem
    values = st.sampled_from([0, 0, 0, 1, 255])
    fixed = data.draw(hnp.arrays(np.uint8, scores.shape[1:], elements=values))
    assume((fixed != 255).any())
    matcher = Matcher(scores, fixed)
    first = matcher.match(there)
    matcher.match(there[::-1])
    again = matcher.match(there)
    np.testing.assert_array_equal(again.labels, first.labels)
    np.testing.assert_array_equal(again.offsets, first.offsets)
    once = match_ratio(scores, there, fixed=fixed)
    np.testing.assert_array_equal(once.labels, first.labels)
    np.testing.assert_array_equal(once.offsets, first.offsets)
    assert again.labels is not first.labels


def test_there_and_back_on_a_large_image():
    matcher = Matcher(smooth_field(4, 300))
    ratios = np.random.default_rng(0).dirichlet(np.ones(4), 3)
    first = [matcher.match(ratio).labels for ratio in ratios]
    for ratio, labels in zip(ratios[::-1], first[::-1], strict=True):
        np.testing.assert_array_equal(matcher.match(ratio).labels, labels)


@pytest.mark.parametrize("n_phases", [2, 3, 4, 8])
def test_large_smooth_scores(n_phases):
    scores = smooth_field(n_phases, 300)
    rng = np.random.default_rng(n_phases)
    for wanted in (np.full(n_phases, 1 / n_phases), rng.dirichlet(np.ones(n_phases))):
        match = match_ratio(scores, wanted)
        assert np.all(np.abs(match.achieved - wanted) * match.labels.size < 1 + 1e-6)
        raised = scores + match.offsets[:, None, None]
        own = np.take_along_axis(raised, match.labels.astype(np.intp)[None] - 1, axis=0)[0]
        assert np.max(raised.max(axis=0) - own) < 1e-6
        # The pixels that are sampled decide how fast, not what.
        for seed in (1, 2):
            np.testing.assert_array_equal(match_ratio(scores, wanted, seed=seed).labels, match.labels)


@given(problems() | problems(quantised=True), st.integers(0, 3))
def test_sampling_does_not_show_in_the_result(problem, seed):
    scores, wanted = problem
    whole = match_ratio(scores, wanted)
    with pytest.MonkeyPatch.context() as patch:
        # So small a sample misses the optimum often, which must be noticed and mended.
        patch.setattr(whole_image, "_SAMPLE", 6)
        patch.setattr(whole_image, "_CHUNK", 5)
        sampled = match_ratio(scores, wanted, seed=seed)
    assert total_score(scores, sampled.labels) == pytest.approx(total_score(scores, whole.labels), abs=1e-5)
    np.testing.assert_array_equal(sampled.achieved, whole.achieved)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda z: np.round(z),
        lambda z: z.astype(np.float16),
        lambda z: (z > 0).astype(np.float32),
        lambda z: np.where(np.arange(z[0].size).reshape(z[0].shape) < z[0].size // 2, 0, z).astype(
            np.float32
        ),
        lambda z: np.stack([-((z[0] - c) ** 2) for c in (-3, -1, 1, 3)]),  # a chain of phases
        lambda z: z + np.float32(1000),
        lambda z: z * np.float32(1e-6),
    ],
    ids=["rounded", "half", "binary", "half-constant", "chain", "far", "tiny"],
)
def test_awkward_scores_are_matched_exactly(spoil):
    scores = spoil(smooth_field(4, 200))
    for wanted in ([0.25, 0.25, 0.25, 0.25], [0.7, 0.0, 0.2999, 0.0001], [0.0, 0.0, 1.0, 0.0]):
        match = match_ratio(scores, wanted)
        assert np.all(np.abs(match.achieved - wanted) * match.labels.size < 1 + 1e-6)
        np.testing.assert_array_equal(match.labels, match_ratio(scores, wanted, seed=5).labels)


def test_edits_on_a_large_image(tmp_path):
    scores = smooth_field(3, 300)
    fixed = np.zeros((300, 300), np.uint8)
    fixed[:40] = 2
    fixed[-30:] = 255
    match = match_ratio(scores, [0.5, 0.3, 0.2], fixed=fixed)
    assert np.all(match.labels[:40] == 2)
    assert np.all(match.labels[-30:] == 255)
    np.testing.assert_allclose(match.achieved, [0.5, 0.3, 0.2], atol=1 / 81000)
    assert match.reachable

    path = tmp_path / "scores.dat"
    mapped = np.memmap(path, np.float32, "w+", shape=scores.shape)
    mapped[:] = scores
    again = match_ratio(mapped, [0.5, 0.3, 0.2], fixed=fixed)
    np.testing.assert_array_equal(again.labels, match.labels)


def test_mostly_edited_image():
    scores = smooth_field(2, 300)
    fixed = np.full((300, 300), 255, np.uint8)
    fixed[100:200, 50:250] = 0
    match = match_ratio(scores, [0.25, 0.75], fixed=fixed)
    assert np.count_nonzero(match.labels == 1) == 5000
    assert np.count_nonzero(match.labels == 255) == 70000


def test_edits_that_exceed_the_wanted_share_win():
    scores = smooth_field(3, 20)
    fixed = np.zeros((20, 20), np.uint8)
    fixed[:8] = 1  # 40 %
    match = match_ratio(scores, [0.1, 0.6, 0.3], fixed=fixed)
    assert not match.reachable
    np.testing.assert_array_equal(match.targets, [160, 160, 80])
    np.testing.assert_allclose(match.achieved, [0.4, 0.4, 0.2])


def test_everything_edited():
    fixed = np.array([[1, 2], [2, 255]], np.uint8)
    match = match_ratio(np.zeros((2, 2, 2), np.float32), [0.5, 0.5], fixed=fixed)
    np.testing.assert_array_equal(match.labels, fixed)
    assert match.determinable


def test_one_phase_takes_all():
    scores = smooth_field(3, 30)
    match = match_ratio(scores, [0, 1, 0])
    assert np.all(match.labels == 2)
    raised = scores + match.offsets[:, None, None]
    assert np.all(raised[1] >= raised.max(axis=0) - 1e-5)


def test_one_phase_takes_all_that_is_free():
    scores = smooth_field(3, 300)
    fixed = np.zeros((300, 300), np.uint8)
    fixed[:10], fixed[-10:] = 1, 255
    match = match_ratio(scores, [0, 0, 1], fixed=fixed)
    assert np.all(match.labels[10:-10] == 3)
    assert np.all(match.labels[:10] == 1) and np.all(match.labels[-10:] == 255)
    assert match.determinable and not match.reachable
    assert np.isfinite(match.offsets).all()


def test_a_phase_that_gets_nothing_has_the_offset_of_its_first_pixel():
    scores = smooth_field(3, 300)
    match = match_ratio(scores, [0.6, 0.4, 0])
    raised = scores.astype(np.float64) + match.offsets[:, None, None]
    assert np.min(raised[:2].max(axis=0) - raised[2]) == pytest.approx(0, abs=1e-6)


def test_constant_scores_with_edits_are_not_determinable_either():
    scores = np.zeros((2, 300, 300), np.float32)
    scores[1, :50] = 5  # differs only where the user has painted
    fixed = np.zeros((300, 300), np.uint8)
    fixed[:50], fixed[-50:] = 2, 255
    match = match_ratio(scores, [0.5, 0.5], fixed=fixed)
    assert not match.determinable
    assert np.all(match.labels[:50] == 2) and np.all(match.labels[50:-50] == 1)


def test_constant_scores_are_not_determinable():
    scores = np.broadcast_to(np.float32([0.1, 0.7, 0.2])[:, None, None], (3, 20, 20))
    match = match_ratio(scores, [0.4, 0.4, 0.2])
    assert not match.determinable
    assert np.all(match.labels == 2)
    np.testing.assert_array_equal(match.achieved, [0, 1, 0])
    # Brightness that lifts all phases alike says nothing about where they are either.
    ramp = scores + np.linspace(0, 9, 20, dtype=np.float32)
    assert not match_ratio(ramp, [0.4, 0.4, 0.2]).determinable
    # There is only one map that is all phase 3, so the scores are not asked.
    assert np.all(match_ratio(scores, [0, 0, 1]).labels == 3)


def test_ties_go_by_pixel_order():
    scores = np.zeros((2, 1, 6), np.float32)
    scores[1, 0, 0] = 1  # one pixel differs, the others are equal
    match = match_ratio(scores, [0.5, 0.5])
    np.testing.assert_array_equal(match.labels, [[2, 1, 1, 1, 2, 2]])


def test_ties_on_a_large_image_go_by_pixel_order():
    scores = np.zeros((2, 300, 300), np.float32)
    scores[1, 0, 0] = 1
    labels = match_ratio(scores, [0.5, 0.5]).labels.ravel()
    assert labels[0] == 2
    assert np.all(labels[1:45001] == 1) and np.all(labels[45001:] == 2)


def test_one_phase_only():
    match = match_ratio(np.zeros((1, 3, 3), np.float32), [1.0])
    assert np.all(match.labels == 1) and match.determinable


def test_any_spatial_shape():
    scores = smooth_field(2, 12).reshape(2, 3, 4, 12)
    match = match_ratio(scores, [0.25, 0.75])
    assert match.labels.shape == (3, 4, 12)
    assert np.count_nonzero(match.labels == 1) == 36


def test_argmax_takes_the_first_of_equals_and_keeps_edits():
    scores = np.float32([[[1, 0, 3]], [[1, 2, 0]]])
    np.testing.assert_array_equal(argmax_labels(scores), [[1, 2, 1]])
    np.testing.assert_array_equal(argmax_labels(scores, np.uint8([[0, 255, 2]])), [[1, 255, 2]])
    scores = smooth_field(5, 300)
    np.testing.assert_array_equal(argmax_labels(scores), scores.argmax(axis=0) + 1)


def test_shares_ignore_what_is_no_phase():
    np.testing.assert_allclose(shares(np.uint8([0, 1, 1, 2, 255]), 3), [2 / 3, 1 / 3, 0])
    assert np.isnan(shares(np.uint8([0, 255]), 2)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_numbers(bad):
    scores = smooth_field(3, 10)
    scores[1, 3, 3] = bad
    with pytest.raises(PhaseguideError, match="NaN or infinity"):
        match_ratio(scores, [0.2, 0.3, 0.5])


@pytest.mark.parametrize("wanted", [[0.5, 0.5], [0.5, 0.6, 0.2], [-0.1, 0.6, 0.5], [np.nan, 0.5, 0.5]])
def test_ratios_that_cannot_be_matched(wanted):
    with pytest.raises(RatioError):
        match_ratio(smooth_field(3, 10), wanted)


def test_edits_that_do_not_fit():
    scores = smooth_field(2, 10)
    with pytest.raises(SchemeError, match="shape"):
        match_ratio(scores, [0.5, 0.5], fixed=np.zeros((9, 10), np.uint8))
    with pytest.raises(SchemeError, match="label 3"):
        match_ratio(scores, [0.5, 0.5], fixed=np.full((10, 10), 3, np.uint8))
    with pytest.raises(PhaseguideError, match="excluded"):
        match_ratio(scores, [0.5, 0.5], fixed=np.full((10, 10), 255, np.uint8))
    with pytest.raises(PhaseguideError, match="floating point"):
        match_ratio(np.zeros((2, 3, 3), int), [0.5, 0.5])
