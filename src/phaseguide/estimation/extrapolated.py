"""Area shares from painted pixels, second reading: *extrapolated* from strokes to the whole image.

Strokes say what a phase looks like, not how much of it there is: an analyst paints a little of each. So a small
classifier learns the looks from the painted pixels at even odds and is applied to the whole image. The mean of its
probabilities there is a first estimate of the shares; with these as odds the probabilities are taken anew, and so on
until they agree (Saerens et al., Neural Comput. 14 (2002), 21: the maximum-likelihood shares, if each phase looks on
the image as it does under the strokes). Classifiers of several folds are averaged; on the strokes that each did not
learn from it is seen which phases cannot be told apart.

It is right when the strokes of each phase show how that phase looks everywhere in the image, however many
of them there are. But strokes are where somebody chose to paint: on what is easy, in one corner, on the mistakes of a
model. Nothing in them tells how far the rest of the image is from that, so the shares carry no interval: resampled
strokes gave one that held the truth far too rarely on labelled micrographs (``docs/benchmarks/coverage.md``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError
from phaseguide.estimation.painted import NO_INTERVAL, PaintedEstimate, check_painted
from phaseguide.labels import count_labels
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme

Floats = NDArray[np.float64]

BLOCK_PX = 64
"""Side of the squares at whose borders strokes are cut into several witnesses, px."""

FOLDS = 5
MOST_TRAINING_PIXELS = 4000
IMAGE_PIXELS = 40_000
"""Pixels of the image that are looked at; on a grid of these a mean is sharp to 0.2 pp and better."""

STEPS = 25
"""Rounds of odds and shares; by then they agree to 0.1 percentage points, or no longer matter."""

LEAST_SHARE = 1e-4
"""No phase is given up before the last round."""

REGULARISATION = 0.1

FEW_STROKES = 5
LEAST_APART = 0.05
"""Least determinant of the 2 x 2 part of M for two phases (1 apart, 0 the same) that still tells them apart."""


def extrapolated_share(
    labels: ArrayLike, features: NDArray[np.floating], scheme: PhaseScheme, *, source: str = "labels"
) -> PaintedEstimate:
    """Learn the painted phases, and find their shares in the whole image.

    Labels (H, W): 0 nothing said, 1..K, 255 excluded. Features (h, w, D) are those of `pixel_features`, of each pixel
    or of every n-th row and column; then the labels are read there too. Shares are NaN for phases that are not
    painted; the others then share the whole; and for phases whose strokes look alike. There is no interval, unless all
    is painted. Raises as `check_painted`, and `MicrographError` where fewer than two phases are painted, or one in one
    place only.
    """
    whole = check_painted(labels, scheme, source=source)
    step = round(whole.shape[0] / features.shape[0])
    painted = whole[::step, ::step]
    if painted.shape != features.shape[:2]:
        raise MicrographError(
            f"{source} is {' x '.join(map(str, whole.shape))} px and does not fit the features of this image. "
            "Use labels that were painted on it."
        )
    pieces = _cut(painted, len(scheme), max(1, BLOCK_PX // step))
    phases = np.unique(pieces.phase)
    if len(phases) < 2:
        raise MicrographError(
            f"{source}: extrapolating needs strokes on at least two phases, and only "
            f"{scheme.phases[phases[0] - 1].name if len(phases) else 'none'} is painted. Paint another one."
        )
    lonely = [scheme.phases[k - 1].name for k in phases if np.count_nonzero(pieces.phase == k) < 2]
    if lonely:
        raise MicrographError(
            f"{source}: {', '.join(lonely)} is painted in one place only. Extrapolating needs strokes in at "
            f"least two places of each painted phase, better {FEW_STROKES} or more."
        )
    n = len(scheme)
    shares = np.full(n, np.nan)
    quantifier = _Quantifier(pieces, phases, features, painted)
    shares[phases - 1] = quantifier.shares()
    alike = _look_alike(quantifier.confusion())
    for pair in alike:
        shares[phases[list(pair)] - 1] = np.nan
    complete = not (painted == NOT_CLASSIFIED).any()
    ends = shares if complete else np.full(n, np.nan)
    pixels = count_labels(whole, n)
    counts = np.bincount(pieces.phase, minlength=n + 1)[1:].astype(np.int64)
    warnings = _warnings(scheme, counts, phases, alike)
    if not complete:
        warnings = (NO_INTERVAL, *warnings)
    return PaintedEstimate("extrapolated", shares, ends, ends, pixels, counts, warnings)


@dataclass(frozen=True)
class _Pieces:
    """Painted strokes cut into pieces by the squares of a grid, which are the pieces."""

    pixel: NDArray[np.intp]
    """Flat position of each painted pixel, (n,)."""
    of_pixel: NDArray[np.intp]
    """Piece of each painted pixel, (n,)."""
    phase: NDArray[np.intp]
    """Phase 1..K of each piece, (B,)."""
    size: Floats
    """Pixels of each piece, (B,)."""


def _cut(painted: NDArray[np.uint8], n_phases: int, side: int) -> _Pieces:
    from scipy.ndimage import label as connect

    pixel = np.flatnonzero((painted >= 1) & (painted <= n_phases))
    phase = painted.ravel()[pixel].astype(np.intp)
    rows, columns = np.divmod(pixel, painted.shape[1])
    key = np.zeros((pixel.size, 4), dtype=np.int64)
    key[:, 0], key[:, 2], key[:, 3] = phase, rows // side, columns // side
    for k in np.unique(phase):
        blobs, _ = connect(painted == k, structure=np.ones((3, 3)))
        key[phase == k, 1] = blobs.ravel()[pixel[phase == k]]
    piece, of_pixel = np.unique(key, axis=0, return_inverse=True)
    of_pixel = of_pixel.reshape(-1)
    size = np.bincount(of_pixel).astype(np.float64)
    return _Pieces(pixel, of_pixel, piece[:, 0].astype(np.intp), size)


class _Quantifier:
    """Classifiers of all folds, and what they see on held-out strokes and on the image."""

    def __init__(
        self,
        pieces: _Pieces,
        phases: NDArray[np.intp],
        features: NDArray[np.floating],
        painted: NDArray[np.uint8],
    ) -> None:
        rng = np.random.default_rng(0)
        flat = features.reshape(-1, features.shape[-1])
        at_strokes = flat[pieces.pixel].astype(np.float32)
        self.mean = at_strokes.mean(0)
        self.scale = np.maximum(at_strokes.std(0), 1e-6)
        self.strokes = (at_strokes - self.mean) / self.scale
        rest = np.flatnonzero(painted.ravel() == 0)
        every = max(1, rest.size // IMAGE_PIXELS)
        self.image = (flat[rest[rng.integers(every) :: every]].astype(np.float32) - self.mean) / self.scale
        self.pieces, self.phases = pieces, phases
        self.column = np.searchsorted(phases, pieces.phase)
        self.fold = _deal(pieces, phases)
        self.part_painted = pieces.pixel.size / (pieces.pixel.size + rest.size)
        self.models = [self._learn(fold, rng) for fold in range(self.fold.max() + 1)]

    def shares(self) -> Floats:
        """Shares of the painted phases in the whole image; what is painted counts as it is."""
        count = len(self.phases)
        known = np.bincount(self.column, self.pieces.size, count) / self.pieces.size.sum()
        if not len(self.image):
            return np.asarray(known, dtype=np.float64)
        logits = [_logits(self.image, *model) for model in self.models]
        rest = np.full(count, 1 / count)
        for _ in range(STEPS):
            odds = np.log(count * np.maximum(rest, LEAST_SHARE))
            rest = np.mean([_probabilities(one, odds).mean(0, dtype=np.float64) for one in logits], axis=0)
        found = self.part_painted * known + (1 - self.part_painted) * rest
        return np.asarray(found / found.sum(), dtype=np.float64)

    def confusion(self) -> Floats:
        """M[j, k]: mean probability of phase j on the strokes of phase k, by classifiers that have not seen them."""
        count = len(self.phases)
        held_out = np.empty((len(self.strokes), count))
        fold_of_pixel = self.fold[self.pieces.of_pixel]
        for fold, model in enumerate(self.models):
            mine = fold_of_pixel == fold
            held_out[mine] = _probabilities(_logits(self.strokes[mine], *model), np.zeros(count))
        of_phase = self.column[self.pieces.of_pixel]
        total = np.bincount(of_phase, minlength=count)
        return np.stack([np.bincount(of_phase, column, count) / total for column in held_out.T])

    def _learn(self, fold: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Weights (K, D) and biases (K,) of a logistic regression on all other folds, at even odds."""
        from sklearn.linear_model import LogisticRegression

        chosen = np.flatnonzero(self.fold[self.pieces.of_pixel] != fold)
        if chosen.size > MOST_TRAINING_PIXELS:
            chosen = rng.choice(chosen, MOST_TRAINING_PIXELS, replace=False)
        model = LogisticRegression(C=REGULARISATION, max_iter=200, class_weight="balanced")
        model.fit(self.strokes[chosen], self.column[self.pieces.of_pixel[chosen]])
        weights, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
        if len(self.phases) == 2:  # one row tells the second class from the first
            weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        return weights, bias


def _deal(pieces: _Pieces, phases: NDArray[np.intp]) -> NDArray[np.intp]:
    """Deal the pieces of each phase into folds, largest first and back and forth, so that all weigh alike."""
    fewest = min(int(np.count_nonzero(pieces.phase == k)) for k in phases)
    folds = min(FOLDS, fewest)
    order = np.concatenate([np.arange(folds), np.arange(folds)[::-1]])
    fold = np.empty(len(pieces.size), dtype=np.intp)
    for k in phases:
        mine = np.flatnonzero(pieces.phase == k)
        mine = mine[np.argsort(-pieces.size[mine], kind="stable")]
        fold[mine] = order[np.arange(mine.size) % (2 * folds)]
    return fold


def _logits(features: NDArray[np.float32], weights: Floats, bias: Floats) -> NDArray[np.float32]:
    return np.asarray(features @ weights.T.astype(np.float32) + bias.astype(np.float32), dtype=np.float32)


def _probabilities(logits: NDArray[np.float32], odds: Floats) -> NDArray[np.float32]:
    moved = logits + odds.astype(np.float32)
    moved -= moved.max(1, keepdims=True)
    np.exp(moved, out=moved)
    moved /= moved.sum(1, keepdims=True)
    return moved


def _look_alike(confusion: Floats) -> list[tuple[int, int]]:
    """Pairs of phases that the classifier cannot tell apart: their columns of M are nearly the same."""
    count, pairs = len(confusion), []
    for j in range(count):
        for k in range(j + 1, count):
            pair = confusion[np.ix_([j, k], [j, k])]
            if np.linalg.det(pair / np.maximum(pair.sum(0), 1e-9)) < LEAST_APART:
                pairs.append((j, k))
    return pairs


def _warnings(
    scheme: PhaseScheme,
    counts: NDArray[np.int64],
    phases: NDArray[np.intp],
    alike: list[tuple[int, int]],
) -> tuple[str, ...]:
    warnings = []
    for phase, count in zip(scheme, counts, strict=True):
        if not count:
            warnings.append(
                f"{phase.name} is not painted, so nothing is said about it and the others share the whole."
            )
        elif count < FEW_STROKES:
            warnings.append(
                f"{phase.name}: only {count} strokes. Paint {FEW_STROKES} or more in different places."
            )
    names = [scheme.phases[k - 1].name for k in phases]
    warnings += [
        f"The strokes of {names[j]} and {names[k]} look much alike, so their shares cannot be told."
        for j, k in alike
    ]
    return tuple(warnings)
