"""Where the ratio of a study comes from: nobody, the labels, the training images, a simulated expert."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from phaseguide.errors import RatioError
from phaseguide.ratios import Ratio, expert_ratio, guess_ratio
from phaseguide.segmentation.request import AUTO, Estimator

DEFAULT_UNCERTAINTY = 0.1
"""How sure the user of a ratio is unless something else is said, as log-ratio standard deviation."""

ESTIMATORS: dict[str, Estimator] = {
    "auto": AUTO,
    "own": "own",
    "autoregressive": "autoregressive",
    "prior-shift": "prior-shift",
}
"""Sources by which the model finds the ratio itself."""

PLAIN_KINDS = ("none", "oracle", "train-mean", *ESTIMATORS)
NUMBER_KINDS = ("expert", "guess")
FORMS = (
    "none, oracle, train-mean, auto, own, autoregressive, prior-shift, expert:S (for example expert:0.1) "
    "or guess:A (for example guess:0.9)"
)


@dataclass(frozen=True)
class RatioSource:
    """A kind of ratio with its number (S of ``expert``, A of ``guess``).

    ``oracle`` is the true ratio, ``train-mean`` the mean of the model's training images, ``auto`` the model's
    estimate, and by name the ways to get one (`ESTIMATORS`), ``expert`` the truth with log-normal error, ``guess`` the
    published guess, see `phaseguide.ratios.guess_ratio`.
    """

    kind: str
    value: float | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}:{self.value:g}"

    @property
    def is_drawn(self) -> bool:
        """Whether every repeat has another ratio."""
        return self.kind == "expert"

    @property
    def is_repeated(self) -> bool:
        """Whether the study counts repeats."""
        return self.kind in NUMBER_KINDS

    @property
    def gives_ratio(self) -> bool:
        """Whether somebody says a ratio (``none`` and estimates do not)."""
        return self.estimator is None and self.kind != "none"

    @property
    def from_labels(self) -> bool:
        """Whether the ratio comes from the labels of the image, with or without an error."""
        return self.kind in ("oracle", "expert", "guess")

    @property
    def estimator(self) -> Estimator | None:
        """How the model finds the ratio itself; None if it does not."""
        return ESTIMATORS.get(self.kind)

    def asked(self, true: Ratio, train_mean: Ratio, rng: np.random.Generator) -> Ratio | None:
        """Return the ratio that is asked for one image, NaN where open; ``true`` is that of its labels, shape (K,)."""
        if self.kind == "oracle":
            return true.copy()
        if self.kind == "train-mean":
            return np.asarray(train_mean / train_mean.sum(), dtype=np.float64)
        if self.kind == "expert":
            assert self.value is not None
            return expert_ratio(true, self.value, rng)
        if self.kind == "guess":
            assert self.value is not None
            return guess_ratio(true, self.value)
        return None


def parse_source(text: str) -> RatioSource:
    """Read a source: one of `PLAIN_KINDS`, ``expert:S`` or ``guess:A``; `RatioError` for none of these."""
    kind, _, number = text.strip().lower().partition(":")
    kind = kind.strip()
    if kind in PLAIN_KINDS and not number:
        return RatioSource(kind)
    if kind not in NUMBER_KINDS:
        raise RatioError(f"Ratio source {text!r} is not known. Choose {FORMS}.")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    highest = 1.0 if kind == "guess" else 10.0
    if not 0 <= value <= highest:
        raise RatioError(
            f"Ratio source {text!r}: {kind} needs a number from 0 to {highest:g}, for example {kind}:"
            f"{'0.9' if kind == 'guess' else '0.1'}."
        )
    return RatioSource(kind, value)


def draw_generator(seed: int, repeat: int, stem: str) -> np.random.Generator:
    """Return the random generator of one repeat on one image.

    It depends on the image's name and not on its place in the data set, so that an image meets the
    same experts whichever images are evaluated with it.
    """
    name = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, repeat, name])
