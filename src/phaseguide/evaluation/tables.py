"""Tables of numbers for JSON: by phase name, without NaN, and summed up over repeats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import PhaseScheme

Floats = NDArray[np.float64]
Numbers = dict[str, Any]


def plain(value: float) -> float | None:
    """Return a number that JSON can hold; NaN becomes None."""
    return None if math.isnan(value) else float(value)


def named(values: Floats | None, scheme: PhaseScheme) -> dict[str, float | None]:
    """Return values, shape (K,), by phase name; NaN, or no values at all, become None."""
    if values is None:
        return dict.fromkeys(scheme.names)
    return {name: plain(float(v)) for name, v in zip(scheme.names, values, strict=True)}


def mean_known(values: Any, axis: int | None = None) -> Any:
    """Mean over an axis (None: over everything), leaving NaN out; NaN, silently, where there is nothing."""
    table = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(table)
    counts = known.sum(axis)
    sums = np.where(known, table, 0.0).sum(axis)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)[()]


def over_repeats(tables: Sequence[Numbers], statistic: Callable[[list[float]], Any]) -> Numbers:
    """Apply a statistic over repeats to every number of nested tables of one form."""
    result: Numbers = {}
    for key, first in tables[0].items():
        if isinstance(first, dict):
            result[key] = over_repeats([t[key] for t in tables], statistic)
        else:
            values = [t[key] for t in tables if t[key] is not None]
            result[key] = float(statistic(values)) if values else None
    return result


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def tenth_percentile(values: Sequence[float]) -> float:
    """Tenth percentile, interpolated linearly."""
    return float(np.percentile(values, 10))
