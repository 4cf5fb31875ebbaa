"""Random fields and cells, of which structures and textures are made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Gain = Callable[[Floats, Floats], Floats]
"""What is let through of a wave, by its frequencies down and across in cycles a pixel."""


def gaussian_field(shape: tuple[int, int], gain: Gain, reach_px: float, rng: np.random.Generator) -> Floats:
    """Draw a stationary Gaussian random field with mean 0 and variance 1.

    White noise is filtered in Fourier space [1]_.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    gain : callable
        Amplitude of a wave by its frequencies, cycles a pixel, ``(rows, 1)`` and ``(1, columns)``.
    reach_px : float
        The field repeats itself only so many pixels beyond the crop.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (H, W)

    References
    ----------
    .. [1] A. Lang, J. Potthoff, "Fast simulation of Gaussian random fields", Monte Carlo Methods and Applications
       17 (2011) 195-214. https://doi.org/10.1515/mcma.2011.009
    """
    from scipy.fft import irfft2, rfft2

    height, width = (n + round(reach_px) for n in shape)
    down, across = (np.asarray(f, dtype=np.float64) for f in (np.fft.fftfreq(height), np.fft.rfftfreq(width)))
    passed = gain(down[:, None], across[None])
    # White noise has unit power at every frequency; columns of the half spectrum stand for two, but for the ends.
    twice = np.full(passed.shape[1], 2.0)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    variance = (passed**2 * twice).sum() / (height * width)
    noise = rng.standard_normal((height, width))
    field = irfft2(rfft2(noise) * passed, (height, width))[: shape[0], : shape[1]]
    return np.asarray(field / np.sqrt(variance), dtype=np.float64)


def smooth(length_px: float) -> Gain:
    """Gaussian spectrum: round blobs of one size, ``length_px`` being the correlation length."""
    return lambda down, across: np.exp(-((2 * np.pi * length_px * np.hypot(down, across)) ** 2) / 2)


def rough(length_px: float) -> Gain:
    """Matérn spectrum with a long tail: ragged blobs of all sizes, up to about ``length_px``."""
    return lambda down, across: 1 / (1 + (2 * np.pi * length_px * np.hypot(down, across)) ** 2)


def banded(wavelength_px: float, width: float = 0.15) -> Gain:
    """Waves of one length in all directions, as Cahn described spinodal decomposition; ``width`` is its spread."""
    return lambda down, across: np.exp(-(((np.hypot(down, across) * wavelength_px - 1) / width) ** 2) / 2)


def drawn_out(length_px: float, aspect: float, angle: float) -> Gain:
    """Gaussian spectrum, ``aspect`` times longer along ``angle`` (radians from the columns' axis) than across it."""

    def gain(down: Floats, across: Floats) -> Floats:
        along = np.cos(angle) * across + np.sin(angle) * down
        beside = np.cos(angle) * down - np.sin(angle) * across
        passed: Floats = np.exp(-((2 * np.pi * length_px) ** 2) * (beside**2 + (aspect * along) ** 2) / 2)
        return passed

    return gain


def voronoi_cells(
    shape: tuple[int, int],
    distance_px: float,
    rng: np.random.Generator,
    wander: tuple[Floats, Floats] | None = None,
) -> tuple[NDArray[np.intp], Floats, int]:
    """Divide a field into the cells of a Poisson-Voronoi tessellation, the usual model of grains [1]_.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    distance_px : float
        Seeds are about so far apart.
    rng : numpy.random.Generator
    wander : pair of ndarray, shape (H, W), optional
        By how many pixels each pixel is moved before its cell is looked up, so that borders are not straight.

    Returns
    -------
    cells : ndarray of int, shape (H, W)
        Number of the cell of each pixel; not all of them occur.
    depth : ndarray of float64, shape (H, W)
        How much farther, in pixels, the second nearest seed is than the nearest; 0 at a border.
    count : int
        Number of cells.

    References
    ----------
    .. [1] A. Okabe et al., "Spatial Tessellations", 2nd ed., Wiley 2000. https://doi.org/10.1002/9780470317013
    """
    from scipy.spatial import cKDTree

    margin = round(3 * distance_px)
    height, width = (n + 2 * margin for n in shape)
    count = max(1, rng.poisson(height * width / distance_px**2))
    seeds = rng.uniform(0, 1, (count, 2)) * [height, width]
    places = np.mgrid[margin : margin + shape[0], margin : margin + shape[1]].astype(np.float64)
    if wander is not None:
        places += np.stack(wander)
    distances, nearest = cKDTree(seeds).query(places.reshape(2, -1).T, k=[1, 2])
    depth = np.where(np.isfinite(distances[:, 1]), distances[:, 1] - distances[:, 0], 0.0)
    return nearest[:, 0].reshape(shape), depth.reshape(shape), count
