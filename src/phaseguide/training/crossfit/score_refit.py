"""Refitting the score head on what was painted: seconds, while the network stays as it is.

Corrections are no sample of an image: they lie where the model is wrong, so that a regression on them alone learns to
contradict it. What nobody corrected says something too. So the head learns from both: painted pixels, which count a
small part, and pixels far from any paint, at which it is held to what it says already, as it is in images that the
model was trained on. A ridge penalty pulls its weights to the old ones (see
`phaseguide.segmentation.network.score_head`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import is_labelled
from phaseguide.models.card import ScoreHeadCard
from phaseguide.segmentation.network.score_head import head_inputs
from phaseguide.training.crossfit.score_fit import SIGMAS

if TYPE_CHECKING:
    from phaseguide.segmentation.session import Session

Floats = NDArray[np.float64]

PIXELS = 6_000
"""Pixels of each kind drawn from an image at most."""

PAINTED_SHARE = 0.1
"""What painted pixels count in the fit, of 1, where there are others to be held to; chosen on one fold."""

RIDGE = 0.3
"""Penalty on the squared change of standardised weights, beside a mean cross-entropy; chosen on one fold."""

STEPS = 100


@dataclass(frozen=True)
class HeadPixels:
    """Inputs of the head at pixels of an image (n, D), and what it is to say there (n, K): the painted ones, and those
    far from paint, where it is held to what it says.
    """

    painted: Floats
    phases: Floats
    far: Floats
    before: Floats


def neutral_head(n_phases: int, sigmas: Sequence[float] = SIGMAS) -> ScoreHeadCard:
    """Return a head that passes log probabilities on as they are."""
    weights = np.eye(n_phases, n_phases + 1 + 2 * len(sigmas))
    return ScoreHeadCard(sigmas=list(sigmas), weights=weights.tolist(), bias=[0.0] * n_phases)


def head_pixels(
    session: Session,
    teach: NDArray[np.uint8],
    far: NDArray[np.bool_],
    head: ScoreHeadCard,
    *,
    seed: int = 0,
    most: int = PIXELS,
) -> HeadPixels:
    """Draw pixels of an image that was segmented, so many of a kind at most.

    They come from the labels to learn (H, W), and from what is ``far`` from any paint.
    """
    metal, rng = session.metal, np.random.default_rng(seed)
    away = far[metal.window]
    if metal.excluded is not None:
        away = away & ~metal.excluded
    marks = teach[metal.window]
    taught, rest = (
        rng.choice(where, min(most, where.size), replace=False)
        for where in (np.flatnonzero(is_labelled(marks)), np.flatnonzero(away))
    )
    inputs = inputs_at(session, head, np.concatenate([taught, rest]))
    painted, others = inputs[: taught.size], inputs[taught.size :]
    phases = np.eye(len(head.bias))[marks.reshape(-1)[taught].astype(np.intp) - 1]
    return HeadPixels(painted, phases, others, _softmax(said(head, others)))


def inputs_at(session: Session, head: ScoreHeadCard, where: NDArray[np.int64]) -> Floats:
    """Inputs of a head (n, D) at pixels of the metal's window, by their place in it when it is flat."""
    assert session.scores is not None
    metal = session.metal
    scores, grey = np.asarray(session.scores[:, *metal.window]), metal.planes().mean(0)
    maps = head_inputs(scores, grey, head, metal.excluded)
    return np.stack([m.reshape(-1)[where] for m in maps], axis=1).astype(np.float64)


def said(head: ScoreHeadCard, inputs: Floats) -> Floats:
    """Return what a head makes of its inputs: log probabilities up to a constant, (n, K)."""
    return np.asarray(inputs @ np.array(head.weights).T + np.array(head.bias), dtype=np.float64)


def refitted_head(
    head: ScoreHeadCard, images: Sequence[HeadPixels], rehearsed: Sequence[HeadPixels] = ()
) -> ScoreHeadCard:
    """Fit a head anew, from what it was; in ``rehearsed`` images it is only held to what it says.

    Minimises the weighted mean cross-entropy to `HeadPixels` plus `RIDGE` / 2 times the squared change of the weights,
    all inputs brought to mean 0 and spread 1; convex. Returns the head as it is where nothing is painted.
    """
    from scipy.optimize import minimize

    told = [(image.painted, image.phases) for image in images]
    own = [(image.far, image.before) for image in images]
    old = [(image.far, image.before) for image in rehearsed]
    if not any(len(inputs) for inputs, _ in told):
        return head
    weight = np.concatenate(_weights([sum(len(inputs) for inputs, _ in kind) for kind in (told, own, old)]))
    inputs, wanted = (np.concatenate([pair[i] for pair in (*told, *own, *old)]) for i in (0, 1))
    centre, spread = inputs.mean(0), inputs.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    columns = np.column_stack([(inputs - centre) / spread, np.ones(len(inputs))])
    was = np.array(head.weights)
    start = np.column_stack([was * spread, np.array(head.bias) + was @ centre])

    def loss(flat: Floats) -> tuple[float, Floats]:
        now = flat.reshape(start.shape)
        logits = columns @ now.T
        logits -= logits.max(1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        slope = (weight[:, None] * (np.exp(log_p) - wanted)).T @ columns + RIDGE * (now - start)
        value = -float(weight @ (wanted * log_p).sum(1)) + RIDGE / 2 * float(np.square(now - start).sum())
        return value, slope.reshape(-1)

    found = minimize(loss, start.reshape(-1), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    fitted = found.x.reshape(start.shape)
    weights = fitted[:, :-1] / spread
    bias = fitted[:, -1] - weights @ centre
    return head.model_copy(update={"weights": weights.tolist(), "bias": bias.tolist()})


def _weights(counts: Sequence[int]) -> list[Floats]:
    """Weight of each pixel: painted ones share `PAINTED_SHARE`, the two kinds of others what is left, alike."""
    kinds = sum(count > 0 for count in counts[1:])
    rest = (1 - PAINTED_SHARE) / max(1, kinds)
    shares = [PAINTED_SHARE if kinds else 1.0, *[rest] * (len(counts) - 1)]
    return [np.full(n, share / max(1, n)) for n, share in zip(counts, shares, strict=True)]


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), dtype=np.float64)
