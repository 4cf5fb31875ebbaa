"""Ratio sources of a study: their texts, what they ask, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.errors import RatioError
from phaseguide.evaluation.ratio_source import RatioSource, draw_generator, parse_source

TRUE = np.array([0.7, 0.3, 0.0])
MEAN = np.array([0.2, 0.2, 0.6])


@pytest.mark.parametrize("text", ["none", "oracle", "train-mean", "auto", "expert:0.1", "guess:0.9"])
def test_texts_are_read_and_written_alike(text: str) -> None:
    assert str(parse_source(text)) == text
    assert parse_source(f" {text.upper()} ") == parse_source(text)


@pytest.mark.parametrize(
    "text",
    ["", "experts", "expert", "expert:", "expert:-1", "expert:x", "guess:1.1", "guess:nan", "oracle:1"],
)
def test_wrong_texts_say_what_is_right(text: str) -> None:
    with pytest.raises(RatioError, match=r"expert:|guess:"):
        parse_source(text)


def asked(text: str, seed: int = 0, repeat: int = 0, stem: str = "a") -> np.ndarray | None:
    return parse_source(text).asked(TRUE, MEAN, draw_generator(seed, repeat, stem))


def test_what_each_source_asks() -> None:
    assert asked("none") is None and asked("auto") is None
    np.testing.assert_array_equal(asked("oracle"), TRUE)
    np.testing.assert_allclose(asked("train-mean"), MEAN)
    np.testing.assert_allclose(asked("guess:1"), TRUE)
    np.testing.assert_allclose(asked("guess:0.9"), [0.645, 0.305, 0.05])
    expert = asked("expert:0.2")
    assert expert is not None
    assert np.isnan(expert[2]), "an absent phase stays open"
    assert np.nansum(expert) == pytest.approx(1)
    np.testing.assert_allclose(asked("expert:0")[:2], TRUE[:2])


def test_an_expert_is_drawn_anew_for_each_repeat_image_and_seed_and_never_otherwise() -> None:
    first = asked("expert:0.2")
    np.testing.assert_array_equal(first, asked("expert:0.2"))
    for other in (asked("expert:0.2", seed=1), asked("expert:0.2", repeat=1), asked("expert:0.2", stem="b")):
        assert not np.allclose(first, other, equal_nan=True)


def test_the_error_of_an_expert_is_log_normal() -> None:
    source = RatioSource("expert", 0.2)
    true = np.array([0.5, 0.5])
    drawn = np.array([source.asked(true, true, draw_generator(0, i, "a")) for i in range(2000)])
    logs = np.log(drawn[:, 0] / drawn[:, 1])
    assert np.mean(logs) == pytest.approx(0, abs=0.03)
    assert np.std(logs) == pytest.approx(0.2 * np.sqrt(2), rel=0.06)
