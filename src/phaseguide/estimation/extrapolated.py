"""Area shares from painted pixels, second reading: *extrapolated* from strokes to the whole image.

Strokes say what a phase looks like, not how much of it there is: an analyst paints a little of each. So a small
classifier learns the looks from the painted pixels and is applied to the whole image, and what it finds is
corrected for its own confusion. With q the mean of its class probabilities over the image, M[j, k] that of
class j on pixels of phase k, and p the shares,

    q = M p,    so    p = M^-1 q

exactly, for any classifier, good or bad (probabilistic adjusted classify and count: Bella et al., ICDM 2010;
the matrix method of Gart & Buck 1966). M is measured on strokes that the classifier did not learn from: strokes
are dealt into folds, and each fold's classifier gives its own share of q and M, so that what one of them gets
wrong by chance cancels in p. What remains unknown is how far M on these strokes is from M on the image; that
error is found by resampling blocks of painted pixels (`phaseguide.estimation.bootstrap`).

Probabilities are moved from even odds half way, on a logarithmic scale, towards the shares found so far
(Saerens et al., Neural Comput. 14 (2002), 21, go all the way). Inside a phase the whole way would be
sharpest; but at borders, where people do not paint, odds are even whatever the shares are.

It is right when the strokes of each phase show how that phase looks everywhere in the image, however many
of them there are. People avoid what is hard to tell: borders, and islands that could be either. Such pixels
are in doubt on the image, and more so than the strokes explain; their area widens the interval. Of an
island whose look was never painted, but which the classifier is sure of, no interval can know: on
labelled micrographs, with simulated strokes, intervals held the truth in 82-90 % of cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError
from phaseguide.estimation.bootstrap import block_bootstrap
from phaseguide.estimation.painted import LEVEL, PaintedEstimate, check_painted
from phaseguide.labels import count_labels
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Ratio

Floats = NDArray[np.float64]

BLOCK_PX = 64
"""Side of the blocks that are resampled; longer strokes are cut at their borders into several witnesses."""

FOLDS = 5
MOST_TRAINING_PIXELS = 4000
IMAGE_PIXELS = 40_000
"""Pixels of the image on which q is measured; on a grid of these the mean is sharp to 0.2 pp and better."""

TOWARDS_SHARES = 0.5
LEAST_SHARE = 0.003
REGULARISATION = 0.1

UNSEEN_DOUBT = 1.25
"""Standard deviation per unit of doubt on the image that the strokes do not explain.

An area in even doubt has a quarter of itself as doubt, so the interval then reaches over 1.2 times half of it,
which is the most that it can be off. Chosen as the smallest that makes intervals on labelled micrographs
honest, while synthetic fields are not covered too often.
"""

FEW_STROKES = 5
LEAST_APART = 0.05
"""Least determinant of the 2 x 2 part of M for two phases (1 apart, 0 the same) that still tells them apart."""


def extrapolated_share(
    labels: ArrayLike, features: NDArray[np.floating], scheme: PhaseScheme, *, source: str = "labels"
) -> PaintedEstimate:
    """Learn the painted phases, find them in the whole image, and correct for confusion.

    Labels (H, W): 0 nothing said, 1..K, 255 excluded. Features (h, w, D) are those of `pixel_features`, of each pixel
    or of every n-th row and column; then the labels are read there too. Shares are NaN for phases that are not
    painted; the others then share the whole. Raises as `check_painted`, and `MicrographError` where fewer than two
    phases are painted, or one in one place only.
    """
    from scipy.stats import t as student

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
    found = _Quantifier(pieces, phases, features, painted).solve()
    n = len(scheme)
    shares, low, high = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    at = phases - 1
    half = student.ppf((1 + LEVEL) / 2, found.freedom) * found.deviation
    inside = np.clip(found.shares, 0, 1)
    shares[at] = inside / inside.sum()
    low[at] = np.clip(np.minimum(found.shares - half, shares[at]), 0, 1)
    high[at] = np.clip(np.maximum(found.shares + half, shares[at]), 0, 1)
    alike = _look_alike(found.confusion)
    for pair in alike:  # to first order M^-1 says nothing any more, and no interval follows from it
        low[at[list(pair)]], high[at[list(pair)]] = 0.0, 1.0
    pixels = count_labels(whole, n)
    counts = np.bincount(pieces.phase, minlength=n + 1)[1:].astype(np.int64)
    warnings = _warnings(scheme, counts, phases, found.shares, half, alike)
    return PaintedEstimate("extrapolated", shares, low, high, pixels, counts, warnings)


@dataclass(frozen=True)
class _Pieces:
    """Painted strokes cut into pieces by the squares of a grid, which are the pieces."""

    pixel: NDArray[np.intp]
    """Flat position of each painted pixel, (n,)."""
    of_pixel: NDArray[np.intp]
    """Piece of each painted pixel, (n,)."""
    phase: NDArray[np.intp]
    """Phase 1..K of each piece, (B,)."""
    block: NDArray[np.intp]
    """Square of the grid in which each piece lies, (B,)."""
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
    block = piece[:, 2] * (painted.shape[1] // side + 1) + piece[:, 3]
    return _Pieces(pixel, of_pixel, piece[:, 0].astype(np.intp), block.astype(np.intp), size)


@dataclass(frozen=True)
class _Found:
    """Shares of the painted phases (they may leave [0, 1]), their errors, and M."""

    shares: Ratio
    deviation: Floats
    freedom: Floats
    confusion: Floats


@dataclass(frozen=True)
class _Look:
    """What the classifiers see, on the image and on held-out strokes; K painted phases, B pieces."""

    seen: Floats
    """Mean probabilities on the image, q, (K,)."""
    sums: Floats
    """Sums of probabilities over each piece, (B, K)."""
    confusion: Floats
    """M[j, k]: mean probability of class j on strokes of phase k."""
    doubt_on_image: Floats
    """Mean of p (1 - p) over the image, (K,)."""
    doubt_on_strokes: Floats
    """Mean of p (1 - p) of class j over strokes of phase k, (K, K)."""


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

    def solve(self) -> _Found:
        """Shares of the whole image: what is painted counts as it is, the rest as it is extrapolated."""
        count = len(self.phases)
        known = np.bincount(self.column, self.pieces.size, count) / self.pieces.size.sum()
        if not len(self.image):
            return _Found(known, np.zeros(count), np.ones(count), np.eye(count))
        look = self._look(np.zeros(count))
        towards = np.clip(_invert(look.confusion) @ look.seen, LEAST_SHARE, None)
        look = self._look(TOWARDS_SHARES * np.log(count * towards / towards.sum()))
        inverse = _invert(look.confusion)
        rest = inverse @ look.seen
        # To first order a piece moves p by -M^-1 (its mean response - M) p, weighted by its size.
        totals = np.bincount(self.column, self.pieces.size, count)[self.column]
        surprise = look.sums - self.pieces.size[:, None] * look.confusion.T[self.column]
        influence = -(surprise @ inverse.T) * (rest[self.column] / totals)[:, None]
        spread, freedom = block_bootstrap(influence, self.pieces.size, self.column, self.pieces.block)
        # Pixels that the strokes do not know: in doubt on the image, beyond what is in doubt on the strokes.
        expected = (look.doubt_on_strokes * np.clip(rest, 0, 1)).sum(1) / np.clip(rest, 0, 1).sum()
        unseen = np.maximum(look.doubt_on_image - expected, 0)
        deviation = np.hypot(spread, UNSEEN_DOUBT * unseen)
        left = 1 - self.part_painted
        return _Found(self.part_painted * known + left * rest, left * deviation, freedom, look.confusion)

    def _look(self, shift: Floats) -> _Look:
        """Apply all classifiers to the image, and each to the strokes that it did not learn from."""
        count, pieces = len(self.phases), self.pieces
        on_image = np.zeros((len(self.image), count))
        held_out = np.empty((len(self.strokes), count))
        fold_of_pixel = self.fold[pieces.of_pixel]
        for fold, (weights, bias) in enumerate(self.models):
            on_image += _probabilities(self.image, weights, bias + shift) / len(self.models)
            mine = fold_of_pixel == fold
            held_out[mine] = _probabilities(self.strokes[mine], weights, bias + shift)
        of_phase = self.column[pieces.of_pixel]
        total = np.bincount(of_phase, minlength=count)

        def by_phase(values: Floats) -> Floats:
            return np.stack([np.bincount(of_phase, column, count) / total for column in values.T])

        return _Look(
            seen=on_image.mean(0),
            sums=np.stack([np.bincount(pieces.of_pixel, p, len(pieces.size)) for p in held_out.T], axis=1),
            confusion=by_phase(held_out),
            doubt_on_image=(on_image * (1 - on_image)).mean(0),
            doubt_on_strokes=by_phase(held_out * (1 - held_out)),
        )

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


def _probabilities(features: NDArray[np.float32], weights: Floats, bias: Floats) -> Floats:
    logits = features @ weights.T.astype(np.float32) + bias
    logits -= logits.max(1, keepdims=True)
    np.exp(logits, out=logits)
    probabilities: Floats = logits / logits.sum(1, keepdims=True)
    return probabilities


def _invert(confusion: Floats) -> Floats:
    """Inverse of M, also where two of its columns are the same; `_look_alike` then tells."""
    return np.asarray(np.linalg.inv(confusion + 1e-9 * np.eye(len(confusion))), dtype=np.float64)


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
    shares: Ratio,
    half: Floats,
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
    for name, share, width in zip(names, shares, half, strict=True):
        if share + width < 0 or share - width > 1:
            warnings.append(
                f"The strokes of {name} do not look like the rest of the image. Paint it in more places."
            )
    return tuple(warnings)
