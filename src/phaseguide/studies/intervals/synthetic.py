"""Synthetic fields of known composition, and ways to paint on them, to measure what an interval is worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.synthetic.fields import gaussian_field, rough, smooth, voronoi_cells

Structure = Literal["smooth", "rough", "islands"]
Floats = NDArray[np.float64]
LabelMap = NDArray[np.uint8]

BLUR_PX = 1.0
"""Standard deviation of the Gaussian over which the appearance of two phases mixes at their border."""


def make_field(
    structure: Structure,
    shape: tuple[int, int],
    shares: Sequence[float],
    length_px: float,
    rng: np.random.Generator,
) -> LabelMap:
    """Draw a label map 1..K of a stationary structure.

    Smooth and rough: the largest of K random fields with a Gaussian spectrum (round blobs) or a Matérn one with a
    long tail (ragged blobs of all sizes), with ``length_px`` as correlation length. Islands: Voronoi cells, with
    seeds about that far apart. Shares are those of an endless field; those of one field scatter around them.
    """
    if structure == "islands":
        return _islands(shape, shares, length_px, rng)
    gain = smooth(length_px) if structure == "smooth" else rough(length_px)
    fields = np.stack([gaussian_field(shape, gain, 6 * length_px, rng) for _ in shares])
    offsets = _offsets(tuple(shares))
    labels: LabelMap = (np.argmax(fields + offsets[:, None, None], axis=0) + 1).astype(np.uint8)
    return labels


def make_features(
    labels: LabelMap, n_phases: int, rng: np.random.Generator, *, noise: float = 1.0
) -> NDArray[np.float32]:
    """Draw features as a network and filters would give them: one channel for each phase and an intensity, (H, W, K
    + 1).

    The appearance of a phase is 2 in its own channel and 0 in the others, blurred at borders. On it lie noise of
    short range (standard deviation `noise`), half as much of long range, and uneven illumination.
    """
    from scipy.ndimage import gaussian_filter

    looks = np.concatenate([2 * np.eye(n_phases), np.linspace(0, 2, n_phases)[:, None]], axis=1)
    height, width = labels.shape
    rows, columns = np.mgrid[:height, :width] / max(height, width) - 0.5
    features = np.empty((height, width, n_phases + 1), dtype=np.float32)
    for channel in range(n_phases + 1):
        plain = gaussian_filter(looks[labels - 1, channel], BLUR_PX)
        fine, coarse = (gaussian_filter(rng.standard_normal(labels.shape), s) for s in (1.0, 6.0))
        angle = rng.uniform(0, 2 * np.pi)
        light = 0.6 * (np.cos(angle) * columns + np.sin(angle) * rows)
        features[..., channel] = plain + noise * (fine / fine.std() + 0.5 * coarse / coarse.std()) + light
    return features


def paint_rectangle(labels: LabelMap, part: float, rng: np.random.Generator) -> LabelMap:
    """Label all pixels of one rectangle that holds ``part`` of the field, in the field's proportions."""
    height, width = (max(1, round(n * np.sqrt(part))) for n in labels.shape)
    top, left = rng.integers(labels.shape[0] - height + 1), rng.integers(labels.shape[1] - width + 1)
    painted = np.zeros_like(labels)
    window = (slice(top, top + height), slice(left, left + width))
    painted[window] = labels[window]
    return painted


def paint_patches(labels: LabelMap, count: int, side: int, rng: np.random.Generator) -> LabelMap:
    """Label all pixels of several squares, put down without looking; they may overlap or be cut by the edge."""
    painted = np.zeros_like(labels)
    for _ in range(count):
        top, left = (int(rng.integers(-side // 2, n - side // 2)) for n in labels.shape)
        window = (slice(max(0, top), top + side), slice(max(0, left), left + side))
        painted[window] = labels[window]
    return painted


def paint_strokes(
    labels: LabelMap,
    counts: Sequence[int],
    rng: np.random.Generator,
    *,
    width: int = 5,
    length: int = 30,
    rim_px: float = 0.0,
) -> LabelMap:
    """Draw straight brush strokes, a given number for each phase, that end where the phase ends.

    They keep ``rim_px`` away from borders between phases, as a careful hand does. A phase that is not there gets
    none.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.ndimage import label as connect

    painted = np.zeros_like(labels)
    for phase, count in enumerate(counts, start=1):
        inside = labels == phase
        if rim_px:
            away = np.asarray(distance_transform_edt(inside)) > rim_px
            inside = away if away.any() else inside
        starts = np.argwhere(inside)
        for _ in range(count if len(starts) else 0):
            y, x = starts[rng.integers(len(starts))]
            stroke = _stroke(labels.shape, y, x, rng.uniform(0, np.pi), width, length) & inside
            parts, _ = connect(stroke)
            painted[parts == parts[y, x]] = phase
    return painted


def _stroke(
    shape: tuple[int, ...], y: int, x: int, angle: float, width: int, length: int
) -> NDArray[np.bool_]:
    stroke = np.zeros(shape, dtype=bool)
    half = width // 2
    for step in np.arange(-length / 2, length / 2 + 1):
        row, column = round(y + step * np.sin(angle)), round(x + step * np.cos(angle))
        if row + half >= 0 and column + half >= 0:
            stroke[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = True
    return stroke


def _islands(
    shape: tuple[int, int], shares: Sequence[float], distance_px: float, rng: np.random.Generator
) -> LabelMap:
    cells, _, count = voronoi_cells(shape, distance_px, rng)
    phases = (rng.choice(len(shares), count, p=np.array(shares) / np.sum(shares)) + 1).astype(np.uint8)
    labels: LabelMap = phases[cells]
    return labels


@lru_cache(maxsize=16)
def _offsets(shares: tuple[float, ...]) -> Floats:
    """Offsets b with P(argmax(z + b) = k) = share k for standard normal z."""
    z = np.random.default_rng(0).standard_normal((200_000, len(shares)))
    wanted, offsets = np.array(shares) / sum(shares), np.zeros(len(shares))
    for _ in range(200):
        got = np.bincount(np.argmax(z + offsets, axis=1), minlength=len(shares)) / len(z)
        offsets += 0.5 * np.log(wanted / np.maximum(got, 1e-6))
    return offsets
