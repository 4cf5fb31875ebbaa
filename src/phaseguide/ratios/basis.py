"""Weight per cent to area per cent and back, by the densities of the phases.

X-ray diffraction and thermodynamic software give weight shares w, a section shows area shares. On a
random section the area share of a phase is its volume share (Delesse's principle, A_A = V_V), and the
volume of a phase is its weight over its density rho, so the shares are v_k ~ w_k / rho_k, closed to
sum 1.

The uncertainty of a value, a standard deviation of log(phase : rest), is the same in both: densities
only add a constant to it (exactly for two phases, nearly for more).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios.vector import Ratio, validate_ratio

Basis = Literal["area", "weight"]


def area_from_weight(
    weight: ArrayLike, densities: ArrayLike, scheme: PhaseScheme, own: ArrayLike | None = None
) -> Ratio:
    """Turn weight shares into area shares.

    Open phases stay open. What they hold together, the remainder of the weight, counts with one density
    for all: their mean weighted by the area proportions in which the model sees them, ``own``. That is
    the density of the mixture that they become when they share the remainder in these proportions, so
    converting first and completing after agree. Without ``own`` they count equally.

    Parameters
    ----------
    weight : array_like, shape (K,)
        Weight shares in [0, 1], NaN where open.
    densities : array_like, shape (K,)
        In g/cm3; NaN where unknown, which is only allowed for a phase without weight.
    scheme : PhaseScheme
    own : array_like, shape (K,), optional
        Area shares of the unguided map.

    Returns
    -------
    ndarray of float64, shape (K,)
        Area shares in [0, 1], NaN where open.

    Raises
    ------
    RatioError
        Weights that no ratio can have (see `validate_ratio`), or a phase with a weight and no density.
    """
    return _convert(weight, densities, scheme, own, to_area=True)


def weight_from_area(
    area: ArrayLike, densities: ArrayLike, scheme: PhaseScheme, own: ArrayLike | None = None
) -> Ratio:
    """Turn area shares into weight shares; the reverse of `area_from_weight`, with its parameters."""
    return _convert(area, densities, scheme, own, to_area=False)


def describe_conversion(weight: ArrayLike, area: ArrayLike, scheme: PhaseScheme) -> str:
    """Say a conversion in words: ``10.0 weight % carbide = 13.2 area %``; open phases are left out."""
    rows = zip(scheme.names, np.asarray(weight, np.float64), np.asarray(area, np.float64), strict=True)
    return "; ".join(
        f"{w * 100:.1f} weight % {name} = {a * 100:.1f} area %" for name, w, a in rows if not np.isnan(w)
    )


def _convert(
    shares: ArrayLike, densities: ArrayLike, scheme: PhaseScheme, own: ArrayLike | None, *, to_area: bool
) -> Ratio:
    given = validate_ratio(shares, scheme)
    is_open = np.isnan(given)
    if is_open.all():
        return given
    rest = max(0.0, 1 - float(given[~is_open].sum()))
    seen = np.ones(len(scheme)) if own is None else np.asarray(own, dtype=np.float64)
    proportions = np.where(is_open, seen, 0.0)
    if is_open.any() and proportions.sum() <= 0:
        proportions = is_open.astype(np.float64)
    holds = np.where(is_open, rest * proportions, given) > 0
    rho = _checked(densities, holds, scheme)
    factor = 1 / rho if to_area else rho
    parts = np.where(is_open, 0.0, given * factor)
    if rest > 0 and is_open.any():
        mean_density = float(proportions @ rho / proportions.sum())
        rest = rest / mean_density if to_area else rest * mean_density
    converted: Ratio = np.where(is_open, np.nan, parts / (parts.sum() + rest))
    return converted


def _checked(densities: ArrayLike, holds: NDArray[np.bool_], scheme: PhaseScheme) -> Ratio:
    """Densities where a phase holds something, 1 where it does not matter."""
    rho = np.array(densities, dtype=np.float64)
    if rho.shape != (len(scheme),):
        raise RatioError(
            f"There are {rho.size} densities, but {len(scheme)} phases: {scheme.describe()}. Give one each."
        )
    missing = holds & ~(np.isfinite(rho) & (rho > 0))
    if missing.any():
        names = ", ".join(name for name, gone in zip(scheme.names, missing, strict=True) if gone)
        raise RatioError(
            f"{names}: weight % needs a density. Give it in g/cm3 (ferrite has 7.87, cementite 7.69), or give area %."
        )
    return np.where(holds, rho, 1.0)
