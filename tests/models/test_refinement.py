"""Guidance on scores: where it starts, what it depends on, and what changes of phases do to it."""

from __future__ import annotations

import itertools

import pytest
import torch
from tests.models.test_rephase import MODELS

from phaseguide.errors import ModelError
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.refinement import ScoreRefinement, build_refinement
from phaseguide.models.rephase import rephase
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter, with_guidance
from phaseguide.phases import PhaseScheme

PHASES, HEIGHT, WIDTH = 3, 150, 133


def taught(width: int = 8, levels: int = 3, seed: int = 0) -> ScoreRefinement:
    """A refinement with random weights everywhere, as if it had learnt."""
    torch.manual_seed(seed)
    made = ScoreRefinement(PHASES, width, levels).eval()
    for last in (made.correction, made.gate):
        torch.nn.init.normal_(last.weight)
    return made


def given(seed: int = 1) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    return [
        torch.randn(1, PHASES, HEIGHT, WIDTH),
        torch.tensor([[0.4, -0.6, 0.2]]),
        torch.randn(1, 1, HEIGHT, WIDTH),
        torch.tensor([[0.2, -0.3, 0.0]]),
        torch.tensor([[0.1, 0.3, 1.0]]),
    ]


def test_an_untrained_refinement_is_matching_itself() -> None:
    scores, offsets, *others = given()
    with torch.inference_mode():
        refined = ScoreRefinement(PHASES).eval()(scores, offsets, *others)
    assert torch.equal(refined, scores + offsets[:, :, None, None])


@pytest.mark.parametrize("changed", range(5))
def test_everything_that_it_is_told_counts(changed: int) -> None:
    inputs = given()
    with torch.inference_mode():
        before = taught()(*inputs) - inputs[0] - inputs[1][:, :, None, None]
        inputs[changed] = inputs[changed].flip(1) if changed in (0, 1) else inputs[changed] * 0.5
        after = taught()(*inputs) - inputs[0] - inputs[1][:, :, None, None]
    assert not torch.allclose(before, after, atol=1e-3)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_tile_with_its_reach_around_it_is_corrected_as_in_the_whole_image(levels: int) -> None:
    made = taught(levels=levels)
    torch.manual_seed(2)
    side = 2 * made.reach + 5 * made.grid + 64
    scores, grey = torch.randn(1, PHASES, side, side), torch.randn(1, 1, side, side)
    _, offsets, _, asked, spread = given()
    top, left = made.reach + made.grid, made.reach + 2 * made.grid
    rows, columns = slice(top, top + 37), slice(left, left + 41)
    around = (
        slice(top - made.reach, rows.stop + made.reach),
        slice(left - made.reach, columns.stop + made.reach),
    )
    with torch.inference_mode():
        whole = made(scores, offsets, grey, asked, spread)[..., rows, columns]
        part = made(scores[..., *around], offsets, grey[..., *around], asked, spread)
        inner = part[..., made.reach : made.reach + 37, made.reach : made.reach + 41]
        closer = made(
            scores[..., top:, left:][..., :37, :41],
            offsets,
            grey[..., top:, left:][..., :37, :41],
            asked,
            spread,
        )
    torch.testing.assert_close(inner, whole, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(closer, whole, atol=1e-2), "surroundings must count, or this tests nothing"


def test_scores_that_say_the_same_are_corrected_alike() -> None:
    inputs = given()
    with torch.inference_mode():
        before = taught()(*inputs)
        shifted = taught()(inputs[0] + 5.0, *inputs[1:])
    torch.testing.assert_close(before + 5.0, shifted, atol=1e-4, rtol=1e-4)


def test_phases_in_another_order_are_corrected_in_that_order() -> None:
    old = with_guidance(MODELS["none"].segmenter, GuidanceOptions("refine", {"width": 8}))
    assert old.refinement is not None
    old.refinement.load_state_dict(taught().state_dict())
    old.eval()
    model = MODELS["none"]
    card = model.card.model_copy(
        update={
            "guidance": model.card.guidance.model_copy(update={"kind": "refine", "options": {"width": 8}})
        }
    )
    start = type(model)(old, card, model.path)
    for order in itertools.permutations(range(3)):
        names = [start.card.scheme.names[i] for i in order]
        new = rephase(
            start, PhaseScheme.from_names(names), {k + 1: (i + 1,) for k, i in enumerate(order)}
        ).segmenter
        assert new.refinement is not None
        scores, offsets, grey, asked, spread = given()
        rows = list(order)
        with torch.inference_mode():
            before = old.refinement(scores, offsets, grey, asked, spread)
            after = new.refinement(scores[:, rows], offsets[:, rows], grey, asked[:, rows], spread[:, rows])
        torch.testing.assert_close(after, before[:, rows], atol=1e-4, rtol=1e-4)


def test_the_network_below_never_hears_the_ratio() -> None:
    torch.manual_seed(0)
    backbone = BackboneOptions("unet", "tu-test_efficientnet", 1, {"decoder_channels": [16, 16, 8, 8, 8]})
    model = GuidedSegmenter(
        backbone, GuidanceOptions("refine", {"width": 8}), PhaseScheme.from_names(["a", "b", "c"])
    ).eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(image), model(image, torch.tensor([[0.7, 0.2, 0.1]])))


def test_options_out_of_their_limits_are_refused() -> None:
    with pytest.raises(ModelError, match=r"width is 100000; it must be a whole number from 4 to 256"):
        build_refinement(3, {"width": 100_000})
    with pytest.raises(ModelError, match="has no gamma; it has levels, width"):
        build_refinement(3, {"gamma": 1.0})
